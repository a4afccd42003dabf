"""A Docker create body, checked: all that Docker refuses before it looks for the image. Pure."""

import posixpath
from dataclasses import dataclass
from typing import Final

from seaway_api.translate.check_networking import check_endpoints, check_ports
from seaway_api.translate.checks import check_host, check_modes
from seaway_api.translate.version import NEWEST, ApiVersion
from seaway_cluster.request import CompanionRefs
from seaway_docker.errors import InvalidParameter
from seaway_docker.model_container import ContainerConfig, ContainerCreate, EndpointSettings, HealthConfig
from seaway_docker.mounts import parse_volumes_from
from seaway_docker.networks import PREDEFINED, is_user_defined
from seaway_docker.ports import HostBinding, Port
from seaway_docker.signals import parse_signal

_JOINED: Final = "container:"
_LEAST_SPAN_NS: Final = 1_000_000
_MOST_ENTRIES: Final = 65_536


@dataclass(frozen=True)
class CheckedCreate:
    """A body, and what the checks have read of it. `links`: container and alias of each; `mode`: the network's;
    `endpoints`: the settings of each, by network.
    """

    body: ContainerCreate
    cap_add: tuple[str, ...]
    cap_drop: tuple[str, ...]
    links: tuple[tuple[str, str], ...]
    bindings: tuple[HostBinding, ...]
    exposed: tuple[Port, ...]
    mode: str
    endpoints: dict[str, EndpointSettings]


def check_create(body: ContainerCreate, version: ApiVersion = NEWEST) -> CheckedCreate:
    """Everything about a body that can be checked without the image. Raises InvalidParameter."""
    config, host = body.config(), body.host_config
    check_config(config)
    links = check_modes(config, host)
    cap_add, cap_drop = check_host(host)
    bindings, exposed = check_ports(config, host)
    endpoints = body.networking_config.endpoints_config or {}
    networking = check_endpoints(config, host, body.networking_config, version)
    if len(endpoints) > 1 and not set(endpoints) - set(PREDEFINED):
        raise InvalidParameter("Container cannot be connected to network endpoints: " + ", ".join(sorted(endpoints)))
    if not (config.image or config.cmd or config.entrypoint):
        raise InvalidParameter("no command specified")
    if is_user_defined(networking.mode):  # there, the links are those of the endpoints
        links = ()
    return CheckedCreate(body, cap_add, cap_drop, links, bindings, exposed, networking.mode, networking.endpoints)


def companion_refs(checked: CheckedCreate) -> CompanionRefs:
    """The other containers that a body names. Raises InvalidParameter for a wrong VolumesFrom."""
    host = checked.body.host_config
    modes = (host.network_mode, host.pid_mode, host.ipc_mode)
    return CompanionRefs(
        joined=tuple(dict.fromkeys(mode.removeprefix(_JOINED) for mode in modes if mode.startswith(_JOINED))),
        linked=tuple(dict.fromkeys(container for container, _ in checked.links)),
        mounted=tuple(parse_volumes_from(text) for text in host.volumes_from or ()),
    )


def check_config(config: ContainerConfig) -> None:
    """Raise InvalidParameter for a config that no node can run (moby 26.1: daemon/container.go)."""
    if config.working_dir and not posixpath.isabs(config.working_dir):
        raise InvalidParameter(
            f"the working directory '{config.working_dir}' is invalid, it needs to be an absolute path"
        )
    for item in config.env or ():
        if not item or item.startswith("="):
            raise InvalidParameter(f"invalid environment variable: {item}")
    if config.stop_signal:
        parse_signal(config.stop_signal)
    if config.healthcheck is not None:
        _check_health(config.healthcheck)
    _check_text(config)


def _check_health(health: HealthConfig) -> None:
    spans = {
        "Interval": health.interval,
        "Timeout": health.timeout,
        "StartPeriod": health.start_period,
        "StartInterval": health.start_interval,
    }
    for name, span in spans.items():
        if span != 0 and span < _LEAST_SPAN_NS:
            raise InvalidParameter(f"{name} in Healthcheck cannot be less than 1ms")
    if health.retries < 0:
        raise InvalidParameter("Retries in Healthcheck cannot be negative")


def _check_text(config: ContainerConfig) -> None:
    """No NUL reaches a node, and no body holds more than a kernel or a record could."""
    texts = [*(config.env or ()), *(config.cmd or ()), *(config.entrypoint or ()), config.working_dir, config.user]
    if any("\0" in text for text in texts):
        raise InvalidParameter("command, environment, working directory and user must not hold NUL bytes")
    if len(texts) > _MOST_ENTRIES or len(config.labels or ()) > _MOST_ENTRIES:
        raise InvalidParameter(f"more than {_MOST_ENTRIES} arguments, variables or labels")
