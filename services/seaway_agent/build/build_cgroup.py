"""The cgroup of one build: the builder's own below it, which is bounded in memory, beside those of its steps."""

import contextlib
import logging
from dataclasses import dataclass
from typing import Final

from seaway_agent.kernel import cgroups
from seaway_agent.kernel.cgroup_limits import Limits
from seaway_agent.kernel.cgroup_text import CgroupLayout, CgroupMode

log = logging.getLogger(__name__)
_HANG_S: Final = 5.0


@dataclass(frozen=True)
class BuildCgroup:
    """`path`: above those of builder and steps. `memory`: the bytes of the builder's own. All of it blocks."""

    host: CgroupLayout
    path: str
    memory: int

    @property
    def _own(self) -> str:
        return f"{self.path}/builder"

    def make(self) -> None:
        """Make the builder's, ready to take processes. Raises OSError."""
        cgroups.make(self.host, self._own)
        try:
            self._enable_memory()
            cgroups.update_limits(self.host, self._own, Limits(memory=self.memory))
        except OSError as error:
            log.warning("the builder's memory has no bound: %s", error)

    def _enable_memory(self) -> None:
        """On cgroup v2 each cgroup says which limits those below it have."""
        if self.host.mode is not CgroupMode.V2:
            return
        above = ""
        for part in self.path.split("/"):
            above = f"{above}/{part}".rstrip("/")
            cgroups.write_text(f"{self.host.unified}{above}/cgroup.subtree_control", "+memory")

    def take(self, pid: int) -> None:
        """Put a process into the builder's. Raises OSError."""
        cgroups.move(self.host, self._own, pid)

    def was_short(self) -> bool:
        """Whether the builder needed more memory than there is for it."""
        with contextlib.suppress(OSError):
            return cgroups.oom_kills(self.host, self._own) > 0
        return False

    def kill(self) -> None:
        """End everything in it. Raises OSError, TimeoutError."""
        cgroups.kill_all(self.host, self.path, seconds=_HANG_S)

    def remove(self) -> None:
        """End everything in it, and remove it. Raises OSError, TimeoutError."""
        directories = self.host.directories(self.path)
        if any(cgroups.procs(directory) for directory in directories):
            self.kill()
        cgroups.remove(directories)
