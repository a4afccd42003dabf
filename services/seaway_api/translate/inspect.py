"""A container's record as `GET /containers/{id}/json` shows it (Docker API 1.47). Pure."""

from typing import Any, Final

from seaway_api.translate.mounts import asked_mounts, mount_points, tmpfs_map
from seaway_api.translate.networking import network_settings
from seaway_contracts.containers import ContainerRecord, ContainerSpec, ContainerStatus, State
from seaway_contracts.images import Healthcheck
from seaway_docker.timestamps import ZERO_TIME, rfc3339nano

MASKED: Final = (
    "/proc/asound", "/proc/acpi", "/proc/kcore", "/proc/keys", "/proc/latency_stats", "/proc/timer_list",
    "/proc/timer_stats", "/proc/sched_debug", "/proc/scsi", "/sys/firmware", "/sys/devices/virtual/powercap",
)  # fmt: skip
READ_ONLY: Final = ("/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger")
_UP: Final = frozenset((State.RUNNING, State.PAUSED, State.RESTARTING))
_DRIVER: Final = "overlay2"


def inspect_json(record: ContainerRecord) -> dict[str, Any]:
    """The whole answer."""
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
        "LogPath": status.log_path,
        "Name": f"/{spec.name}",
        "RestartCount": status.restart_count,
        "Driver": _DRIVER,
        "Platform": "linux",
        "MountLabel": "",
        "ProcessLabel": "",
        "AppArmorProfile": spec.security.apparmor,
        "ExecIDs": None,
        "HostConfig": host_config(spec),
        "GraphDriver": {"Data": None, "Name": _DRIVER},
        "Mounts": mount_points(spec),
        "Config": config_json(spec),
        "NetworkSettings": network_settings(spec, status),
        "Node": {"Name": record.node, "ID": record.node},
    }


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
        state["Health"] = {"Status": status.health, "FailingStreak": 0, "Log": []}
    return state


def _time(ns: int) -> str:
    return rfc3339nano(ns) if ns else ZERO_TIME


def config_json(spec: ContainerSpec) -> dict[str, Any]:
    """`Config`: what the user and the image gave together."""
    command = spec.command
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
        "OnBuild": None,
        "Labels": spec.labels,
    }
    if spec.network.exposed_ports:
        config["ExposedPorts"] = {port: {} for port in spec.network.exposed_ports}
    if spec.healthcheck is not None:
        config["Healthcheck"] = healthcheck_json(spec.healthcheck)
    if command.stop_signal:
        config["StopSignal"] = command.stop_signal
    if command.stop_timeout is not None:
        config["StopTimeout"] = command.stop_timeout
    return config


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
    """`HostConfig`, from what the record keeps of it."""
    return _isolation(spec) | _limits(spec) | _places(spec)


def _isolation(spec: ContainerSpec) -> dict[str, Any]:
    network, security, spaces = spec.network, spec.security, spec.namespaces
    return {
        "Binds": list(spec.binds) or None,
        "ContainerIDFile": "",
        "LogConfig": {"Type": spec.log.driver, "Config": spec.log.options},
        "NetworkMode": network.mode,
        "PortBindings": _port_bindings(spec),
        "RestartPolicy": {"Name": spec.restart.name, "MaximumRetryCount": spec.restart.max_retries},
        "AutoRemove": spec.auto_remove,
        "VolumeDriver": "",
        "VolumesFrom": list(spec.volumes_from) or None,
        "ConsoleSize": [0, 0],
        "CapAdd": list(security.cap_add) or None,
        "CapDrop": list(security.cap_drop) or None,
        "CgroupnsMode": spaces.cgroup,
        "Dns": list(network.dns),
        "DnsOptions": list(network.dns_options),
        "DnsSearch": list(network.dns_search),
        "ExtraHosts": list(network.extra_hosts) or None,
        "GroupAdd": list(security.group_add) or None,
        "IpcMode": spaces.ipc,
        "Cgroup": "",
        "Links": None,
        "OomScoreAdj": spec.resources.oom_score_adj,
        "PidMode": spaces.pid,
        "Privileged": security.privileged,
        "PublishAllPorts": network.publish_all,
        "ReadonlyRootfs": security.read_only_rootfs,
        "SecurityOpt": list(security.security_opt) or None,
        "UTSMode": spaces.uts,
        "UsernsMode": security.userns_mode,
        "ShmSize": spec.shm_size,
        "Runtime": spec.runtime,
        "Isolation": "",
    }


def _limits(spec: ContainerSpec) -> dict[str, Any]:
    limits = spec.resources
    return {
        "CpuShares": limits.cpu_shares,
        "Memory": limits.memory,
        "NanoCpus": limits.nano_cpus,
        "CgroupParent": "",
        "BlkioWeight": limits.blkio_weight,
        "BlkioWeightDevice": None,
        "BlkioDeviceReadBps": None,
        "BlkioDeviceWriteBps": None,
        "BlkioDeviceReadIOps": None,
        "BlkioDeviceWriteIOps": None,
        "CpuPeriod": limits.cpu_period,
        "CpuQuota": limits.cpu_quota,
        "CpuRealtimePeriod": 0,
        "CpuRealtimeRuntime": 0,
        "CpusetCpus": limits.cpuset_cpus,
        "CpusetMems": limits.cpuset_mems,
        "Devices": [
            {
                "PathOnHost": device.host_path,
                "PathInContainer": device.container_path,
                "CgroupPermissions": device.permissions,
            }
            for device in limits.devices
        ],
        "DeviceCgroupRules": list(limits.device_cgroup_rules) or None,
        "DeviceRequests": None,
        "MemoryReservation": limits.memory_reservation,
        "MemorySwap": limits.memory_swap,
        "MemorySwappiness": limits.memory_swappiness,
        "OomKillDisable": limits.oom_kill_disable,
        "PidsLimit": limits.pids_limit,
        "Ulimits": [{"Name": one.name, "Hard": one.hard, "Soft": one.soft} for one in limits.ulimits],
        "CpuCount": 0,
        "CpuPercent": 0,
        "IOMaximumIOps": 0,
        "IOMaximumBandwidth": 0,
    }


def _places(spec: ContainerSpec) -> dict[str, Any]:
    """Mounts, paths, and what is only shown where it was given."""
    security = spec.security
    shown: dict[str, Any] = {}
    if asked := asked_mounts(spec):
        shown["Mounts"] = asked
    if tmpfs := tmpfs_map(spec):
        shown["Tmpfs"] = tmpfs
    if spec.sysctls:
        shown["Sysctls"] = spec.sysctls
    if spec.annotations:
        shown["Annotations"] = spec.annotations
    if spec.command.init:
        shown["Init"] = True
    if security.privileged:
        return shown | {"MaskedPaths": None, "ReadonlyPaths": None}
    masked = MASKED if security.masked_paths is None else security.masked_paths
    read_only = READ_ONLY if security.readonly_paths is None else security.readonly_paths
    return shown | {"MaskedPaths": list(masked), "ReadonlyPaths": list(read_only)}


def _port_bindings(spec: ContainerSpec) -> dict[str, list[dict[str, str]]]:
    table: dict[str, list[dict[str, str]]] = {}
    for port in spec.network.ports:
        key = f"{port.container_port}/{port.protocol}"
        table.setdefault(key, []).append({"HostIp": port.host_ip, "HostPort": port.host_port})
    return table


def _list(args: tuple[str, ...] | None) -> list[str] | None:
    return None if args is None else list(args)
