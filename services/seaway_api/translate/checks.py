"""What Docker refuses in a create body, in its words (moby 26.1: daemon/container.go, daemon_unix.go, runconfig). Pure.

What only the node can know (its CPUs, its paths, its runtimes) the node's agent checks.
"""

import ipaddress
import posixpath
from collections.abc import Iterable
from typing import Final

from seaway_docker.errors import AUTO_REMOVE_WITH_RESTART, MEMORY_TOO_SMALL, InvalidParameter
from seaway_docker.model_container import ContainerConfig, HealthConfig
from seaway_docker.model_host import HostConfig, Resources, RestartPolicy
from seaway_docker.signals import parse_signal

_LEAST_MEMORY: Final = 6 << 20
_LEAST_SPAN_NS: Final = 1_000_000
_MOST_ENTRIES: Final = 65_536
_LOG_DRIVERS: Final = frozenset(("", "json-file", "local", "none"))
_POLICIES: Final = ("no", "always", "on-failure", "unless-stopped")
_CAPABILITIES: Final = frozenset((
    "AUDIT_CONTROL", "AUDIT_READ", "AUDIT_WRITE", "BLOCK_SUSPEND", "BPF", "CHECKPOINT_RESTORE", "CHOWN",
    "DAC_OVERRIDE", "DAC_READ_SEARCH", "FOWNER", "FSETID", "IPC_LOCK", "IPC_OWNER", "KILL", "LEASE",
    "LINUX_IMMUTABLE", "MAC_ADMIN", "MAC_OVERRIDE", "MKNOD", "NET_ADMIN", "NET_BIND_SERVICE", "NET_BROADCAST",
    "NET_RAW", "PERFMON", "SETFCAP", "SETGID", "SETPCAP", "SETUID", "SYSLOG", "SYS_ADMIN", "SYS_BOOT", "SYS_CHROOT",
    "SYS_MODULE", "SYS_NICE", "SYS_PACCT", "SYS_PTRACE", "SYS_RAWIO", "SYS_RESOURCE", "SYS_TIME", "SYS_TTY_CONFIG",
    "WAKE_ALARM", "ALL",
))  # fmt: skip


def check_config(config: ContainerConfig) -> None:
    """Raise InvalidParameter for a container config that can't be run anywhere."""
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


def check_host(host: HostConfig) -> None:
    """Raise InvalidParameter for a host config that contradicts itself."""
    check_restart(host.restart_policy)
    if host.auto_remove and host.restart_policy.name not in ("", "no"):
        raise InvalidParameter(AUTO_REMOVE_WITH_RESTART)
    _check_extra_hosts(host.extra_hosts or ())
    capabilities(host.cap_add or (), "CapAdd")
    capabilities(host.cap_drop or (), "CapDrop")
    if host.log_config.type not in _LOG_DRIVERS:
        raise InvalidParameter(f"logger: no log driver named '{host.log_config.type}' is registered")
    if host.device_requests:
        raise InvalidParameter("--gpus and other device requests are not supported yet: give the devices by --device")
    if host.links:
        raise InvalidParameter("--link is not supported yet: publish the port, or use --network container:NAME")
    if host.shm_size < 0:
        raise InvalidParameter("SHM size can not be less than 0")
    if not -1000 <= host.oom_score_adj <= 1000:
        raise InvalidParameter(f"Invalid value {host.oom_score_adj}, range for oom score adj is [-1000, 1000]")
    check_resources(host)


