"""What Docker refuses in a create body's host part, in its words (moby 26.1: daemon/container.go, runconfig). Pure.

What only the node can know (its CPUs, its paths, its runtimes) the node's agent checks. Docker answers some of these
with 500; here what the user got wrong is always a 400.
"""

from collections.abc import Iterable
from typing import Final

from seaway_api.translate.check_limits import check_resources
from seaway_docker import log_options
from seaway_docker.errors import AUTO_REMOVE_WITH_RESTART, InvalidParameter
from seaway_docker.links import parse_link
from seaway_docker.model_container import ContainerConfig
from seaway_docker.model_host import HostConfig, RestartPolicy
from seaway_docker.ports import is_ip_address

_POLICIES: Final = ("no", "always", "on-failure", "unless-stopped")
_STORAGE: Final = "--storage-opt is supported only for overlay over xfs with 'pquota' mount option"
_CONTAINER_FORMAT: Final = "Invalid network mode: invalid container format container:<name|id>"
_LINKS_UNDEFINED: Final = "type networking can't be used with links. This would result in undefined behavior"
HOST_LINKS: Final = f"conflicting options: host {_LINKS_UNDEFINED}"
_CAPABILITIES: Final = frozenset((
    "AUDIT_CONTROL", "AUDIT_READ", "AUDIT_WRITE", "BLOCK_SUSPEND", "BPF", "CHECKPOINT_RESTORE", "CHOWN",
    "DAC_OVERRIDE", "DAC_READ_SEARCH", "FOWNER", "FSETID", "IPC_LOCK", "IPC_OWNER", "KILL", "LEASE",
    "LINUX_IMMUTABLE", "MAC_ADMIN", "MAC_OVERRIDE", "MKNOD", "NET_ADMIN", "NET_BIND_SERVICE", "NET_BROADCAST",
    "NET_RAW", "PERFMON", "SETFCAP", "SETGID", "SETPCAP", "SETUID", "SYSLOG", "SYS_ADMIN", "SYS_BOOT", "SYS_CHROOT",
    "SYS_MODULE", "SYS_NICE", "SYS_PACCT", "SYS_PTRACE", "SYS_RAWIO", "SYS_RESOURCE", "SYS_TIME", "SYS_TTY_CONFIG",
    "WAKE_ALARM", "ALL",
))  # fmt: skip


def check_host(host: HostConfig) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The capabilities to add and to drop. Raises InvalidParameter for a host config that contradicts itself."""
    check_restart(host.restart_policy)
    if host.auto_remove and host.restart_policy.name not in ("", "no"):
        raise InvalidParameter(AUTO_REMOVE_WITH_RESTART)
    _check_extra_hosts(host.extra_hosts or ())
    cap_add = _capabilities(host.cap_add or (), "CapAdd")
    cap_drop = _capabilities(host.cap_drop or (), "CapDrop")
    log_options.check(host.log_config.type, host.log_config.config or {})
    if host.shm_size < 0:
        raise InvalidParameter("SHM size can not be less than 0")
    if not -1000 <= host.oom_score_adj <= 1000:
        raise InvalidParameter(f"Invalid value {host.oom_score_adj}, range for oom score adj is [-1000, 1000]")
    if "\0" in host.cgroup_parent:
        raise InvalidParameter("the cgroup parent must not hold NUL bytes")
    if "" in (host.annotations or {}):
        raise InvalidParameter("invalid Annotations: the empty string is not permitted as an annotation key")
    if host.isolation not in ("", "default"):
        raise InvalidParameter(f"Invalid isolation: \"{host.isolation}\" - linux only supports 'default'")
    for option in host.storage_opt or ():
        raise InvalidParameter(_STORAGE if option == "size" else f"Unknown option {option}")
    _check_namespaces(host)
    check_resources(host)
    return cap_add, cap_drop


def _check_namespaces(host: HostConfig) -> None:
    for mode, allowed, what in (
        (host.pid_mode, ("", "host"), "PID"),
        (host.ipc_mode, ("", "host", "none", "private", "shareable"), "IPC"),
        (host.uts_mode, ("", "host"), "UTS"),
        (host.cgroupns_mode, ("", "host", "private"), "cgroup namespace"),
        (host.userns_mode, ("", "host"), "user namespace"),
    ):
        if mode not in allowed and not (what in ("PID", "IPC") and _names_container(mode)):
            raise InvalidParameter(f"invalid {what} mode: {mode}")


def _names_container(mode: str) -> bool:
    return mode.startswith("container:") and len(mode) > len("container:")


def check_modes(config: ContainerConfig, host: HostConfig) -> tuple[tuple[str, str], ...]:
    """The links: container and alias of each.

    Raises InvalidParameter for options that a network mode, or the host's UTS namespace, rules out.
    """
    if host.uts_mode == "host" and config.hostname:
        raise InvalidParameter("conflicting options: hostname and the UTS mode")
    links = tuple(parse_link(text) for text in host.links or ())
    if host.network_mode == "host" and host.links:
        raise InvalidParameter(HOST_LINKS)
    if host.network_mode == "container":
        raise InvalidParameter(_CONTAINER_FORMAT)
    if host.network_mode.startswith("container:"):
        _check_joined_network(config, host)
    return links


def _check_joined_network(config: ContainerConfig, host: HostConfig) -> None:
    if not host.network_mode.removeprefix("container:"):
        raise InvalidParameter(_CONTAINER_FORMAT)
    refused = {
        "hostname and the network mode": config.hostname,
        f"container {_LINKS_UNDEFINED}": host.links,
        "dns and the network mode": host.dns,
        "custom host-to-IP mapping and the network mode": host.extra_hosts,
        "mac-address and the network mode": config.mac_address,
        "port publishing and the container type network mode": host.port_bindings or host.publish_all_ports,
        "port exposing and the container type network mode": config.exposed_ports,
    }
    for text, given in refused.items():
        if given:
            raise InvalidParameter(f"conflicting options: {text}")


def check_restart(policy: RestartPolicy) -> None:
    """Raise InvalidParameter for an unknown policy or a count that it doesn't take."""
    count = policy.maximum_retry_count
    if policy.name and policy.name not in _POLICIES:
        raise InvalidParameter(
            f"invalid restart policy: unknown policy '{policy.name}'; "
            "use one of 'no', 'always', 'on-failure', or 'unless-stopped'"
        )
    if policy.name == "on-failure":
        if count < 0:
            raise InvalidParameter("invalid restart policy: maximum retry count cannot be negative")
    elif count != 0:
        negative = " and cannot be negative" if count < 0 else ""
        raise InvalidParameter(
            f"invalid restart policy: maximum retry count can only be used with 'on-failure'{negative}"
        )


def _capabilities(names: Iterable[str], field: str) -> tuple[str, ...]:
    """The capabilities as `CAP_…` or `ALL`. Raises InvalidParameter."""
    found: list[str] = []
    for name in names:
        bare = name.strip().upper().removeprefix("CAP_")
        if bare not in _CAPABILITIES:
            raise InvalidParameter(f'invalid {field}: unknown capability: "CAP_{bare}"')
        found.append("ALL" if bare == "ALL" else f"CAP_{bare}")
    return tuple(dict.fromkeys(found))


def _check_extra_hosts(entries: Iterable[str]) -> None:
    for entry in entries:
        name, colon, address = entry.partition(":")
        if not name or not colon:
            raise InvalidParameter(f'bad format for add-host: "{entry}"')
        if address != "host-gateway" and not is_ip_address(address):
            raise InvalidParameter(f'invalid IP address in add-host: "{address}"')
