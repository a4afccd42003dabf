"""The cgroups that users put above their containers (`--cgroup-parent`). All of it blocks.

The runtime makes what is missing, as Docker's cgroupfs driver has it. What it made so goes with the last container
below it; what was there before stays.
"""

import contextlib
import json
import os
import posixpath
import threading
from collections.abc import Iterator
from pathlib import Path

from seaway_agent.kernel.cgroup_text import CgroupLayout


class CgroupParents:
    """Remembers in a file which directories were missing. On tmpfs: cgroups don't survive a reboot either."""

    def __init__(self, host: CgroupLayout, file: Path) -> None:
        self._host = host
        self._file = file
        self._lock = threading.Lock()
        self._reserved: set[str] = set()
        self._made = set(_load(file))

    def reserve(self, cgroups_path: str) -> None:
        """A container is about to be made at this path: note what of the way to it isn't there. Raises OSError."""
        with self._lock:
            self._reserved.add(cgroups_path)
            missing = {place for place in self._ancestors(cgroups_path) if not Path(place).is_dir()}
            self._save(self._made | missing)

    def release(self, cgroups_path: str) -> None:
        """Nothing is left at this path: remove what was made for it and is no longer needed. Raises OSError."""
        with self._lock:
            self._reserved.discard(cgroups_path)
            needed = {place for path in self._reserved for place in self._ancestors(path)}
            mine = [place for place in self._ancestors(cgroups_path) if place in self._made - needed]
            self._save(self._made - {place for place in mine if _remove_if_empty(place)})

    def clear(self) -> None:
        """No container is left at all."""
        with self._lock:
            for place in sorted(self._made, key=len, reverse=True):
                _remove_if_empty(place)
            self._save(set())

    def _ancestors(self, cgroups_path: str) -> Iterator[str]:
        """The directories above a cgroup in all hierarchies, the deepest first, without the hierarchies' roots."""
        parent = posixpath.dirname(cgroups_path)
        while parent != "/":
            yield from self._host.directories(parent)
            parent = posixpath.dirname(parent)

    def _save(self, made: set[str]) -> None:
        if made == self._made:
            return
        if made:
            fresh = self._file.with_suffix(".new")
            fresh.write_text(json.dumps(sorted(made)))
            fresh.replace(self._file)
        else:
            self._file.unlink(missing_ok=True)
        self._made = made


def _load(file: Path) -> list[str]:
    with contextlib.suppress(FileNotFoundError):
        return list(json.loads(file.read_text()))
    return []


def _remove_if_empty(directory: str) -> bool:
    """Whether it is gone now; one that is still used isn't."""
    try:
        os.rmdir(directory)  # noqa: PTH106
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return True
