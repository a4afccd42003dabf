"""A Docker create body becomes a ContainerRequest. Pure."""

from collections.abc import Iterable
from typing import Final

from seaway_api.translate import host as from_host
from seaway_api.translate.asked import asked_of
from seaway_api.translate.checked import CheckedCreate
from seaway_api.translate.checks import HOST_LINKS
from seaway_api.translate.execs import console_size
from seaway_api.translate.volumes import check_drivers
from seaway_cluster.request import SHM_SIZE, Companions, ContainerRequest
from seaway_contracts.containers import Command, Link, LogConfig, Namespaces
from seaway_contracts.images import Healthcheck
from seaway_contracts.placement import Condition
from seaway_docker.errors import InvalidParameter
from seaway_docker.model_container import ContainerCreate, HealthConfig
from seaway_docker.mount_checks import normal_path
from seaway_docker.placement import Expression, placement

_JOINED: Final = "container:"


def container_request(checked: CheckedCreate, companions: Companions, platform: str = "") -> ContainerRequest:
    """What a checked body asks for. Raises InvalidParameter for what Docker refuses behind a missing image."""
    body, host = checked.body, checked.body.host_config
    check_drivers(host, body.volumes or ())
    network = from_host.network(checked, _links(checked, companions))
    asked = placement(body.env or (), body.labels or {})
    return ContainerRequest(
        image=body.image,
        command=own_command(body).model_copy(update={"env": asked.env}),
        labels={**(body.labels or {}), **asked.labels},
        annotations=dict(host.annotations or {}),
        mounts=from_host.mounts(host),
        volumes=tuple(body.volumes or ()),
        taken_over=companions.mounts,
        resources=from_host.resources(host).model_copy(update={"cpu_reservation": asked.cpu_reservation}),
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
        constraints=_conditions(asked.constraints),
        affinities=_conditions(asked.affinities),
        asked=asked_of(body),
    )


def _conditions(expressions: Iterable[Expression]) -> tuple[Condition, ...]:
    return tuple(Condition(key=one.key, value=one.value, equal=one.equal, soft=one.soft) for one in expressions)


def _links(checked: CheckedCreate, companions: Companions) -> tuple[Link, ...]:
    links = {}
    for container, alias in checked.links:
        if container in companions.on_host:
            raise InvalidParameter(HOST_LINKS)
        link = Link(container=companions.ids[container], name=companions.names[container], alias=alias)
        links[link.container, alias] = link
    return tuple(links.values())


def _found(mode: str, companions: Companions) -> str:
    if not mode.startswith(_JOINED):
        return mode
    ref = mode.removeprefix(_JOINED)
    return _JOINED + companions.ids.get(ref, ref)


def own_command(body: ContainerCreate) -> Command:
    """What a body says of what runs. The shell is the user's alone: Docker's merge leaves the image's to builds."""
    height, width = console_size(body.host_config.console_size)
    return Command(
        entrypoint=None if body.entrypoint is None else tuple(body.entrypoint),
        cmd=None if body.cmd is None else tuple(body.cmd),
        env=tuple(body.env or ()),
        workdir=normal_path(body.working_dir) if body.working_dir else "",
        user=body.user,
        tty=body.tty,
        height=height,
        width=width,
        open_stdin=body.open_stdin,
        stdin_once=body.stdin_once,
        attach_stdin=body.attach_stdin,
        attach_stdout=body.attach_stdout,
        attach_stderr=body.attach_stderr,
        stop_signal=body.stop_signal,
        stop_timeout=body.stop_timeout,
        init=bool(body.host_config.init),
        shell=tuple(body.shell or ()),
    )


def own_health(asked: HealthConfig | None) -> Healthcheck | None:
    """What a body says of the probe; None where it says nothing."""
    if asked is None:
        return None
    return Healthcheck(
        test=tuple(asked.test or ()),
        interval_ns=asked.interval,
        timeout_ns=asked.timeout,
        start_period_ns=asked.start_period,
        start_interval_ns=asked.start_interval,
        retries=asked.retries,
    )