def check_modes(config: ContainerConfig, host: HostConfig) -> None:
    """Raise InvalidParameter for options that another container's network, or the host's UTS namespace, rules out."""
    if host.uts_mode == "host" and config.hostname:
        raise InvalidParameter("conflicting options: hostname and the UTS mode")
    if not host.network_mode.startswith("container:"):
        return
    if not host.network_mode.removeprefix("container:"):
        raise InvalidParameter("Invalid network mode: invalid container format container:<name|id>")
    refused = {
        "hostname and the network mode": config.hostname,
        "host type networking can't be used with links. This would result in undefined behavior": host.links,
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
    elif policy.name and count != 0:
        negative = " and cannot be negative" if count < 0 else ""
        raise InvalidParameter(
            f"invalid restart policy: maximum retry count can only be used with 'on-failure'{negative}"
        )


def capabilities(names: Iterable[str], field: str) -> tuple[str, ...]:
    """The capabilities as `CAP_…` or `ALL`. Raises InvalidParameter."""
    found: list[str] = []
    for name in names:
        bare = name.strip().upper().removeprefix("CAP_")
        if bare not in _CAPABILITIES:
            raise InvalidParameter(f'invalid {field}: unknown capability: "CAP_{bare}"')
        found.append("ALL" if bare == "ALL" else f"CAP_{bare}")
    return tuple(dict.fromkeys(found))


def check_resources(limits: Resources) -> None:
    """Raise InvalidParameter for limits out of range or against each other."""
    _check_memory(limits)
    _check_cpu(limits)
    if limits.blkio_weight and not 10 <= limits.blkio_weight <= 1000:
        raise InvalidParameter("Range of blkio weight is from 10 to 1000")
    for cpus, what in ((limits.cpuset_cpus, "cpus"), (limits.cpuset_mems, "mems")):
        if cpus and not set(cpus) <= set("0123456789,-"):
            raise InvalidParameter(f"Invalid value {cpus} for cpuset {what}")
    for limit in limits.ulimits or ():
        if limit.hard not in (-1,) and (limit.soft > limit.hard or limit.soft == -1):
            raise InvalidParameter(
                f"ulimit soft limit must be less than or equal to hard limit: {limit.soft} > {limit.hard}"
            )


def _check_memory(limits: Resources) -> None:
    memory, swap, reservation = limits.memory, limits.memory_swap, limits.memory_reservation
    swappiness = limits.memory_swappiness
    if memory != 0 and memory < _LEAST_MEMORY:
        raise InvalidParameter(MEMORY_TOO_SMALL)
    if memory > 0 and 0 < swap < memory:
        raise InvalidParameter("Minimum memoryswap limit should be larger than memory limit, see usage")
    if memory == 0 and swap > 0:
        raise InvalidParameter("You should always set the Memory limit when using Memoryswap limit, see usage")
    if swappiness is not None and swappiness != -1 and not 0 <= swappiness <= 100:
        raise InvalidParameter(f"Invalid value: {swappiness}, valid memory swappiness range is 0-100")
    if 0 < reservation < _LEAST_MEMORY:
        raise InvalidParameter("Minimum memory reservation allowed is 6MB")
    if 0 < memory < reservation:
        raise InvalidParameter("Minimum memory limit can not be less than memory reservation limit, see usage")


def _check_cpu(limits: Resources) -> None:
    if limits.nano_cpus and limits.cpu_period:
        raise InvalidParameter("Conflicting options: Nano CPUs and CPU Period cannot both be set.")
    if limits.nano_cpus and limits.cpu_quota:
        raise InvalidParameter("Conflicting options: Nano CPUs and CPU Quota cannot both be set.")
    if limits.nano_cpus < 0:
        raise InvalidParameter("NanoCPUs must not be negative")
    if limits.cpu_period and not 1000 <= limits.cpu_period <= 1_000_000:
        raise InvalidParameter("CPU cfs period can not be less than 1ms (i.e. 1000) or larger than 1s (i.e. 1000000)")
    if 0 < limits.cpu_quota < 1000:
        raise InvalidParameter("CPU cfs quota can not be less than 1ms (i.e. 1000)")


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


def _check_extra_hosts(entries: Iterable[str]) -> None:
    for entry in entries:
        name, colon, address = entry.partition(":")
        if not name or not colon:
            raise InvalidParameter(f'bad format for add-host: "{entry}"')
        if address == "host-gateway":
            continue
        try:
            ipaddress.ip_address(address.removeprefix("[").removesuffix("]"))
        except ValueError:
            raise InvalidParameter(f'invalid IP address in add-host: "{address}"') from None


def _check_text(config: ContainerConfig) -> None:
    """No NUL reaches a node, and no body holds more than a kernel or a record could."""
    texts = [*(config.env or ()), *(config.cmd or ()), *(config.entrypoint or ()), config.working_dir, config.user]
    if any("\0" in text for text in texts):
        raise InvalidParameter("command, environment, working directory and user must not hold NUL bytes")
    if len(texts) > _MOST_ENTRIES or len(config.labels or ()) > _MOST_ENTRIES:
        raise InvalidParameter(f"more than {_MOST_ENTRIES} arguments, variables or labels")
