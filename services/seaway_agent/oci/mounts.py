"""The mounts of a container: the kernel's filesystems as Docker mounts them, and the user's. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from seaway_contracts.containers import ContainerSpec

Json = dict[str, Any]


@dataclass(frozen=True)
class HostMount:
    """A mount with its source on the host."""

    source: str
    target: str
    options: tuple[str, ...]
    type: str = "bind"


def mounts(spec: ContainerSpec, given: Sequence[HostMount], shared_memory: str = "") -> list[Json]:
    """The kernel's filesystems, then the user's by depth of their target; /proc and mounts in it last.

    So /proc hides what a link leads into it: see `runtime.proc_mounts`. `shared_memory`: path of another container's
    /dev/shm, for a container that shares its ipc namespace.
    """
    privileged = spec.security.privileged
    tmpfs_targets = {mount.target for mount in spec.mounts if mount.type == "tmpfs"}
    taken = {mount.target for mount in given} | tmpfs_targets
    table = [
        _mount("/proc", "proc", "proc", "nosuid", "noexec", "nodev"),
        _mount("/dev", "tmpfs", "tmpfs", "nosuid", "strictatime", "mode=755", "size=65536k"),
        _mount(
            "/dev/pts", "devpts", "devpts", "nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"
        ),
        _mount("/sys", "sysfs", "sysfs", "nosuid", "noexec", "nodev", *(() if privileged else ("ro",))),
        _mount("/sys/fs/cgroup", "cgroup", "cgroup", *(() if privileged else ("ro",)), "nosuid", "noexec", "nodev"),
        _mount("/dev/mqueue", "mqueue", "mqueue", "nosuid", "noexec", "nodev"),
        *_shm(spec, shared_memory),
    ]
    table = [entry for entry in table if entry["destination"] not in taken]
    own = [_mount(m.target, m.type, m.source, *m.options) for m in given]
    own += [
        _tmpfs(m.target, m.options, m.size, m.mode, read_only=m.read_only) for m in spec.mounts if m.type == "tmpfs"
    ]
    return sorted(table + sorted(own, key=_depth), key=_is_in_proc)


def _depth(mount: Json) -> int:
    return str(mount["destination"]).rstrip("/").count("/")


def _is_in_proc(mount: Json) -> bool:
    return f"{mount['destination']}/".startswith("/proc/")


def _shm(spec: ContainerSpec, shared_memory: str) -> list[Json]:
    """The mount of /dev/shm, which depends on the ipc namespace."""
    if spec.namespaces.ipc == "host":
        return [_mount("/dev/shm", "bind", "/dev/shm", "rbind", "rprivate")]
    if shared_memory:
        return [_mount("/dev/shm", "bind", shared_memory, "rbind", "rprivate", "nosuid", "noexec", "nodev")]
    if spec.namespaces.ipc not in ("", "private", "shareable"):
        return []
    return [_mount("/dev/shm", "tmpfs", "shm", "nosuid", "noexec", "nodev", "mode=1777", f"size={spec.shm_size}")]


def _tmpfs(target: str, options: Sequence[str], size: int, mode: int, *, read_only: bool) -> Json:
    given = list(options)
    chosen = [flag for flag in ("nosuid", "nodev", "noexec") if flag.removeprefix("no") not in given]
    chosen += [option for option in given if option not in chosen]
    if read_only:
        chosen.append("ro")
    if size:
        chosen.append(f"size={size}")
    if not any(option.startswith("mode=") for option in chosen):
        chosen.append(f"mode={mode:o}")
    return _mount(target, "tmpfs", "tmpfs", *chosen)


def _mount(target: str, kind: str, source: str, *options: str) -> Json:
    return {"destination": target, "type": kind, "source": source, "options": list(options)}
