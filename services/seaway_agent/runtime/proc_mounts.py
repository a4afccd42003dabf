"""Refuse user mounts at or below /proc, except for a few files: runc's rule, here for every runtime.

Otherwise the image or the user could redirect what a runtime writes to /proc (an AppArmor profile, sysctls).
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from seaway_agent.kernel import paths, syscalls
from seaway_agent.runtime.failures import refused_launch

# runc 1.1, rootfs_linux.go, checkProcMount: what lxcfs shows to a container, and FIPS mode.
ALLOWED: Final = frozenset(
    {
        *("/proc/cpuinfo", "/proc/diskstats", "/proc/loadavg", "/proc/meminfo", "/proc/slabinfo", "/proc/stat"),
        *("/proc/swaps", "/proc/uptime", "/proc/sys/kernel/ns_last_pid", "/proc/sys/crypto/fips_enabled"),
    }
)
_PROC_MAGIC: Final = 0x9FA0
_FOLLOWED: Final = frozenset({"bind", "tmpfs"})
Json = dict[str, Any]


def check_proc_mounts(root: int, mounts: Sequence[Json], sources: Mapping[str, str]) -> None:
    """Raise SeawayError for the first mount that would land at or below /proc.

    `root`: descriptor of the container's root; `mounts`: the bundle's, in order; `sources`: target → the user's source.
    Follows links of the image and of earlier mounts. The runtime follows them again, and a volume's links could change
    in between: then /proc, which `oci.mounts` puts last, hides what lands below it.
    """
    placed: list[tuple[str, str]] = []
    for mount in mounts:
        if mount["type"] not in _FOLLOWED:
            continue
        target, source = str(mount["destination"]), str(mount["source"]) if mount["type"] == "bind" else ""
        real = paths.resolve(root, target, _Links(root, placed))
        if target in sources:
            _check(target, real, source, sources[target])
        placed.append((real, source))


def _check(target: str, real: str, source: str, name: str) -> None:
    if real == "/proc":
        if not source or syscalls.filesystem_magic(source) != _PROC_MAGIC:
            raise _refused(name, target, real, "it is not of type proc")
    elif real.startswith("/proc/") and not (real in ALLOWED and real == target):
        raise _refused(name, target, real, "it is inside /proc")


def _refused(source: str, target: str, real: str, why: str) -> Exception:
    return refused_launch(
        f'error mounting "{source}" to rootfs at "{target}": "{real}" cannot be mounted because {why}'
    )


class _Links:
    """Reads links in a container's root as they are with the mounts so far."""

    def __init__(self, root: int, placed: Sequence[tuple[str, str]]) -> None:
        self._root = root
        self._placed = placed

    def __call__(self, parent: str, name: str) -> str | None:
        path = f"/{parent}/{name}" if parent else f"/{name}"
        for target, source in reversed(self._placed):
            if path == target:
                return None
            if path.startswith(f"{target}/"):
                return _link(source + path.removeprefix(target)) if source else None
        return paths.link_target(self._root, parent, name)


def _link(path: str) -> str | None:
    try:
        return str(Path(path).readlink())
    except OSError:
        return None
