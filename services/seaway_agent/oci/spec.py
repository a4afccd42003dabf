"""The OCI runtime config composed from a container's spec, section by section, over Docker's defaults."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from seaway_agent.oci import capabilities, devices
from seaway_contracts.containers import ContainerSpec, Resources

Json = dict[str, Any]

MASKED: Final = (
    "/proc/asound", "/proc/acpi", "/proc/kcore", "/proc/keys", "/proc/latency_stats", "/proc/timer_list",
    "/proc/timer_stats", "/proc/sched_debug", "/proc/scsi", "/sys/firmware", "/sys/devices/virtual/powercap",
)  # fmt: skip
READ_ONLY: Final = ("/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger")
DEFAULT_PATH: Final = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_PERIOD_US: Final = 100_000


@dataclass(frozen=True)
class User:
    """Who the first process is, looked up in the image's passwd and group."""

    uid: int = 0
    gid: int = 0
    groups: tuple[int, ...] = ()
    home: str = "/"


@dataclass(frozen=True)
class HostMount:
    """A mount whose source is known on the host."""

    source: str
    target: str
    options: tuple[str, ...]
    type: str = "bind"


@dataclass(frozen=True)
class Surroundings:
    """What the node adds to a spec: paths, the looked-up user, namespaces to join, host facts."""

    rootfs: str
    cgroups_path: str
    hostname: str
    user: User = field(default_factory=User)
    mounts: tuple[HostMount, ...] = ()
    joined: Mapping[str, str] = field(default_factory=dict)
    seccomp: Json | None = None
    cgroup_v2: bool = False
    host_devices: Sequence[devices.HostDevice] = ()
    init_path: str = ""
    grantable: Collection[str] = capabilities.ALL


def compose(spec: ContainerSpec, around: Surroundings) -> Json:
    """The whole `config.json`."""
    return {
        "ociVersion": "1.0.2",
        "process": _process(spec, around),
        "root": {"path": around.rootfs, "readonly": spec.security.read_only_rootfs},
        **({"hostname": around.hostname} if spec.namespaces.uts != "host" else {}),
        "mounts": mounts(spec, around),
        "annotations": dict(spec.annotations),
        "linux": _linux(spec, around),
    }


def _process(spec: ContainerSpec, around: Surroundings) -> Json:
    command, user = spec.command, around.user
    chosen = capabilities.effective(spec.security.cap_add, spec.security.cap_drop, spec.security.privileged)
    caps = [name for name in chosen if name in around.grantable]
    args = list(command.args)
    process: Json = {
        "terminal": command.tty,
        "user": {"uid": user.uid, "gid": user.gid, "additionalGids": list(dict.fromkeys((user.gid, *user.groups)))},
        "args": ["/sbin/docker-init", "--", *args] if command.init else args,
        "env": environment(spec, around),
        "cwd": command.workdir or "/",
        "capabilities": {"bounding": caps, "effective": caps, "permitted": caps},
        "noNewPrivileges": spec.security.no_new_privileges,
        "oomScoreAdj": spec.resources.oom_score_adj,
    }
    if spec.resources.ulimits:
        process["rlimits"] = [
            {"type": f"RLIMIT_{limit.name.upper()}", "soft": _unsigned(limit.soft), "hard": _unsigned(limit.hard)}
            for limit in spec.resources.ulimits
        ]
    if spec.security.apparmor and spec.security.apparmor != "unconfined":
        process["apparmorProfile"] = spec.security.apparmor
    return process


def environment(spec: ContainerSpec, around: Surroundings) -> list[str]:
    """Docker's order: PATH, HOSTNAME, TERM with a terminal, the image's and the user's, HOME."""
    values = {"PATH": DEFAULT_PATH, "HOSTNAME": around.hostname}
    if spec.command.tty:
        values["TERM"] = "xterm"
    for item in spec.command.env:
        name, sign, value = item.partition("=")
        if sign:
            values[name] = value
        else:
            values.pop(name, None)
    values.setdefault("HOME", around.user.home)
    return [f"{name}={value}" for name, value in values.items()]


def mounts(spec: ContainerSpec, around: Surroundings) -> list[Json]:
    """The kernel's filesystems as Docker mounts them, then the user's by depth of their target."""
    privileged = spec.security.privileged
    tmpfs_targets = {mount.target for mount in spec.mounts if mount.type == "tmpfs"}
    given = {mount.target for mount in around.mounts} | tmpfs_targets
    table = [
        _mount("/proc", "proc", "proc", "nosuid", "noexec", "nodev"),
        _mount("/dev", "tmpfs", "tmpfs", "nosuid", "strictatime", "mode=755", "size=65536k"),
        _mount(
            "/dev/pts", "devpts", "devpts", "nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"
        ),
        _mount("/sys", "sysfs", "sysfs", "nosuid", "noexec", "nodev", *(() if privileged else ("ro",))),
        _mount("/sys/fs/cgroup", "cgroup", "cgroup", *(() if privileged else ("ro",)), "nosuid", "noexec", "nodev"),
        _mount("/dev/mqueue", "mqueue", "mqueue", "nosuid", "noexec", "nodev"),
        *_shm(spec),
    ]
    table = [entry for entry in table if entry["destination"] not in given]
    own = [_mount(m.target, m.type, m.source, *m.options) for m in around.mounts]
    own += [_tmpfs(m.target, m.options, m.size, m.mode) for m in spec.mounts if m.type == "tmpfs"]
    return table + sorted(own, key=lambda entry: str(entry["destination"]).rstrip("/").count("/"))


