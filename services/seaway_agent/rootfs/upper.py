"""The writable layers of containers: a pair of directories `upper` and `work` for each, on disk, and their sizes."""

import logging
import os
import re
import stat
from collections.abc import Collection
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final, NamedTuple

from seaway_agent.rootfs import tree
from seaway_agent.rootfs.errors import StorageFull
from seaway_agent.rootfs.layers import FULL
from seaway_agent.rootfs.tree import spread_children
from seaway_contracts.ids import is_container_id

_TRASH: Final = "trash-"
_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,128}\Z")
log = logging.getLogger(__name__)


class Upper(NamedTuple):
    """One writable layer: its directory, with overlayfs's `upperdir` and `workdir` in it."""

    path: Path
    upper: Path
    work: Path


class ContainerSize(NamedTuple):
    """Bytes written by the container, and the same plus its image's (Engine API 1.45: SizeRw, SizeRootFs)."""

    size_rw: int
    size_root_fs: int


class UpperStore:
    """Writable layers below `root` (mode 0700). Call `start` first, `close` last.

    There is no pool of ready pairs: with `spread_children`, making one takes 50 µs, taking a ready one 28.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._remover = ThreadPoolExecutor(1, thread_name_prefix="remove-upper")

    def start(self, containers: Collection[str]) -> None:
        """Make the store, and remove writable layers of other than `containers` in the background."""
        self._root.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._root.chmod(0o700)
        spread_children(self._root)
        for directory in list(self._root.iterdir()):
            if directory.name.startswith(_TRASH):
                self._remover.submit(_remove, directory)
            elif directory.name not in containers and _is_ours(directory):
                self.release(directory.name)

    def acquire(self, container_id: str) -> Upper:
        """The writable layer of a container; makes it if there is none. Raises `StorageFull`, OSError."""
        upper = self.locate(container_id)
        if upper.upper.is_dir():
            return upper
        try:
            for directory, mode in ((upper.path, 0o711), (upper.work, 0o711), (upper.upper, 0o755)):
                directory.mkdir(exist_ok=True)
                directory.chmod(mode)
        except OSError as error:
            self.release(container_id)
            if error.errno in FULL:
                raise StorageFull(f"no space left in {self._root} for container {container_id}: free some") from error
            raise
        return upper

    def locate(self, container_id: str) -> Upper:
        """The paths of a container's writable layer, whether it exists or not."""
        if not _ID.match(container_id) or container_id.startswith(_TRASH):
            raise ValueError(f"{container_id[:140]!r} is no container id")
        path = self._root / container_id
        return Upper(path, path / "upper", path / "work")

    def release(self, container_id: str) -> None:
        """Remove a writable layer, if there is one: it is gone at once (one rename), its space a little later."""
        trash = self._root / f"{_TRASH}{os.urandom(8).hex()}"
        try:
            self.locate(container_id).path.rename(trash)
        except FileNotFoundError:
            return
        self._remover.submit(_remove, trash)

    def close(self) -> None:
        """Wait for removals under way."""
        self._remover.shutdown()


def container_size(upper: Path, image_size: int) -> ContainerSize:
    """The sizes of a container with the writable layer `upper` on an image of `image_size` bytes. Blocks."""
    written = tree_size(upper)
    return ContainerSize(written, written + image_size)


def tree_size(path: Path) -> int:
    """The bytes of all files below `path`: hard-linked ones once, no directories, no whiteouts. Blocks."""
    total = 0
    linked: set[tuple[int, int]] = set()
    for status in tree.walk(path):
        if stat.S_ISDIR(status.st_mode):
            continue
        if status.st_nlink > 1:
            inode = (status.st_dev, status.st_ino)
            if inode in linked:
                continue
            linked.add(inode)
        total += status.st_size
    return total


def _is_ours(directory: Path) -> bool:
    """Whether it is a writable layer, or one that a killed agent has left half-made."""
    if not directory.is_dir():
        return False
    return (directory / "work").is_dir() or (is_container_id(directory.name) and not any(directory.iterdir()))


def _remove(path: Path) -> None:
    try:
        tree.remove(path)
    except OSError as error:
        log.warning("can't remove %s; the next start tries again: %s", path, error)
