"""What a stack of layers shows at a path, found without mounting the stack and without following any link.

`lowers` are directories with the topmost first, as overlayfs takes them; paths are tuples of components.
"""

import os
import stat
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from seaway_agent.rootfs.directories import OPAQUE_XATTR, Directories
from seaway_agent.rootfs.limits import Limits
from seaway_agent.rootfs.tree import open_directory


class Found(NamedTuple):
    """The entry at a path: its lstat, and its target where it is a link."""

    status: os.stat_result
    target: bytes

    @property
    def is_directory(self) -> bool:
        """Whether the entry is a directory, not a link to one."""
        return stat.S_ISDIR(self.status.st_mode)

    @property
    def is_file(self) -> bool:
        """Whether the entry is a regular file, not a link to one."""
        return stat.S_ISREG(self.status.st_mode)


class _Look(NamedTuple):
    found: Found | None
    hides: bool


def find(lowers: Sequence[Path], path: tuple[bytes, ...]) -> Found | None:
    """The entry of the merged view at `path`; None where there is none, or a parent is a link or a file."""
    for lower in lowers:
        fd = open_directory(lower)
        look = _look(fd, path)
        if look.found is not None or look.hides:
            return look.found
    return None


def inherit_attributes(diff: Path, implied: Iterable[tuple[bytes, ...]], lowers: Sequence[Path]) -> None:
    """Give each `implied` directory of the layer at `diff` mode, owner and time of the one in `lowers` (top first).

    A layer contains implied directories without describing them. Overlayfs shows the attributes of the topmost
    directory of a name, so an undescribed /tmp would otherwise lose its sticky bit.
    """
    root = open_directory(diff)
    directories = Directories(root, Limits())
    try:
        for path in implied:
            found = find(lowers, path)
            directory = directories.open_plain(path) if found is not None and found.is_directory else None
            if found is not None and directory is not None:
                _copy_attributes(found.status, directory.fd)
    finally:
        directories.close()
        os.close(root)


def _look(fd: int, path: tuple[bytes, ...]) -> _Look:
    """Look the path up in one layer, whose root is `fd`; closes `fd`."""
    opaque = False
    try:
        for part in path[:-1]:
            if not _has(fd, part):
                return _Look(None, opaque)
            status = os.stat(part, dir_fd=fd, follow_symlinks=False)
            if not stat.S_ISDIR(status.st_mode):
                return _Look(None, hides=True)
            parent, fd = fd, open_directory(part, fd)
            os.close(parent)
            opaque |= _is_opaque(fd)
        return _last(fd, path[-1], opaque)
    finally:
        os.close(fd)


def _last(fd: int, name: bytes, opaque: bool) -> _Look:
    if not _has(fd, name):
        return _Look(None, opaque)
    status = os.stat(name, dir_fd=fd, follow_symlinks=False)
    if stat.S_ISCHR(status.st_mode) and status.st_rdev == 0:
        return _Look(None, hides=True)
    target = os.readlink(name, dir_fd=fd) if stat.S_ISLNK(status.st_mode) else b""
    return _Look(Found(status, target), hides=True)


def _has(fd: int, name: bytes) -> bool:
    try:
        os.stat(name, dir_fd=fd, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return True


def _is_opaque(fd: int) -> bool:
    try:
        return os.getxattr(fd, OPAQUE_XATTR) == b"y"
    except OSError:
        return False


def _copy_attributes(status: os.stat_result, fd: int) -> None:
    os.fchown(fd, status.st_uid, status.st_gid)
    os.fchmod(fd, status.st_mode & 0o7777)
    os.utime(fd, ns=(status.st_mtime_ns, status.st_mtime_ns))
