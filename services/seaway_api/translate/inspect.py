"""A container's record as `GET /containers/{id}/json` shows it (Docker API 1.51). Pure."""

import posixpath
from collections.abc import Mapping
from typing import Any, Final

from seaway_api.translate.asked import asked_config, asked_host
from seaway_api.translate.listing import mount_points
from seaway_api.translate.networking import EndpointForm, network_settings, shown_mode
from seaway_api.translate.nodes import NodeView
from seaway_contracts.containers import ContainerRecord, ContainerSpec, ContainerStatus, Health, State
from seaway_contracts.images import Healthcheck
from seaway_docker.links import parse_link
from seaway_docker.networks import is_user_defined
from seaway_docker.ports import exposed_ports
from seaway_docker.timestamps import ZERO_TIME, rfc3339nano

MASKED: Final = (
    "/proc/asound", "/proc/acpi", "/proc/kcore", "/proc/keys", "/proc/latency_stats", "/proc/timer_list",
    "/proc/timer_stats", "/proc/sched_debug", "/proc/scsi", "/sys/firmware", "/sys/devices/virtual/powercap",
)  # fmt: skip
READ_ONLY: Final = ("/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger")
_UP: Final = frozenset((State.RUNNING, State.PAUSED, State.RESTARTING))
_DRIVER: Final = "overlay2"


def inspect_json(
    record: ContainerRecord, form: EndpointForm = EndpointForm.SINCE_1_45, node: NodeView | None = None
) -> dict[str, Any]:
    """The whole answer. `node`: what is known of the container's node; without it, its name."""
    node = node or NodeView(record.node)
    spec, status = record.spec, record.status
    args = spec.command.args
    return {
        "Id": spec.id,
        "Created": rfc3339nano(spec.created_ns),
        "Path": args[0] if args else "",
        "Args": list(args[1:]),
        "State": state_json(status),
        "Image": spec.image.id,
        "ResolvConfPath": "",
        "HostnamePath": "",
        "HostsPath": "",
        "LogPath": status.log_path if status.run else "",
        "Name": f"/{spec.name}",
        "RestartCount": status.restart_count,
        "Driver": _DRIVER,
        "Platform": "linux",
        "MountLabel": "",
        "ProcessLabel": "",
        "AppArmorProfile": spec.security.apparmor if status.apparmor is None else status.apparmor,
        "ExecIDs": list(status.exec_ids) or None,
        "HostConfig": host_config(spec),
        "GraphDriver": {"Data": _writable(status), "Name": _DRIVER},
        "Mounts": mount_points(spec),
        "Config": config_json(spec),
        "NetworkSettings": network_settings(spec, status, form, node.ports_address),
        "Node": node.json(),
    }


def _writable(status: ContainerStatus) -> dict[str, str] | None:
    """Where the writable layer is on its node: beside the log. The merged tree is mounted nowhere on the host."""
    if not status.log_path:
        return None
    place = posixpath.dirname(status.log_path)
    return {"UpperDir": f"{place}/upper", "WorkDir": f"{place}/work"}


def state_json(status: ContainerStatus) -> dict[str, Any]:
    """`State`. `Running` is also true of a paused and of a restarting container, as in Docker."""
    state: dict[str, Any] = {
        "Status": status.state.value,
        "Running": status.state in _UP,
        "Paused": status.state == State.PAUSED,
        "Restarting": status.state == State.RESTARTING,
        "OOMKilled": status.oom_killed,
        "Dead": status.state == State.DEAD,
        "Pid": status.pid,
        "ExitCode": status.exit_code,
        "Error": status.error,
        "StartedAt": _time(status.started_ns),
        "FinishedAt": _time(status.finished_ns),
    }
    if status.health:
        state["Health"] = health_json(status.health)
    return state


def health_json(health: Health) -> dict[str, Any]:
    """`State.Health`."""
    return {
        "Status": health.status,
        "FailingStreak": health.failing_streak,
        "Log": [
            {
                "Start": rfc3339nano(probe.started_ns),
                "End": rfc3339nano(probe.ended_ns),
                "ExitCode": probe.exit_code,
                "Output": probe.output,
            }
            for probe in health.log
        ],
    }


def _time(ns: int) -> str:
    return rfc3339nano(ns) if ns else ZERO_TIME


def config_json(spec: ContainerSpec) -> dict[str, Any]:
    """`Config`: what the user and the image gave together."""
    command, asked = spec.command, asked_config(spec)
    config: dict[str, Any] = {
        "Hostname": spec.network.hostname,
        "Domainname": spec.network.domainname,
        "User": command.user,
        "AttachStdin": command.attach_stdin,
        "AttachStdout": command.attach_stdout,
        "AttachStderr": command.attach_stderr,
        "Tty": command.tty,
        "OpenStdin": command.open_stdin,
        "StdinOnce": command.stdin_once,
        "Env": list(command.env),
        "Cmd": _list(command.cmd),
        "Image": spec.image.ref,
        "Volumes": {path: {} for path in spec.image_volumes} or None,
        "WorkingDir": command.workdir,
        "Entrypoint": _list(command.entrypoint),
        "OnBuild": asked.get("OnBuild"),
        "Labels": spec.labels,
    }
    if spec.network.exposed_ports:
        config["ExposedPorts"] = _exposed(spec, asked)
    if mac := _mac_address(spec):
        config["MacAddress"] = mac
    config |= {key: asked[key] for key in ("ArgsEscaped", "NetworkDisabled", "Shell") if key in asked}
    if spec.healthcheck is not None:
        config["Healthcheck"] = healthcheck_json(spec.healthcheck)
    if command.stop_signal:
        config["StopSignal"] = command.stop_signal
    if command.stop_timeout is not None:
        config["StopTimeout"] = command.stop_timeout
    return config


