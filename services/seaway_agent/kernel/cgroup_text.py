"""Pure: parse cgroup mounts and files, compute cgroup paths.

Sources: Documentation/admin-guide/cgroup-v1 and cgroup-v2.rst of Linux; for shares -> weight the OCI runtimes.
"""

import contextlib
import posixpath
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from seaway_agent.kernel.mountinfo import parse_mountinfo

# Controllers of cgroup v1 (the other mount options are flags such as "rw" or "xattr").
_V1_RESOURCES = {"cpu", "cpuacct", "cpuset", "memory", "devices", "freezer", "blkio", "pids"}
_V1_CONTROLLERS = _V1_RESOURCES | {"net_cls", "net_prio", "perf_event", "hugetlb", "rdma", "misc"}
# memory.limit_in_bytes shows "no limit" as the largest number of pages; no machine comes near half of it.
_V1_UNLIMITED = 1 << 62


class CgroupMode(StrEnum):
    """v1: controllers in v1 hierarchies only. hybrid: the same and a cgroup2 mount beside them. v2: cgroup2 only."""

    V1 = "v1"
    HYBRID = "hybrid"
    V2 = "v2"


@dataclass(frozen=True, slots=True)
class CgroupLayout:
    """Where the hierarchies are mounted. `controllers` has v1 mounts ("name=systemd" among them) and is empty on v2."""

    mode: CgroupMode
    controllers: Mapping[str, str]
    unified: str | None

    def directory(self, controller: str, cgroups_path: str) -> str | None:
        """The directory in which a controller keeps its files for an OCI cgroupsPath; None when it isn't mounted."""
        mounted = self.unified if self.mode is CgroupMode.V2 else self.controllers.get(controller)
        return None if mounted is None else mounted + cgroups_path

    def directories(self, cgroups_path: str) -> tuple[str, ...]:
        """The directories of an OCI cgroupsPath in all hierarchies, each once."""
        mounted = dict.fromkeys(self.controllers.values())
        if self.unified is not None:
            mounted[self.unified] = None
        return tuple(mount + cgroups_path for mount in mounted)


def cgroups_path(parent: str, container_id: str) -> str:
    """The OCI linux.cgroupsPath under the cgroupfs driver: absolute, the same in every hierarchy; `..` ends there."""
    return posixpath.join(posixpath.normpath("/" + parent.lstrip("/")), container_id)


def suite_cgroup(suite: str) -> str:
    """The parent cgroup of a suite's containers without `--cgroup-parent`."""
    return f"/seaway/{suite}"


def builds_cgroup(suite: str) -> str:
    """The parent cgroup of a suite's builds of images."""
    return f"/seaway/{suite}.builds"


def parse_layout(mountinfo_text: str) -> CgroupLayout:
    """The layout of a mountinfo text. Raises ValueError when no cgroups are mounted."""
    controllers: dict[str, str] = {}
    unified: str | None = None
    for entry in parse_mountinfo(mountinfo_text):
        if entry.fstype == "cgroup2" and unified is None:
            unified = entry.target
        elif entry.fstype == "cgroup":
            for option in entry.super_options:
                if option in _V1_CONTROLLERS or option.startswith("name="):
                    controllers.setdefault(option, entry.target)
    if not controllers and unified is None:
        raise ValueError("no cgroup hierarchy is mounted: mount cgroup2 at /sys/fs/cgroup")
    # A named hierarchy has no controllers: beside cgroup2 it is systemd's and resources are cgroup2's.
    if not _V1_CONTROLLERS & controllers.keys() and unified is not None:
        return CgroupLayout(CgroupMode.V2, {}, unified)
    return CgroupLayout(CgroupMode.V1 if unified is None else CgroupMode.HYBRID, controllers, unified)


def own_cgroup(layout: CgroupLayout, proc_cgroup_text: str) -> str | None:
    """The directory of a process's cgroup, by its `/proc/<pid>/cgroup`; None if the hierarchy isn't mounted.

    Of a controller on v1, of the unified hierarchy on v2.
    """
    rows = [line.split(":", 2) for line in proc_cgroup_text.splitlines() if line.count(":") >= 2]
    if layout.mode is CgroupMode.V2:
        return next((f"{layout.unified}{path}".rstrip("/") for number, _, path in rows if number == "0"), None)
    for _, names, path in rows:
        for name in names.split(","):
            if name in layout.controllers:
                return f"{layout.controllers[name]}{path}".rstrip("/")
    return None


def parse_keyed(text: str) -> dict[str, int]:
    """A flat keyed file ("name 12" per line), such as memory.stat; anything else in it is left out."""
    words = text.split()
    if "-" not in text:
        with contextlib.suppress(ValueError):  # the usual case, four times as fast
            return dict(zip(words[::2], map(int, words[1::2]), strict=True))
    pairs = (line.split(" ") for line in text.splitlines())
    return {pair[0]: int(pair[1]) for pair in pairs if len(pair) == 2 and pair[1].isdigit()}


def parse_count(text: str) -> int:
    """The number in a file; 0 when it is empty or missing."""
    text = text.strip()
    return int(text) if text.isdigit() else 0


def parse_limit(text: str) -> int | None:
    """A limit; None for no limit ("max", or cgroup v1's huge number) and where there is no such file."""
    text = text.strip()
    return int(text) if text.isdigit() and int(text) < _V1_UNLIMITED else None


@dataclass(frozen=True, slots=True)
class BlockIo:
    """I/O of one block device since the cgroup was made."""

    major: int
    minor: int
    read_bytes: int = 0
    write_bytes: int = 0
    read_ops: int = 0
    write_ops: int = 0


def parse_blkio_v1(service_bytes: str, serviced: str) -> tuple[BlockIo, ...]:
    """blkio.throttle.io_service_bytes_recursive and io_serviced_recursive ("8:0 Read 4096" per line)."""
    counts: dict[str, dict[str, int]] = {}
    names = {"bytes": {"Read": "read_bytes", "Write": "write_bytes"}, "ops": {"Read": "read_ops", "Write": "write_ops"}}
    for kind, text in (("bytes", service_bytes), ("ops", serviced)):
        for line in text.splitlines():
            fields = line.split()
            if len(fields) == 3 and fields[1] in names[kind]:
                counts.setdefault(fields[0], {})[names[kind][fields[1]]] = int(fields[2])
    return tuple(_block_io(device, values) for device, values in counts.items())


def parse_io_v2(text: str) -> tuple[BlockIo, ...]:
    """io.stat ("8:0 rbytes=1 wbytes=2 rios=3 wios=4 dbytes=0 dios=0" per line)."""
    names = {"rbytes": "read_bytes", "wbytes": "write_bytes", "rios": "read_ops", "wios": "write_ops"}
    found = []
    for line in text.splitlines():
        device, *pairs = line.split()
        split = (pair.partition("=") for pair in pairs)
        values = {names[key]: int(value) for key, _, value in split if key in names and value.isdigit()}
        if values:
            found.append(_block_io(device, values))
    return tuple(found)


def _block_io(device: str, values: Mapping[str, int]) -> BlockIo:
    major, _, minor = device.partition(":")
    return BlockIo(int(major), int(minor), **values)