def _shm(spec: ContainerSpec) -> list[Json]:
    """Shared memory goes with the ipc namespace."""
    if spec.namespaces.ipc == "host":
        return [_mount("/dev/shm", "bind", "/dev/shm", "rbind", "rprivate")]
    if spec.namespaces.ipc not in ("", "private", "shareable"):
        return []
    return [_mount("/dev/shm", "tmpfs", "shm", "nosuid", "noexec", "nodev", "mode=1777", f"size={spec.shm_size}")]


def _tmpfs(target: str, options: Sequence[str], size: int, mode: int) -> Json:
    given = list(options)
    chosen = [flag for flag in ("nosuid", "nodev", "noexec") if flag.removeprefix("no") not in given]
    chosen += [option for option in given if option not in chosen]
    if size:
        chosen.append(f"size={size}")
    if not any(option.startswith("mode=") for option in chosen):
        chosen.append(f"mode={mode:o}")
    return _mount(target, "tmpfs", "tmpfs", *chosen)


def _mount(target: str, kind: str, source: str, *options: str) -> Json:
    return {"destination": target, "type": kind, "source": source, "options": list(options)}


def _linux(spec: ContainerSpec, around: Surroundings) -> Json:
    security = spec.security
    section: Json = {
        "cgroupsPath": around.cgroups_path,
        "namespaces": _namespaces(spec, around),
        "resources": resources(spec, around),
        "devices": devices.nodes(spec, around.host_devices),
        "rootfsPropagation": _propagation(spec),
    }
    if sysctls := _sysctls(spec):
        section["sysctl"] = sysctls
    if not security.privileged:
        section["maskedPaths"] = list(MASKED if security.masked_paths is None else security.masked_paths)
        section["readonlyPaths"] = list(READ_ONLY if security.readonly_paths is None else security.readonly_paths)
    if around.seccomp is not None:
        section["seccomp"] = around.seccomp
    return {key: value for key, value in section.items() if value not in ([], "")}


def _sysctls(spec: ContainerSpec) -> dict[str, str]:
    """The user's, over the domain name: a sysctl, as Docker sets it, since runc 1.1 knows no `domainname`."""
    named = spec.network.domainname and spec.namespaces.uts != "host"
    return {**({"kernel.domainname": spec.network.domainname} if named else {}), **spec.sysctls}


def _propagation(spec: ContainerSpec) -> str:
    """A shared or slave bind needs the container's root to pass mounts on."""
    kinds = {mount.propagation for mount in spec.mounts if mount.type == "bind"}
    if kinds & {"shared", "rshared"}:
        return "shared"
    return "slave" if kinds & {"slave", "rslave"} else ""


def _namespaces(spec: ContainerSpec, around: Surroundings) -> list[Json]:
    modes = spec.namespaces
    hosted = {
        "pid": modes.pid == "host",
        "ipc": modes.ipc == "host",
        "uts": modes.uts == "host",
        "network": spec.network.mode == "host",
        "cgroup": modes.cgroup == "host" or (not around.cgroup_v2 and modes.cgroup != "private"),
    }
    table: list[Json] = [{"type": "mount"}]
    for kind, host in hosted.items():
        if not host:
            path = around.joined.get(kind)
            table.append({"type": kind, "path": path} if path else {"type": kind})
    return table


def resources(spec: ContainerSpec, around: Surroundings) -> Json:
    """The limits, in OCI's form (config-linux.md)."""
    asked = spec.resources
    section: Json = {
        "devices": devices.rules(spec, around.host_devices),
        "memory": _memory(asked),
        "cpu": _cpu(asked),
        "blockIO": {"weight": asked.blkio_weight} if asked.blkio_weight else {},
    }
    if asked.pids_limit is not None and asked.pids_limit > 0:
        section["pids"] = {"limit": asked.pids_limit}
    return {key: value for key, value in section.items() if value}


def _memory(asked: Resources) -> Json:
    section: Json = {}
    if asked.memory > 0:
        section["limit"] = asked.memory
        section["swap"] = asked.memory_swap or 2 * asked.memory
    if asked.memory_reservation > 0:
        section["reservation"] = asked.memory_reservation
    if asked.memory_swappiness is not None and asked.memory_swappiness >= 0:
        section["swappiness"] = asked.memory_swappiness
    if asked.oom_kill_disable:
        section["disableOOMKiller"] = True
    return section


def _cpu(asked: Resources) -> Json:
    section: Json = {}
    if asked.nano_cpus:
        section["period"], section["quota"] = _PERIOD_US, asked.nano_cpus * _PERIOD_US // 1_000_000_000
    if asked.cpu_period:
        section["period"] = asked.cpu_period
    if asked.cpu_quota:
        section["quota"] = asked.cpu_quota
    if asked.cpu_shares:
        section["shares"] = asked.cpu_shares
    if asked.cpuset_cpus:
        section["cpus"] = asked.cpuset_cpus
    if asked.cpuset_mems:
        section["mems"] = asked.cpuset_mems
    return section


def _unsigned(value: int) -> int:
    """Docker's -1 (unlimited) as the kernel's RLIM_INFINITY."""
    return value if value >= 0 else 2**64 - 1