def _mac_address(spec: ContainerSpec) -> str:
    """What was asked for in the mode's network; a field of old clients."""
    mode = shown_mode(spec)
    return next((one.mac_address for one in spec.network.endpoints if mode in (one.network, one.network_id)), "")


def _exposed(spec: ContainerSpec, asked: dict[str, Any]) -> dict[str, Any]:
    """The user's ports as he wrote them, then the image's."""
    given = asked.get("ExposedPorts") or {}
    covered = {str(port) for port in exposed_ports(given)}
    return given | {port: {} for port in spec.network.exposed_ports if port not in covered}


def healthcheck_json(health: Healthcheck) -> dict[str, Any]:
    """A probe; what is zero is left out."""
    fields = {
        "Test": list(health.test),
        "Interval": health.interval_ns,
        "Timeout": health.timeout_ns,
        "StartPeriod": health.start_period_ns,
        "StartInterval": health.start_interval_ns,
        "Retries": health.retries,
    }
    return {key: value for key, value in fields.items() if value}


def host_config(spec: ContainerSpec) -> dict[str, Any]:
    """`HostConfig`: as it was asked for, but for what has been resolved or can have changed since."""
    asked = asked_host(spec)
    return {**asked, **_resolved(spec, asked), **_limits(spec), **_privileges(spec, asked)}


def _resolved(spec: ContainerSpec, asked: Mapping[str, Any]) -> dict[str, Any]:
    spaces = spec.namespaces
    return {
        "LogConfig": {"Type": spec.log.driver, "Config": spec.log.options},
        "NetworkMode": shown_mode(spec),
        "RestartPolicy": {"Name": spec.restart.name, "MaximumRetryCount": spec.restart.max_retries},
        "CgroupnsMode": spaces.cgroup,
        "IpcMode": spaces.ipc,
        "PidMode": spaces.pid,
        "Links": _links(spec, asked),
        "ShmSize": spec.shm_size,
        "Runtime": spec.runtime,
    }


def _links(spec: ContainerSpec, asked: Mapping[str, Any]) -> list[str] | None:
    """Those of the default bridge. Without an endpoint nothing came of them: they are shown as asked for."""
    bridged = (one for one in spec.network.endpoints if one.network == "bridge")
    named = [(link.name, link.alias) for one in bridged for link in one.links]
    if not spec.network.endpoints and not is_user_defined(shown_mode(spec)):
        named = list(dict.fromkeys(map(parse_link, asked["Links"] or ())))
    return [f"/{name}:/{spec.name}/{alias}" for name, alias in named] or None


def _limits(spec: ContainerSpec) -> dict[str, Any]:
    """What an update changes."""
    limits = spec.resources
    return {
        "CpuShares": limits.cpu_shares,
        "Memory": limits.memory,
        "NanoCpus": limits.nano_cpus,
        "BlkioWeight": limits.blkio_weight,
        "CpuPeriod": limits.cpu_period,
        "CpuQuota": limits.cpu_quota,
        "CpuRealtimePeriod": limits.cpu_realtime_period,
        "CpuRealtimeRuntime": limits.cpu_realtime_runtime,
        "CpusetCpus": limits.cpuset_cpus,
        "CpusetMems": limits.cpuset_mems,
        "MemoryReservation": limits.memory_reservation,
        "MemorySwap": limits.memory_swap,
        "MemorySwappiness": limits.memory_swappiness,
        "OomKillDisable": limits.oom_kill_disable,
        "PidsLimit": None if (limits.pids_limit or 0) < 0 else limits.pids_limit,
    }


def _privileges(spec: ContainerSpec, asked: Mapping[str, Any]) -> dict[str, Any]:
    """Docker takes labels away from whoever sees the host's processes, and says so."""
    security, spaces = spec.security, spec.namespaces
    shown: dict[str, Any] = {"MaskedPaths": asked["MaskedPaths"], "ReadonlyPaths": asked["ReadonlyPaths"]}
    if security.privileged or "host" in (spaces.pid, spaces.ipc):
        given = asked["SecurityOpt"] or []
        shown["SecurityOpt"] = given if "label=disable" in given else [*given, "label=disable"]
    if not security.privileged:
        shown["MaskedPaths"] = list(MASKED if security.masked_paths is None else security.masked_paths)
        shown["ReadonlyPaths"] = list(READ_ONLY if security.readonly_paths is None else security.readonly_paths)
    return shown


def _list(args: tuple[str, ...] | None) -> list[str] | None:
    return None if args is None else list(args)
