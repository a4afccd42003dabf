"""A Docker create body and an image make a ContainerSpec. Pure."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Final

from seaway_api.translate import host as from_host
from seaway_api.translate.asked import asked_of
from seaway_api.translate.check_config import check_config
from seaway_api.translate.check_networking import check_endpoints, check_ports
from seaway_api.translate.checks import check_host, check_modes
from seaway_api.translate.command import merged_command, merged_health
from seaway_contracts.commands import PlacedMount, PlaceRequest
from seaway_contracts.containers import ContainerSpec, ImageUse, Link, Mount
from seaway_contracts.images import ImageRecord
from seaway_docker.errors import InvalidParameter
from seaway_docker.links import parse_link
from seaway_docker.model_container import ContainerConfig, ContainerCreate
from seaway_docker.mounts import parse_volumes_from
from seaway_docker.networks import PREDEFINED

_SHM_SIZE: Final = 64 << 20
_JOINED: Final = "container:"


@dataclass(frozen=True)
class Naming:
    """What is given to a container that its body doesn't say: id, name, time (Unix ns), names for anonymous volumes,
    platform.
    """

    id: str
    name: str
    now_ns: int
    new_volume: Callable[[], str]
    platform: str = ""


@dataclass(frozen=True)
class Partners:
    """Other containers that the body names: references as given -> ids, and the mounts taken over from them.

    `names` has the names of those that it links to.
    """

    ids: dict[str, str]
    mounts: tuple[Mount, ...] = ()
    names: dict[str, str] = field(default_factory=dict)


def check_create(body: ContainerCreate) -> ContainerConfig:
    """Everything about a body that can be checked without the image; its config part. Raises InvalidParameter."""
    config = body.config()
    check_config(config)
    check_modes(config, body.host_config)
    check_host(body.host_config)
    check_ports(config, body.host_config)
    check_endpoints(config, body.host_config, body.networking_config)
    endpoints = body.networking_config.endpoints_config or {}
    if len(endpoints) > 1 and not set(endpoints) - set(PREDEFINED):
        raise InvalidParameter("Container cannot be connected to network endpoints: " + ", ".join(sorted(endpoints)))
    return config


def asked_networks(body: ContainerCreate) -> tuple[str, ...]:
    """The networks that a body names beside its mode and that have to exist.

    The mode's own is looked for at the start, as in Docker: a 404 at create makes its CLI pull the image.
    """
    known = (*PREDEFINED, "default", body.host_config.network_mode)
    return tuple(name for name in body.networking_config.endpoints_config or {} if name not in known)


def joined_containers(body: ContainerCreate) -> tuple[str, ...]:
    """The containers whose namespaces a body wants to share."""
    host = body.host_config
    modes = (host.network_mode, host.pid_mode, host.ipc_mode)
    return tuple(dict.fromkeys(mode.removeprefix(_JOINED) for mode in modes if mode.startswith(_JOINED)))


def linked_containers(body: ContainerCreate) -> tuple[str, ...]:
    """The containers that a body links to."""
    return tuple(dict.fromkeys(parse_link(text)[0] for text in body.host_config.links or ()))


def volume_sources(body: ContainerCreate) -> tuple[tuple[str, bool], ...]:
    """The containers whose volumes a body takes over, and whether read-only. Raises InvalidParameter."""
    return tuple(parse_volumes_from(text) for text in body.host_config.volumes_from or ())


def container_spec(body: ContainerCreate, image: ImageRecord, naming: Naming, partners: Partners) -> ContainerSpec:
    """The spec of a checked body. Raises InvalidParameter for what only shows together with the image."""
    config, own = image.config, spec_of_body(body, naming, partners)
    volumes = tuple(dict.fromkeys((*own.image_volumes, *config.volumes)))
    exposed = tuple(dict.fromkeys((*own.network.exposed_ports, *config.exposed_ports)))
    return own.model_copy(
        update={
            "image": ImageUse(ref=body.image, id=image.id, layers=image.layers),
            "command": merged_command(body, body.host_config, config),
            "labels": {**config.labels, **own.labels},
            "mounts": _mounts(body, volumes, naming, partners),
            "image_volumes": volumes,
            "network": own.network.model_copy(update={"exposed_ports": exposed}),
            "healthcheck": merged_health(body.healthcheck, config.healthcheck),
        }
    )


def spec_of_body(body: ContainerCreate, naming: Naming, partners: Partners) -> ContainerSpec:
    """What a checked body says by itself: no command, and nothing of the image's. Raises InvalidParameter."""
    config, host = body, body.host_config
    volumes = tuple(config.volumes or ())
    network = from_host.network(config, host, body.networking_config, naming.id, _links(host.links or (), partners))
    spaces = from_host.namespaces(host)
    return ContainerSpec(
        id=naming.id,
        name=naming.name,
        created_ns=naming.now_ns,
        image=ImageUse(ref=config.image, id=""),
        labels=dict(config.labels or {}),
        annotations=dict(host.annotations or {}),
        mounts=_mounts(body, volumes, naming, partners),
        image_volumes=volumes,
        resources=from_host.resources(host),
        security=from_host.security(host),
        network=network.model_copy(update={"sandbox": _resolved(network.sandbox, partners)}),
        namespaces=spaces.model_copy(
            update={"pid": _resolved(spaces.pid, partners), "ipc": _resolved(spaces.ipc, partners)}
        ),
        restart=from_host.restart(host),
        log=from_host.log_config(host),
        shm_size=host.shm_size or _SHM_SIZE,
        sysctls=dict(host.sysctls or {}),
        runtime=host.runtime,
        auto_remove=host.auto_remove,
        platform=naming.platform,
        asked=asked_of(body),
    )


def place_request(spec: ContainerSpec) -> PlaceRequest:
    """What the scheduler is asked with."""
    return PlaceRequest(
        container_id=spec.id,
        resources=spec.resources,
        labels=spec.labels,
        mounts=tuple(PlacedMount(type=one.type, source=one.source, target=one.target) for one in spec.mounts),
        networks=tuple(endpoint.network for endpoint in spec.network.endpoints),
        host_ports=spec.network.fixed_host_ports,
        runtime=spec.runtime,
        platform=spec.platform,
        image_ref=spec.image.ref,
        image_id=spec.image.id,
    )


def _mounts(body: ContainerCreate, volumes: Iterable[str], naming: Naming, partners: Partners) -> tuple[Mount, ...]:
    return _with_partners(from_host.mounts(body.host_config, volumes, naming.new_volume), partners)


def _links(texts: Iterable[str], partners: Partners) -> tuple[Link, ...]:
    links = {}
    for text in texts:
        container, alias = parse_link(text)
        link = Link(container=partners.ids[container], name=partners.names[container], alias=alias)
        links[link.container, alias] = link
    return tuple(links.values())


def _resolved(mode: str, partners: Partners) -> str:
    if not mode.startswith(_JOINED):
        return mode
    ref = mode.removeprefix(_JOINED)
    return _JOINED + partners.ids.get(ref, ref)


def _with_partners(own: tuple[Mount, ...], partners: Partners) -> tuple[Mount, ...]:
    """A container's own mounts go before those it takes over; but an anonymous one yields."""
    theirs = {mount.target: mount for mount in partners.mounts}
    kept = [mount for mount in own if not (mount.anonymous and mount.target in theirs)]
    targets = {mount.target for mount in kept}
    return (*kept, *(mount for mount in theirs.values() if mount.target not in targets))
