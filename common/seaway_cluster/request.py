"""What is asked for of a container, and the spec that it makes together with an image (moby daemon/commit.go `merge`).

Pure.
"""

import posixpath
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

from seaway_contracts.containers import (
    Asked,
    Command,
    ContainerNetworking,
    ContainerSpec,
    EndpointSpec,
    ImageUse,
    LogConfig,
    Mount,
    Namespaces,
    Resources,
    RestartPolicy,
    Security,
)
from seaway_contracts.errors import bad_request
from seaway_contracts.ids import short_id
from seaway_contracts.images import Healthcheck, ImageConfig, ImageRecord
from seaway_contracts.placement import Condition, PlacedMount, PlaceRequest
from seaway_contracts.volumes import ANONYMOUS_LABEL

Args = tuple[str, ...] | None
SHM_SIZE: Final = 64 << 20
"""Docker's size of /dev/shm, in bytes."""


def _on_the_bridge() -> ContainerNetworking:
    return ContainerNetworking(endpoints=(EndpointSpec(network="bridge"),))


@dataclass(frozen=True, kw_only=True)
class ContainerRequest:
    """A container that is wanted: a ContainerSpec without id, name and time, and without what its image says.

    `image`: as a user names it. `command`, `healthcheck`: what they leave open comes from the image. `mounts`: an
    anonymous volume has no source yet. `volumes`: paths that get an anonymous volume where nothing else is mounted.
    `taken_over`: mounts of other containers; `mounts` go before them, but for anonymous ones. A container with a
    sandbox of its own and no host name is named by its id.
    """

    image: str
    command: Command = field(default_factory=Command)
    labels: dict[str, str] = field(default_factory=dict)
    annotations: dict[str, str] = field(default_factory=dict)
    mounts: tuple[Mount, ...] = ()
    volumes: tuple[str, ...] = ()
    taken_over: tuple[Mount, ...] = ()
    resources: Resources = field(default_factory=Resources)
    security: Security = field(default_factory=Security)
    network: ContainerNetworking = field(default_factory=_on_the_bridge)
    namespaces: Namespaces = field(default_factory=Namespaces)
    restart: RestartPolicy = field(default_factory=RestartPolicy)
    log: LogConfig = field(default_factory=LogConfig)
    healthcheck: Healthcheck | None = None
    shm_size: int = SHM_SIZE
    sysctls: dict[str, str] = field(default_factory=dict)
    runtime: str = ""
    auto_remove: bool = False
    platform: str = ""
    constraints: tuple[Condition, ...] = ()
    affinities: tuple[Condition, ...] = ()
    asked: Asked = field(default_factory=Asked)


@dataclass(frozen=True)
class CompanionRefs:
    """Containers that a new one needs, as its user names them: whose namespaces it joins, to which it links, and whose
    mounts it takes over (read-only where True).
    """

    joined: tuple[str, ...] = ()
    linked: tuple[str, ...] = ()
    mounted: tuple[tuple[str, bool], ...] = ()


@dataclass(frozen=True)
class Companions:
    """The same, found: references as given -> ids, names of those linked to, mounts to take over. `node`: the one where
    they all are, and to which they bind the new container; None without any. `on_host`: those on the host's network.
    """

    ids: dict[str, str] = field(default_factory=dict)
    names: dict[str, str] = field(default_factory=dict)
    mounts: tuple[Mount, ...] = ()
    node: str | None = None
    on_host: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Identity:
    """What each container gets when it is made: its id and name, the time in Unix ns, names for anonymous volumes."""

    id: str
    name: str
    created_ns: int
    new_volume: Callable[[], str]


def container_spec(request: ContainerRequest, image: ImageRecord, identity: Identity) -> ContainerSpec:
    """The spec of a request with its image. Raises SeawayError (400) where neither says what to run."""
    config = image.config
    volumes = tuple(dict.fromkeys((*request.volumes, *config.volumes)))
    return ContainerSpec(
        id=identity.id,
        name=identity.name,
        created_ns=identity.created_ns,
        image=ImageUse(ref=request.image, id=image.id, layers=image.layers),
        command=merged_command(request.command, config),
        labels={**config.labels, **request.labels},
        annotations=request.annotations,
        mounts=_all_mounts(request, volumes, identity.new_volume),
        image_volumes=volumes,
        resources=request.resources,
        security=request.security,
        network=_networking(request.network, config, identity.id),
        namespaces=request.namespaces,
        restart=request.restart,
        log=request.log,
        healthcheck=merged_health(request.healthcheck, config.healthcheck),
        shm_size=request.shm_size,
        sysctls=request.sysctls,
        runtime=request.runtime,
        auto_remove=request.auto_remove,
        platform=request.platform,
        asked=request.asked,
    )


