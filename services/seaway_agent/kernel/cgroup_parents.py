"""The cgroups that users put above their containers (`--cgroup-parent`). All of it blocks.

The runtime creates missing ones, as with Docker's cgroupfs driver. Seaway removes those with the last container below
them; cgroups that existed before stay.
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
    """Records in a file (on tmpfs, as cgroups don't survive a reboot) which directories were missing."""

    def __init__(self, host: CgroupLayout, file: Path) -> None:
        self._host = host
        self._file = file
        self._lock = threading.Lock()
        self._reserved: set[str] = set()
        self._made = set(_load(file))

    def reserve(self, cgroups_path: str) -> None:
        """Record the missing parents of a path before a container is created there. Raises OSError."""
        with self._lock:
            self._reserved.add(cgroups_path)
            missing = {place for place in self._ancestors(cgroups_path) if not Path(place).is_dir()}
            self._save(self._made | missing)

    def release(self, cgroups_path: str) -> None:
        """Remove the recorded parents of a removed container that no other one needs. Raises OSError."""
        with self._lock:
            self._reserved.discard(cgroups_path)
            needed = {place for path in self._reserved for place in self._ancestors(path)}
            mine = [place for place in self._ancestors(cgroups_path) if place in self._made - needed]
            self._save(self._made - {place for place in mine if _remove_if_empty(place)})

    def clear(self) -> None:
        """Remove all recorded parents, when no container is left."""
        with self._lock:
            for place in sorted(self._made, key=len, reverse=True):
                _remove_if_empty(place)
            self._save(set())

    def _ancestors(self, cgroups_path: str) -> Iterator[str]:
        """The parents of a cgroup in all hierarchies, the deepest first, without the roots."""
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
    """Remove the directory unless it is in use; whether it is gone."""
    try:
        os.rmdir(directory)  # noqa: PTH106
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return True
