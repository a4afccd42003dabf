"""A place where nothing moves."""

import os
import secrets
from pathlib import Path

from seaway_agent.kernel import cgroups


class Still:
    """A cgroup in which nothing moves until it is let go."""

    def __init__(self) -> None:
        self._layout, self._path = cgroups.host_layout(), f"/seaway-still-{secrets.token_hex(4)}"
        self.directory = str(self._layout.directory("freezer", self._path))
        os.mkdir(self.directory)
        cgroups.freeze(self._layout, self._path)

    def __enter__(self) -> "Still":
        return self

    def __exit__(self, *_: object) -> None:
        self.let_go()
        cgroups.remove([self.directory])

    def add(self, pid: int) -> None:
        (Path(self.directory) / "cgroup.procs").write_text(str(pid))

    def let_go(self) -> None:
        cgroups.thaw(self._layout, self._path)
