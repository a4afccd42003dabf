"""The OCI runtime config composed from a container's spec, section by section, over Docker's defaults."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from seaway_agent.oci import capabilities, devices
from seaway_agent.oci.limits import limits
from seaway_agent.oci.mounts import HostMount as HostMount
from seaway_agent.oci.mounts import mounts
from seaway_contracts.containers import ContainerSpec, Resources

Json = dict[str, Any]

MASKED: Final = (
    "/proc/asound", "/proc/acpi", "/proc/kcore", "/proc/keys", "/proc/latency_stats", "/proc/timer_list",
    "/proc/timer_stats", "/proc/sched_debug", "/proc/scsi", "/sys/firmware", "/sys/devices/virtual/powercap",
)  # fmt: skip
_OPEN_FILES: Final = "RLIMIT_NOFILE"
ANNOTATIONS: Final = ("org.opencontainers.image.",)
"""Name prefixes of the user's annotations that are passed to the runtime: no runtime acts on these.

Runtimes act on others as root of the host. `run.oci.*` has crun load another seccomp filter, open files and sockets, or
run the container by another program, as do `module.wasm.*` and `krun.*`; `org.systemd.property.*` and `org.criu.*` are
settings of systemd and CRIU, `dev.gvisor.*` flags of runsc; `io.kubernetes.*` makes a container part of a pod.
"""
READ_ONLY: Final = ("/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger")
DEFAULT_PATH: Final = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass(frozen=True)
class User:
    """The first process's user, looked up in the image's passwd and group."""

    uid: int = 0
    gid: int = 0
    groups: tuple[int, ...] = ()
    home: str = "/"


@dataclass(frozen=True)
class SpecOptions:
    """What the node adds to a spec: paths, the resolved user, namespaces to join, host facts.

    `env` goes before the user's variables, `late_env` after them (CDI). `hooks` are OCI's, by name, `annotations` the
    node's own. `weights`: the kernel has block I/O weights. `apparmor`: the profile to run under, if any.
    `open_files`: soft and hard limit of containers that set none.
    """

    rootfs: str
    cgroups_path: str
    hostname: str
    user: User = field(default_factory=User)
    mounts: tuple[HostMount, ...] = ()
    joined: Mapping[str, str] = field(default_factory=dict)
    seccomp: Json | None = None
    annotations: Mapping[str, str] = field(default_factory=dict)
    cgroup_v2: bool = False
    host_devices: Sequence[devices.HostDevice] = ()
    init_path: str = ""
    grantable: Collection[str] = capabilities.ALL
    env: tuple[str, ...] = ()
    late_env: tuple[str, ...] = ()
    hooks: Mapping[str, Sequence[Json]] = field(default_factory=dict)
    block_devices: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    shared_memory: str = ""
    weights: bool = True
    apparmor: str = ""
    open_files: tuple[int, int] | None = None


def compose(spec: ContainerSpec, options: SpecOptions) -> Json:
    """The whole `config.json`."""
    return {
        "ociVersion": "1.0.2",
        "process": _process(spec, options),
        "root": {"path": options.rootfs, "readonly": spec.security.read_only_rootfs},
        **({"hostname": options.hostname} if spec.namespaces.uts != "host" else {}),
        "mounts": mounts(spec, options.mounts, options.shared_memory),
        "annotations": {**_allowed_annotations(spec.annotations), **options.annotations},
        **({"hooks": {name: list(entries) for name, entries in options.hooks.items()}} if options.hooks else {}),
        "linux": _linux(spec, options),
    }


def _allowed_annotations(annotations: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in annotations.items() if name.startswith(ANNOTATIONS)}


def _process(spec: ContainerSpec, options: SpecOptions) -> Json:
    command, user = spec.command, options.user
    chosen = capabilities.effective(spec.security.cap_add, spec.security.cap_drop, spec.security.privileged)
    caps = [name for name in chosen if name in options.grantable]
    args = list(command.args)
    process: Json = {
        "terminal": command.tty,
        "user": {"uid": user.uid, "gid": user.gid, "additionalGids": list(dict.fromkeys((user.gid, *user.groups)))},
        "args": ["/sbin/docker-init", "--", *args] if command.init else args,
        "env": environment(spec, options),
        "cwd": command.workdir or "/",
        "capabilities": {"bounding": caps, "effective": caps, "permitted": caps},
        "noNewPrivileges": spec.security.no_new_privileges,
        "oomScoreAdj": spec.resources.oom_score_adj,
    }
    if command.tty and (command.height or command.width):
        process["consoleSize"] = {"height": command.height, "width": command.width}
    if limits := rlimits(spec.resources, options.open_files):
        process["rlimits"] = limits
    if options.apparmor:
        process["apparmorProfile"] = options.apparmor
    return process


def rlimits(resources: Resources, open_files: tuple[int, int] | None) -> list[Json]:
    """The ulimits. `open_files`: soft and hard limit where none is asked for."""
    asked = [(f"RLIMIT_{limit.name.upper()}", limit.soft, limit.hard) for limit in resources.ulimits]
    if open_files is not None and _OPEN_FILES not in (name for name, *_ in asked):
        asked.append((_OPEN_FILES, *open_files))
    return [{"type": name, "soft": _unsigned(soft), "hard": _unsigned(hard)} for name, soft, hard in asked]


def environment(spec: ContainerSpec, options: SpecOptions) -> list[str]:
    """Docker's order: PATH, HOSTNAME, TERM with a terminal, links, the image's and the user's, HOME."""
    values = {"PATH": DEFAULT_PATH, "HOSTNAME": options.hostname}
    if spec.command.tty:
        values["TERM"] = "xterm"
    for item in (*options.env, *spec.command.env, *options.late_env):
        name, sign, value = item.partition("=")
        if sign:
            values[name] = value
        else:
            values.pop(name, None)
    values["HOME"] = values.get("HOME") or options.user.home
    return [f"{name}={value}" for name, value in values.items()]


