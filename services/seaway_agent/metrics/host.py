"""The whole host as one reading, as cAdvisor has it: the root cgroup, the host's disks and interfaces."""

import contextlib
import os
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Final

from seaway_agent.kernel.cgroup_sample import CgroupSample
from seaway_agent.kernel.cgroup_text import CgroupLayout, CgroupMode
from seaway_agent.kernel.cgroups import Sampler
from seaway_agent.kernel.hostinfo import parse_meminfo
from seaway_agent.kernel.mountinfo import parse_mountinfo
from seaway_agent.metrics.readings import DiskUse, Reading
from seaway_agent.metrics.sampler import BlockDevices
from seaway_agent.network.port import InterfaceCounters
from seaway_agent.network.sandbox import parse_interface_counters
from seaway_contracts.containers import ContainerSpec, ContainerStatus, ImageUse

LABELS: Final = {"id": "/"}
_SPEC: Final = ContainerSpec(id="", name="", created_ns=0, image=ImageUse(ref="", id=""))
_PROC: Final = Path("/proc")
_SYS: Final = Path("/sys")


class HostReader:
    """Reads files that are kept open, and what the last `refresh` found of disks. `read` belongs to one thread."""

    def __init__(self, layout: CgroupLayout, proc: Path = _PROC, sys: Path = _SYS) -> None:
        self._is_v2 = layout.mode is CgroupMode.V2
        self._sampler = Sampler(layout, "/", details=True)
        self._devices = BlockDevices(sys / "dev/block")
        self._proc = proc
        self._sys = sys
        self._disks: tuple[DiskUse, ...] = ()

    def read(self) -> Reading:
        """The present reading. Raises OSError."""
        sample = self._sampler.sample()
        self._devices.learn(sample)
        if self._is_v2:
            sample = with_memory(sample, (self._proc / "meminfo").read_text())
        return Reading(
            spec=_SPEC,
            status=ContainerStatus(),
            seen_ns=time.time_ns(),
            sample=sample,
            interfaces=self._interfaces(),
            devices=self._devices.names,
            disks=self._disks,
        )

    def refresh(self) -> None:
        """Look at the host's file systems."""
        self._disks = tuple(disks((self._proc / "self/mountinfo").read_text()))

    def close(self) -> None:
        """Close the files; safe to call twice."""
        self._sampler.close()

    def _interfaces(self) -> Mapping[str, InterfaceCounters]:
        """The counters of interfaces that are devices, and of bonds: none that were made for containers."""
        found = parse_interface_counters((self._proc / "net/dev").read_text())
        nets = self._sys / "class/net"
        return {
            name: counters
            for name, counters in found.items()
            if any((nets / name / sign).exists() for sign in ("device", "bonding"))
        }


def with_memory(sample: CgroupSample, meminfo: str) -> CgroupSample:
    """The sample of the root of cgroup2 with the memory in use, which that has no file for."""
    memory = parse_meminfo(meminfo)
    usage = memory.get("MemTotal", 0) - memory.get("MemFree", 0)
    return replace(sample, memory_usage=usage, memory_working_set=max(0, usage - sample.memory_inactive_file))


def disks(mountinfo: str) -> Iterator[DiskUse]:
    """The file systems on block devices, each once."""
    seen = set()
    for mount in parse_mountinfo(mountinfo):
        if mount.source.startswith("/dev/") and mount.source not in seen:
            seen.add(mount.source)
            with contextlib.suppress(OSError):
                of = os.statvfs(mount.target)
                used = (of.f_blocks - of.f_bfree) * of.f_frsize
                yield DiskUse(mount.source, used, of.f_blocks * of.f_frsize, of.f_files, of.f_ffree)
