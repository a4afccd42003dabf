"""What steps keep for later ones by `RUN --mount=type=cache`: a directory for each. All of it blocks."""

import os
import shutil
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Final

from seaway_contracts.builds import CachedStep

KIND: Final = "exec.cachemount"
SHORT: Final = 12
_LOCKS: Final = "buildah-cache-lockfiles"
_BLOCK: Final = 512


class KeptDirectories:
    """Those of a node, below `root`, by their names. What they take is measured once, and again after a use."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._sizes: dict[str, int] = {}

    def note(self, short_names: Collection[str]) -> None:
        """Builds have used these."""
        for name in [name for name in self._sizes if name[:SHORT] in short_names]:
            self._sizes.pop(name, None)

    def entries(self, used: Mapping[str, int]) -> list[CachedStep]:
        """As entries of the build cache. `used`: when each was, by the beginning of its name."""
        return [_entry(path, self._size_of(path), used) for path in self._paths()]

    def size(self) -> int:
        """The bytes of all."""
        return sum(map(self._size_of, self._paths()))

    def remove(self, names: Collection[str]) -> None:
        """Remove them. Raises OSError."""
        for path in self._paths():
            if path.name in names:
                self._sizes.pop(path.name, None)
                shutil.rmtree(path)

    def _paths(self) -> list[Path]:
        try:
            with os.scandir(self._root) as found:
                return [Path(one.path) for one in found if one.name != _LOCKS and one.is_dir(follow_symlinks=False)]
        except FileNotFoundError:
            return []

    def _size_of(self, path: Path) -> int:
        if path.name not in self._sizes:
            self._sizes[path.name] = _measured(path)
        return self._sizes[path.name]


def _entry(path: Path, size: int, used: Mapping[str, int]) -> CachedStep:
    try:
        changed = path.stat().st_mtime_ns
    except FileNotFoundError:
        changed = 0
    return CachedStep(
        id=path.name,
        kind=KIND,
        description="what RUN --mount=type=cache keeps",
        created_ns=changed,
        used_ns=used.get(path.name[:SHORT], changed),
        size=size,
    )


def _measured(place: Path) -> int:
    """The bytes that it takes on the disk; steps may change it meanwhile."""
    total = 0
    for directory, _, files in os.walk(place):
        for name in files:
            try:
                total += os.lstat(f"{directory}/{name}").st_blocks * _BLOCK
            except FileNotFoundError:
                continue
    return total