def place_request(
    request: ContainerRequest, identifier: str, node: str = "", excluded: tuple[str, ...] = ()
) -> PlaceRequest:
    """What the scheduler is asked with, while nothing is known of the image. `node`: the only one that will do.

    `excluded`: nodes that have refused the container.
    """
    mounts = _own_mounts(request.mounts, request.volumes)
    return PlaceRequest(
        container_id=identifier,
        resources=request.resources,
        labels=request.labels,
        mounts=tuple(PlacedMount(type=one.type, source=one.source, target=one.target) for one in mounts),
        networks=tuple(endpoint.network for endpoint in request.network.endpoints),
        host_ports=request.network.fixed_host_ports,
        runtime=request.runtime,
        platform=request.platform,
        image_ref=request.image,
        constraints=request.constraints,
        affinities=request.affinities,
        excluded=excluded,
        node=node,
    )


def merged_command(own: Command, image: ImageConfig) -> Command:
    """What runs. Raises SeawayError (400) where neither request nor image says what."""
    entrypoint, cmd = merged_args(own.entrypoint, own.cmd, image)
    return own.model_copy(
        update={
            "entrypoint": entrypoint,
            "cmd": cmd,
            "env": merged_env(own.env, image.env),
            "workdir": own.workdir or image.workdir,
            "user": own.user or image.user,
            "stop_signal": own.stop_signal or image.stop_signal,
        }
    )


def merged_args(entrypoint: Args, cmd: Args, image: ImageConfig) -> tuple[Args, Args]:
    """Entrypoint and cmd: an entrypoint of one's own discards the image's cmd; `("",)` is no entrypoint.

    Raises SeawayError (400) where nothing is left.
    """
    if not entrypoint:
        cmd = cmd or image.cmd
        entrypoint = image.entrypoint if entrypoint is None else entrypoint
    if entrypoint == ("",):
        entrypoint = None
    if not entrypoint and not cmd:
        raise bad_request("no command specified")
    return entrypoint, cmd


def merged_env(own: Sequence[str], image: Iterable[str]) -> tuple[str, ...]:
    """One's own variables, then those of the image that one doesn't set, as Docker shows them in `Config.Env`."""
    given = {item.partition("=")[0] for item in own}
    return (*own, *(item for item in image if item.partition("=")[0] not in given))


def merged_health(own: Healthcheck | None, image: Healthcheck | None) -> Healthcheck | None:
    """The probe; what one leaves open comes from the image."""
    if own is None or image is None:
        return own or image
    return Healthcheck(
        test=own.test or image.test,
        interval_ns=own.interval_ns or image.interval_ns,
        timeout_ns=own.timeout_ns or image.timeout_ns,
        start_period_ns=own.start_period_ns or image.start_period_ns,
        start_interval_ns=own.start_interval_ns or image.start_interval_ns,
        retries=own.retries or image.retries,
    )


def _networking(own: ContainerNetworking, image: ImageConfig, identifier: str) -> ContainerNetworking:
    exposed = tuple(dict.fromkeys((*own.exposed_ports, *image.exposed_ports)))
    hostname = own.hostname or ("" if own.sandbox else short_id(identifier))
    return own.model_copy(update={"exposed_ports": exposed, "hostname": hostname})


def _all_mounts(request: ContainerRequest, volumes: Iterable[str], new_volume: Callable[[], str]) -> tuple[Mount, ...]:
    """A container's own mounts go before those that it takes over; but an anonymous one yields."""
    theirs = {mount.target: mount for mount in request.taken_over}
    own = [one for one in _own_mounts(request.mounts, volumes) if not (one.anonymous and one.target in theirs)]
    targets = {mount.target for mount in own}
    named = [
        one.model_copy(update={"source": new_volume()}) if one.anonymous and not one.source else one for one in own
    ]
    return (*named, *(mount for mount in theirs.values() if mount.target not in targets))


def _own_mounts(mounts: Iterable[Mount], volumes: Iterable[str]) -> tuple[Mount, ...]:
    """With an anonymous volume for each declared path on which nothing is mounted.

    Only these have Docker's label of anonymous volumes, by which a prune removes them. An image may declare
    `VOLUME data` or `VOLUME ../x`: both count from the root, and never leave it.
    """
    own = {mount.target: mount for mount in mounts}
    for path in volumes:
        target = "/" + posixpath.normpath(f"/{path}").lstrip("/")
        if target != "/":
            mount = Mount(type="volume", target=target, anonymous=True, volume_labels={ANONYMOUS_LABEL: ""})
            own.setdefault(target, mount)
    return tuple(own.values())
