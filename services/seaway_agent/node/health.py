"""The free resources of the host, and those that it runs out of."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from seaway_agent.kernel.hostinfo import parse_meminfo
from seaway_contracts.nodes import Capacity

_LEAST_PART: Final = 20
_LEAST_DISK: Final = 1 << 30
_LEAST_MEMORY: Final = 100 << 20


@dataclass(frozen=True)
class Health:
    """How many processes, bytes of disk and of memory the host has, and how many of them are free."""

    pids: int = 0
    free_pids: int = 0
    disk: int = 0
    free_disk: int = 0
    memory: int = 0
    free_memory: int = 0

    @property
    def pressure(self) -> tuple[str, ...]:
        """`disk`, `memory`: less than a twentieth is left, and less than 1 GiB or 100 MiB."""
        found = (
            ("disk", self.disk, self.free_disk, _LEAST_DISK),
            ("memory", self.memory, self.free_memory, _LEAST_MEMORY),
        )
        return tuple(name for name, whole, free, least in found if free < min(whole // _LEAST_PART, least))

    def added_to(self, capacity: Capacity) -> Capacity:
        """A node's capacity, with processes and disk."""
        return capacity.model_copy(update={"pids": self.pids, "disk": self.disk})

    def added_to_free(self, free: Capacity) -> Capacity:
        """What is free of a node, with processes and disk."""
        return free.model_copy(update={"pids": self.free_pids, "disk": self.free_disk})


def read_health(root: Path, proc: Path = Path("/proc")) -> Health:
    """The host's health; `root` is where the agent's data is. Raises OSError, ValueError."""
    memory = parse_meminfo((proc / "meminfo").read_text())
    disk = os.statvfs(root)
    pids = min(int((proc / "sys/kernel" / name).read_text()) for name in ("pid_max", "threads-max"))
    used = int((proc / "loadavg").read_text().split()[3].partition("/")[2])
    return Health(
        pids=pids,
        free_pids=max(0, pids - used),
        disk=disk.f_blocks * disk.f_frsize,
        free_disk=disk.f_bavail * disk.f_frsize,
        memory=memory["MemTotal"],
        free_memory=memory["MemAvailable"],
    )
