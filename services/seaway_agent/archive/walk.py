"""Reads directory trees into tars, going from descriptor to descriptor: a link swapped in meanwhile is never followed.

What vanishes meanwhile is left out; a file that shrinks is filled up with zeros, one that grows is cut off where it
ended when its header was written. Sockets are left out (a tar has none).
"""

import contextlib
import errno
import os
import stat
from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from typing import Final

from seaway_archive import writer
from seaway_archive.entries import Kind, TarEntry
from seaway_contracts.errors import internal

Write = Callable[[bytes], None]
PIECE: Final = 1 << 20
DEEPEST: Final = 1000
_DIRECTORY: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY
# Something else stands there by now, a link or a device without a driver; or nothing.
_SWAPPED: Final = (errno.ENOENT, errno.ELOOP, errno.ENXIO, errno.ENOTDIR)
_KINDS: Final = {
    stat.S_IFDIR: Kind.DIRECTORY,
    stat.S_IFLNK: Kind.SYMLINK,
    stat.S_IFCHR: Kind.CHARACTER,
    stat.S_IFBLK: Kind.BLOCK,
    stat.S_IFIFO: Kind.FIFO,
}


class TarWriter:
    """Writes entries one after another to `write`. `finish()` last."""

    def __init__(self, write: Write) -> None:
        self._write = write
        self._seen: dict[tuple[int, int], bytes] = {}

    def add(self, parent: int, name: str, title: bytes, status: os.stat_result) -> None:
        """The entry `name` of the open directory `parent`, itself and not what is below it, as `title`."""
        if stat.S_ISSOCK(status.st_mode):
            return
        first = self._seen.get((status.st_dev, status.st_ino)) if status.st_nlink > 1 else None
        if first is not None:
            self._write(writer.encode(_entry(status, title, Kind.HARDLINK, link=first)))
        elif stat.S_ISREG(status.st_mode):
            self._add_file(parent, name, title)
        else:
            link = os.fsencode(os.readlink(name, dir_fd=parent)) if stat.S_ISLNK(status.st_mode) else b""
            self._write(writer.encode(_entry(status, title, _KINDS[stat.S_IFMT(status.st_mode)], link=link)))
            self._remember(status, title)

    def add_directory(self, fd: int, title: bytes) -> None:
        """The open directory itself."""
        self._write(writer.encode(_entry(os.fstat(fd), title + b"/", Kind.DIRECTORY, xattrs=kept_xattrs(fd))))

    def add_raw(self, entry: TarEntry) -> None:
        """An entry without data."""
        self._write(writer.encode(entry))

    def finish(self) -> None:
        """The end mark."""
        self._write(writer.END)

    def _remember(self, status: os.stat_result, title: bytes) -> None:
        if status.st_nlink > 1:
            self._seen[status.st_dev, status.st_ino] = title

    def _add_file(self, parent: int, name: str, title: bytes) -> None:
        found = open_plain(parent, name)
        if found is None:
            return
        fd, status = found
        try:
            self._write(writer.encode(_entry(status, title, Kind.FILE, xattrs=kept_xattrs(fd))))
            self._copy(fd, status.st_size)
            self._remember(status, title)
        finally:
            os.close(fd)

    def _copy(self, fd: int, size: int) -> None:
        left = size
        while left:
            data = os.read(fd, min(PIECE, left))
            if not data:
                break
            self._write(data)
            left -= len(data)
        while left:
            zeros = bytes(min(PIECE, left))
            self._write(zeros)
            left -= len(zeros)
        if pad := writer.padding(size):
            self._write(pad)


def _entry(
    status: os.stat_result, title: bytes, kind: Kind, *, link: bytes = b"", xattrs: dict[str, bytes] | None = None
) -> TarEntry:
    device = kind in (Kind.CHARACTER, Kind.BLOCK)
    return TarEntry(
        name=title,
        kind=kind,
        mode=status.st_mode,
        uid=status.st_uid,
        gid=status.st_gid,
        size=status.st_size if kind is Kind.FILE else 0,
        mtime_ns=status.st_mtime_ns,
        link=link,
        device=(os.major(status.st_rdev), os.minor(status.st_rdev)) if device else (0, 0),
        xattrs=xattrs or {},
    )


def open_plain(parent: int, name: str) -> tuple[int, os.stat_result] | None:
    """The plain file `name` of the open directory `parent`, to be read; None where it was swapped for another thing."""
    try:
        fd = os.open(name, _FILE, dir_fd=parent)
    except OSError as error:
        if error.errno in _SWAPPED:
            return None
        raise
    status = os.fstat(fd)
    if stat.S_ISREG(status.st_mode):
        return fd, status
    os.close(fd)
    return None


def kept_xattrs(fd: int) -> dict[str, bytes]:
    """What a layer or a copy keeps: file capabilities and the user's own, never overlayfs's."""
    found = {}
    with contextlib.suppress(OSError):
        for name in os.listxattr(fd):
            if name == "security.capability" or (name.startswith("user.") and not name.startswith("user.overlay.")):
                with contextlib.suppress(OSError):
                    found[name] = os.getxattr(fd, name)
    return found


@dataclass
class Step:
    """An entry of the tree: `name` in the open directory `parent`, called `title`.

    `fd` is open while a directory's own step is handled.
    """

    parent: int
    name: str
    title: bytes
    status: os.stat_result
    fd: int = -1


@dataclass
class _Level:
    fd: int
    prefix: bytes
    names: list[str] = field(default_factory=list)


def walk(top: int, prefix: bytes) -> Generator[Step, None, None]:
    """Everything below the open directory `top`, directories before what is in them, each sorted by name.

    `prefix` stands before all names, a slash at its end included. Raises SeawayError beyond a thousand directories.
    """
    levels = [_Level(os.dup(top), prefix, _names(top))]
    try:
        while levels:
            level = levels[-1]
            if not level.names:
                os.close(levels.pop().fd)
            elif (step := _step(level, level.names.pop())) is not None:
                if step.fd >= 0:
                    levels.append(_Level(step.fd, step.title + b"/", _names(step.fd)))
                if len(levels) > DEEPEST:
                    raise internal(f"directories are nested more than {DEEPEST} deep: {step.name[:80]!r}")
                yield step
    finally:
        for level in levels:
            os.close(level.fd)


def _names(fd: int) -> list[str]:
    """Last first, as they are taken from the end."""
    with os.scandir(fd) as entries:
        return sorted((entry.name for entry in entries), key=os.fsencode, reverse=True)


def _step(level: _Level, name: str) -> Step | None:
    try:
        status = os.stat(name, dir_fd=level.fd, follow_symlinks=False)
        fd = os.open(name, _DIRECTORY, dir_fd=level.fd) if stat.S_ISDIR(status.st_mode) else -1
    except OSError as error:
        if error.errno in _SWAPPED:
            return None
        raise
    return Step(level.fd, name, level.prefix + os.fsencode(name), status, fd)


def tar_tree(writer: TarWriter, top: int, prefix: bytes) -> None:
    """Everything below an open directory."""
    for step in walk(top, prefix):
        if step.fd >= 0:
            writer.add_directory(step.fd, step.title)
            continue
        with contextlib.suppress(FileNotFoundError):
            writer.add(step.parent, step.name, step.title, step.status)
