"""Facts of a node for `docker info` and the scheduler. Read once at start: none of them changes."""

import os
import platform
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from seaway_agent.kernel import syscalls
from seaway_agent.kernel.cgroup_text import CgroupLayout, CgroupMode

# Names as Docker shows them (daemon/graphdriver/driver_linux.go), numbers of linux/magic.h.
_FILE_SYSTEMS: Final[Mapping[int, str]] = {
    0xEF53: "extfs",
    0x58465342: "xfs",
    0x9123683E: "btrfs",
    0x01021994: "tmpfs",
    0x794C7630: "overlayfs",
    0x2FC12FC1: "zfs",
    0xF2F52010: "f2fs",
    0x6969: "nfs",
    0x65735546: "fuse",
    0x52654973: "reiserfs",
    0x3153464A: "jfs",
    0x858458F6: "ramfs",
    0x73717368: "squashfs",
}
# uname -m -> GOARCH, the architecture words of images and of `docker version`.
_GOARCH: Final[Mapping[str, str]] = {
    "x86_64": "amd64",
    "aarch64": "arm64",
    "armv7l": "arm",
    "armv6l": "arm",
    "i686": "386",
    "ppc64le": "ppc64le",
    "s390x": "s390x",
    "riscv64": "riscv64",
    "loongarch64": "loong64",
}


@dataclass(frozen=True, slots=True)
class HostInfo:
    """`memory_total` in bytes; `architecture` as uname has it (`docker info`), `goarch` as images do."""

    hostname: str
    kernel_version: str
    operating_system: str
    os_version: str
    architecture: str
    goarch: str
    cpus: int
    memory_total: int
    swap_total: int
    backing_filesystem: str
    cgroup_mode: CgroupMode
    security_options: tuple[str, ...]


def parse_os_release(text: str) -> dict[str, str]:
    """The assignments of os-release(5), unquoted."""
    pairs = (line.partition("=") for line in text.splitlines() if "=" in line and not line.lstrip().startswith("#"))
    return {key.strip(): "".join(shlex.split(value)[:1]) for key, _, value in pairs}


def parse_meminfo(text: str) -> dict[str, int]:
    """The sizes of /proc/meminfo, in bytes."""
    words = (line.replace(":", " ").split() for line in text.splitlines())
    return {word[0]: int(word[1]) * 1024 for word in words if len(word) == 3 and word[2] == "kB"}


def security_options(*, seccomp: bool, apparmor: bool, cgroup_mode: CgroupMode) -> tuple[str, ...]:
    """SecurityOptions of `docker info`. Docker gives containers a cgroup namespace of their own on cgroup v2 only."""
    options = ["name=apparmor"] if apparmor else []
    options += ["name=seccomp,profile=builtin"] if seccomp else []
    options += ["name=cgroupns"] if cgroup_mode is CgroupMode.V2 else []
    return tuple(options)


def _first_text(*paths: str) -> str:
    """The first file that can be read; "" without any."""
    for path in paths:
        try:
            return Path(path).read_text()
        except OSError:
            continue
    return ""


def backing_filesystem(path: str) -> str:
    """Docker's name of the file system at `path`, "<unknown>" for one that Docker doesn't know."""
    return _FILE_SYSTEMS.get(syscalls.filesystem_magic(path), "<unknown>")


def read_host_info(storage: str, layout: CgroupLayout, *, apparmor: bool = False) -> HostInfo:
    """Facts of this host; `storage` is the directory of images and containers, `apparmor` whether that is used."""
    release = parse_os_release(_first_text("/etc/os-release", "/usr/lib/os-release"))
    memory = parse_meminfo(_first_text("/proc/meminfo"))
    uname = os.uname()
    return HostInfo(
        hostname=uname.nodename,
        kernel_version=uname.release,
        operating_system=release.get("PRETTY_NAME", platform.system()),
        os_version=release.get("VERSION_ID", ""),
        architecture=uname.machine,
        goarch=_GOARCH.get(uname.machine, uname.machine),
        cpus=len(os.sched_getaffinity(0)),
        memory_total=memory.get("MemTotal", 0),
        swap_total=memory.get("SwapTotal", 0),
        backing_filesystem=backing_filesystem(storage),
        cgroup_mode=layout.mode,
        security_options=security_options(
            seccomp="\nSeccomp:" in _first_text("/proc/self/status"),
            apparmor=apparmor,
            cgroup_mode=layout.mode,
        ),
    )