def _linux(spec: ContainerSpec, options: SpecOptions) -> Json:
    security = spec.security
    section: Json = {
        "cgroupsPath": options.cgroups_path,
        "namespaces": _namespaces(spec, options),
        "resources": resources(spec, options),
        "devices": devices.nodes(spec, options.host_devices),
        "rootfsPropagation": _propagation(spec),
    }
    if sysctls := _sysctls(spec):
        section["sysctl"] = sysctls
    if not security.privileged:
        section["maskedPaths"] = list(MASKED if security.masked_paths is None else security.masked_paths)
        section["readonlyPaths"] = list(READ_ONLY if security.readonly_paths is None else security.readonly_paths)
    if options.seccomp is not None:
        section["seccomp"] = options.seccomp
    return {key: value for key, value in section.items() if value not in ([], "")}


def _sysctls(spec: ContainerSpec) -> dict[str, str]:
    """The user's sysctls and the domain name, which Docker sets by sysctl, as runc 1.1 knows no `domainname`."""
    named = spec.network.domainname and spec.namespaces.uts != "host"
    return {**({"kernel.domainname": spec.network.domainname} if named else {}), **spec.sysctls}


def _propagation(spec: ContainerSpec) -> str:
    """The rootfs propagation: a shared or slave bind needs the same of the root."""
    kinds = {mount.propagation for mount in spec.mounts if mount.type == "bind"}
    if kinds & {"shared", "rshared"}:
        return "shared"
    return "slave" if kinds & {"slave", "rslave"} else ""


def _namespaces(spec: ContainerSpec, options: SpecOptions) -> list[Json]:
    modes = spec.namespaces
    hosted = {
        "pid": modes.pid == "host",
        "ipc": modes.ipc == "host",
        "uts": modes.uts == "host",
        "network": spec.network.sandbox == "host",
        "cgroup": modes.cgroup == "host" or (not options.cgroup_v2 and modes.cgroup != "private"),
    }
    table: list[Json] = [{"type": "mount"}]
    for kind, host in hosted.items():
        if not host:
            path = options.joined.get(kind)
            table.append({"type": kind, "path": path} if path else {"type": kind})
    return table


def resources(spec: ContainerSpec, options: SpecOptions) -> Json:
    """The limits, in OCI's form (config-linux.md)."""
    found = limits(spec.resources, options.block_devices, weights=options.weights, cgroup_v2=options.cgroup_v2)
    return {"devices": devices.rules(spec, options.host_devices), **found}


def _unsigned(value: int) -> int:
    """Docker's -1 (unlimited) as the kernel's RLIM_INFINITY."""
    return value if value >= 0 else 2**64 - 1
