"""The init layer of an image: a small directory on top of its layers (Docker's "-init" layer).

It makes each path where a runtime mounts a plain directory or file, and hides anything else that the image has there: a
runtime may follow a link at such a path out of the root (CVE-2026-41579: an image whose /dev is a link). The image is
read without mounting it and without following its links.
"""

import os
from collections.abc import Sequence
from enum import Enum
from pathlib import Path
from typing import Final

from seaway_agent.rootfs import merged
from seaway_agent.rootfs.directories import OPAQUE_XATTR
from seaway_agent.rootfs.tree import open_directory


class _Wanted(Enum):
    DIRECTORY = "directory"
    FILE = "file"
    MTAB = "link to /proc/mounts"


# Parents first.
_PLACES: Final = (
    ("dev", _Wanted.DIRECTORY),
    ("dev/pts", _Wanted.DIRECTORY),
    ("dev/shm", _Wanted.DIRECTORY),
    ("dev/console", _Wanted.FILE),
    ("proc", _Wanted.DIRECTORY),
    ("sys", _Wanted.DIRECTORY),
    ("etc", _Wanted.DIRECTORY),
    ("etc/hosts", _Wanted.FILE),
    ("etc/hostname", _Wanted.FILE),
    ("etc/resolv.conf", _Wanted.FILE),
    ("etc/mtab", _Wanted.MTAB),
    (".dockerenv", _Wanted.FILE),
)
_MTAB: Final = b"/proc/mounts"
_MTAB_ALIKE: Final = (_MTAB, b"/proc/self/mounts", b"../proc/mounts", b"../proc/self/mounts")
_DIRECTORY_MODE: Final = 0o755
_FILE_MODE: Final = 0o755  # as Docker's; an export shows it


def build_init_layer(lowers: Sequence[Path], out: Path) -> None:
    """Fill the empty directory `out` with the init layer for `lowers` (topmost first). Raises OSError."""
    root = open_directory(out)
    try:
        builder = _Builder(lowers, root)
        for place, wanted in _PLACES:
            builder.add(tuple(os.fsencode(place).split(b"/")), wanted)
        builder.restore_times()
    finally:
        os.close(root)


class _Builder:
    def __init__(self, lowers: Sequence[Path], root: int) -> None:
        self._lowers = lowers
        self._root = root
        self._made: set[tuple[bytes, ...]] = set()
        self._copied: dict[bytes, int] = {}

    def add(self, path: tuple[bytes, ...], wanted: _Wanted) -> None:
        """Make `path`, unless the image has it in the kind `wanted`."""
        hidden = path[:-1] in self._made
        found = None if hidden else merged.find(self._lowers, path)
        if found is not None and _fits(found, wanted):
            return
        parent = self._open_parent(path)
        try:
            self._make(parent, path, wanted)
        finally:
            os.close(parent)

    def restore_times(self) -> None:
        """Restore the times of directories copied from the image, which new files in them have changed."""
        for name, mtime_ns in self._copied.items():
            os.utime(name, ns=(mtime_ns, mtime_ns), dir_fd=self._root, follow_symlinks=False)

    def _make(self, parent: int, path: tuple[bytes, ...], wanted: _Wanted) -> None:
        if wanted is _Wanted.DIRECTORY:
            _make_directory(parent, path[-1], _DIRECTORY_MODE, 0, 0, opaque=True)
            self._made.add(path)
        elif wanted is _Wanted.FILE:
            _make_file(parent, path[-1])
        else:
            os.symlink(_MTAB, path[-1], dir_fd=parent)

    def _open_parent(self, path: tuple[bytes, ...]) -> int:
        """Open the parent of `path` in the init layer; make it with the attributes of the image's if needed."""
        if len(path) == 1:
            return os.dup(self._root)
        name = path[0]
        if path[:1] not in self._made and name not in self._copied:
            found = merged.find(self._lowers, path[:1])
            if found is None or not found.is_directory:
                raise FileNotFoundError(f"the layers changed while the init layer was made: no /{os.fsdecode(name)}")
            status = found.status
            _make_directory(self._root, name, status.st_mode & 0o7777, status.st_uid, status.st_gid, opaque=False)
            self._copied[name] = status.st_mtime_ns
        return open_directory(name, self._root)


def _fits(found: merged.Found, wanted: _Wanted) -> bool:
    if wanted is _Wanted.MTAB:
        return found.target in _MTAB_ALIKE
    return found.is_directory if wanted is _Wanted.DIRECTORY else found.is_file


def _make_directory(parent: int, name: bytes, mode: int, uid: int, gid: int, *, opaque: bool) -> None:
    os.mkdir(name, 0o700, dir_fd=parent)
    fd = open_directory(name, parent)
    try:
        os.fchown(fd, uid, gid)
        os.fchmod(fd, mode)
        if opaque:
            os.setxattr(fd, OPAQUE_XATTR, b"y")
    finally:
        os.close(fd)


def _make_file(parent: int, name: bytes) -> None:
    fd = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, _FILE_MODE, dir_fd=parent)
    try:
        os.fchmod(fd, _FILE_MODE)
    finally:
        os.close(fd)
