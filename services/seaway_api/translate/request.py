"""A Docker create body becomes a ContainerRequest. Pure."""

from typing import Final

from seaway_api.translate import host as from_host
from seaway_api.translate.asked import asked_of
from seaway_api.translate.checked import CheckedCreate
from seaway_api.translate.command import own_command, own_health
from seaway_cluster.request import SHM_SIZE, Companions, ContainerRequest
from seaway_contracts.containers import Link, LogConfig, Namespaces

_JOINED: Final = "container:"


def container_request(checked: CheckedCreate, companions: Companions, platform: str = "") -> ContainerRequest:
    """What a checked body asks for. Raises InvalidParameter for what Docker refuses behind a missing image."""
    body, host = checked.body, checked.body.host_config
    network = from_host.network(checked, _links(checked, companions))
    return ContainerRequest(
        image=body.image,
        command=own_command(body),
        labels=dict(body.labels or {}),
        annotations=dict(host.annotations or {}),
        mounts=from_host.mounts(host),
        volumes=tuple(body.volumes or ()),
        taken_over=companions.mounts,
        resources=from_host.resources(host),
        security=from_host.security(host, checked.cap_add, checked.cap_drop),
        network=network.model_copy(update={"sandbox": _found(network.sandbox, companions)}),
        namespaces=Namespaces(
            pid=_found(host.pid_mode, companions),
            ipc=_found(host.ipc_mode, companions) or "private",
            uts=host.uts_mode,
            cgroup=host.cgroupns_mode,
        ),
        restart=from_host.restart(host),
        log=LogConfig(driver=host.log_config.type or "json-file", options=dict(host.log_config.config or {})),
        healthcheck=own_health(body.healthcheck),
        shm_size=host.shm_size or SHM_SIZE,
        sysctls=dict(host.sysctls or {}),
        runtime=host.runtime,
        auto_remove=host.auto_remove,
        platform=platform,
        asked=asked_of(body),
    )


def _links(checked: CheckedCreate, companions: Companions) -> tuple[Link, ...]:
    links = {}
    for container, alias in checked.links:
        link = Link(container=companions.ids[container], name=companions.names[container], alias=alias)
        links[link.container, alias] = link
    return tuple(links.values())


def _found(mode: str, companions: Companions) -> str:
    if not mode.startswith(_JOINED):
        return mode
    ref = mode.removeprefix(_JOINED)
    return _JOINED + companions.ids.get(ref, ref)
