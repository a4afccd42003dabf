"""The cgroups of one build: the builder's own, which is bounded in memory, and those of its steps."""

import contextlib
import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from seaway_agent.kernel import cgroups
from seaway_agent.kernel.cgroup_limits import Limits
from seaway_agent.kernel.cgroup_text import CgroupLayout, CgroupMode, builds_cgroup, cgroups_path
from seaway_agent.runtime.container_cgroups import ContainerCgroups
from seaway_kit.private_files import write_private

log = logging.getLogger(__name__)
_HANG_S: Final = 5.0
_PLACED: Final = "cgroup"
"""The file in a build's directory that names the cgroup of its steps, where a client has placed them."""


@dataclass(frozen=True)
class BuildCgroup:
    """`path`: above the builder's own, of which `memory` are the bytes. `steps`: above those of its steps.

    All of it blocks.
    """

    host: CgroupLayout
    path: str
    memory: int
    steps: str = ""

    @property
    def _own(self) -> str:
        return f"{self.path}/builder"

    @property
    def _all(self) -> tuple[str, ...]:
        return (self.path, self.steps) if self.steps not in ("", self.path) else (self.path,)

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
        """End everything in them. Raises OSError, TimeoutError."""
        for path in self._all:
            if self._has_processes(path):
                cgroups.kill_all(self.host, path, seconds=_HANG_S)

    def remove(self) -> None:
        """End everything in them, and remove them. Raises OSError, TimeoutError."""
        self.kill()
        for path in self._all:
            cgroups.remove(self.host.directories(path))

    def _has_processes(self, path: str) -> bool:
        return any(cgroups.procs(directory) for directory in self.host.directories(path))


@dataclass(frozen=True)
class BuildCgroups:
    """Those of a node's builds. `parent`: above them all, but for steps that a client places (`--cgroup-parent`).

    `reserve` and `release` note what is made above such a place, and remove it. All of it blocks.
    """

    host: CgroupLayout
    parent: str
    reserve: Callable[[str], None]
    release: Callable[[str], None]

    def of(self, build: str, memory: int, placed: str = "") -> BuildCgroup:
        """One build's. `placed`: the parent that its client wants for the steps, if any."""
        return BuildCgroup(self.host, f"{self.parent}/{build}", memory, self.steps(build, placed))

    def steps(self, build: str, placed: str) -> str:
        """The path above the cgroups of a build's steps."""
        return cgroups_path(placed or self.parent, build)

    def place(self, directory: Path, cgroup: BuildCgroup) -> None:
        """Write down in the build's directory where its steps are, for the next agent. Raises OSError."""
        if cgroup.steps != cgroup.path:
            write_private(directory / _PLACED, cgroup.steps.encode("utf-8", "surrogateescape"))
            self.reserve(cgroup.steps)

    def remove(self, cgroup: BuildCgroup) -> None:
        """Remove a build's, and what was made above its steps. Raises OSError, TimeoutError."""
        try:
            cgroup.remove()
        finally:
            if cgroup.steps != cgroup.path:
                self.release(cgroup.steps)

    def sweep(self, builds: Path) -> None:
        """Remove those of all builds; `builds` has their directories. Raises OSError, TimeoutError.

        Placed steps first: in a hierarchy of which their runtime knows nothing they are in the builder's.
        """
        for steps in placed_steps(builds):
            try:
                BuildCgroup(self.host, steps, 0).remove()
                self.release(steps)
            except OSError as error:
                log.error("what a build has left in the cgroup %s can't be removed: %s", steps, error)
        BuildCgroup(self.host, self.parent, 0).remove()


def build_cgroups(suite: str, containers: ContainerCgroups) -> BuildCgroups:
    """Those of a suite's builds on this node; steps that a client places share their parents with `containers`."""
    return BuildCgroups(containers.host, builds_cgroup(suite), containers.reserve, containers.release)


def placed_steps(builds: Path) -> list[str]:
    """The cgroups above the steps of builds that a killed agent has left, where clients have placed them."""
    found = []
    for file in builds.glob(f"*/{_PLACED}"):
        with contextlib.suppress(OSError):
            path = file.read_bytes().decode("utf-8", "surrogateescape")
            if path.endswith(f"/{file.parent.name}"):
                found.append(path)
    return found
