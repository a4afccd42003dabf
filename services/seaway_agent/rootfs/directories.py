"""Directories of a tree that is being written, resolved in their root and kept open.

Resolution works as openat2(2) with RESOLVE_IN_ROOT, but makes missing directories. It opens one component at a time
with O_NOFOLLOW, relative to an open directory, so the kernel never follows a link; links are expanded here, `..` goes
back along names already passed. Nothing outside of the root can be reached.
"""

import errno
import os
import stat
from collections import OrderedDict
from typing import Final, NamedTuple

from seaway_agent.rootfs.errors import LayerRejected, LayerTooLarge
from seaway_agent.rootfs.limits import Limits
from seaway_agent.rootfs.tree import open_directory
from seaway_archive.errors import shown

_KEPT: Final = 96
_MOST_LINKS: Final = 40
_IMPLIED_MODE: Final = 0o755
OPAQUE_XATTR: Final = "trusted.overlay.opaque"

Path = tuple[bytes, ...]


class Directory(NamedTuple):
    """An open directory and its real path, with all links expanded."""

    fd: int
    real: Path


class Directories:
    """An LRU cache of open directories below `root_fd` (which stays the caller's).

    `implied` collects the real paths of directories that were made because an entry lies below them.
    """

    def __init__(self, root_fd: int, limits: Limits) -> None:
        self._root = Directory(root_fd, ())
        self._limits = limits
        self._steps = 0
        self._open: OrderedDict[Path, Directory] = OrderedDict()
        self.implied: dict[Path, None] = {}

    def open(self, path: Path) -> Directory:
        """The directory at `path`. The descriptor is good until the next call."""
        found = self._cached(path)
        return found if found is not None else self._resolve(path)

    def open_plain(self, path: Path) -> Directory | None:
        """The directory at `path`; None where it is missing or reached through a link."""
        directory = self._root
        for part in path:
            known = self._cached((*directory.real, part))
            if known is None:
                fd = self._try_open(directory, part)
                if fd is None:
                    return None
                known = self._cache((*directory.real, part), Directory(fd, (*directory.real, part)))
            if known.real != (*directory.real, part):
                return None
            directory = known
        return directory

    def adopt(self, real: Path, fd: int) -> None:
        """Cache `fd`, a new directory, and own it."""
        self._cache(real, Directory(fd, real))

    def close_all_but(self, kept: Directory) -> None:
        """Empty the cache, except `kept` under its real path: something below `kept` was removed."""
        for directory in self._open.values():
            if directory.fd != kept.fd:
                os.close(directory.fd)
        self._open.clear()
        if kept.real:
            self._open[kept.real] = kept

    def close(self) -> None:
        """Close all but the root."""
        self.close_all_but(self._root)

    def _cached(self, path: Path) -> Directory | None:
        if not path:
            return self._root
        found = self._open.get(path)
        if found is not None:
            self._open.move_to_end(path)
        return found

    def _cache(self, path: Path, directory: Directory) -> Directory:
        old = self._open.pop(path, None)
        if old is not None:
            os.close(old.fd)
        while len(self._open) >= _KEPT:
            os.close(self._open.popitem(last=False)[1].fd)
        self._open[path] = directory
        return directory

    def _resolve(self, path: Path) -> Directory:
        """Walk from the longest prefix that is open, expanding links."""
        known = next(n for n in range(len(path) - 1, -1, -1) if path[:n] in self._open or n == 0)
        directory = self._cached(path[:known]) or self._root
        todo = list(reversed(path[known:]))
        links = 0
        while todo:
            part = todo.pop()
            if part == b"..":
                directory = self._reopen(directory.real[:-1])
                continue
            step = self._step(directory, part)
            if isinstance(step, Directory):
                directory = step
                continue
            links += 1
            todo.extend(_expanded(step, links))
            if step.startswith(b"/"):
                directory = self._root
        return self._alias(path, directory)

    def _step(self, directory: Directory, part: bytes) -> Directory | bytes:
        """The directory `part` in `directory`, made if missing, or the target of the link that it is."""
        self._count()
        real = (*directory.real, part)
        known = self._cached(real)
        if known is not None and known.real == real:
            return known
        if len(real) > self._limits.depth:
            raise LayerTooLarge(f"the layer has a link into more than {self._limits.depth} directories")
        try:
            fd = open_directory(part, directory.fd)
        except FileNotFoundError:
            fd = self._make(directory, part)
        except OSError as error:
            if error.errno not in (errno.ENOTDIR, errno.ELOOP):
                raise
            return self._link_or_whiteout(directory, part)
        return self._cache(real, Directory(fd, real))

    def _link_or_whiteout(self, directory: Directory, part: bytes) -> Directory | bytes:
        status = os.stat(part, dir_fd=directory.fd, follow_symlinks=False)
        if stat.S_ISLNK(status.st_mode):
            return os.readlink(part, dir_fd=directory.fd)
        real = (*directory.real, part)
        if stat.S_ISCHR(status.st_mode):
            # Our own whiteout: the new directory must hide the layers below too.
            os.unlink(part, dir_fd=directory.fd)
            fd = self._make(directory, part)
            os.setxattr(fd, OPAQUE_XATTR, b"y")
            return self._cache(real, Directory(fd, real))
        raise LayerRejected(f"the layer puts files below {shown(b'/'.join(real))!r}, which is no directory")

    def _make(self, directory: Directory, part: bytes) -> int:
        os.mkdir(part, 0o700, dir_fd=directory.fd)
        fd = open_directory(part, directory.fd)
        os.fchown(fd, 0, 0)
        os.fchmod(fd, _IMPLIED_MODE)
        self.implied[(*directory.real, part)] = None
        return fd

    def _reopen(self, real: Path) -> Directory:
        directory = self._root
        for part in real:
            step = self._step(directory, part)
            if not isinstance(step, Directory):
                raise LayerRejected("the layer changed while it was unpacked")
            directory = step
        return directory

    def _alias(self, path: Path, directory: Directory) -> Directory:
        """Cache `directory` also under a path that leads to it through links."""
        if directory.real == path or not path:
            return directory
        return self._cache(path, Directory(os.dup(directory.fd), directory.real))

    def _try_open(self, directory: Directory, part: bytes) -> int | None:
        self._count()
        try:
            return open_directory(part, directory.fd)
        except OSError as error:
            if error.errno not in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP):
                raise
            return None

    def _count(self) -> None:
        self._steps += 1
        if self._steps > self._limits.steps:
            raise LayerTooLarge(f"the names of the layer take more than {self._limits.steps} directories to resolve")


def _expanded(target: bytes, links: int) -> list[bytes]:
    """The components of a link's target, last first."""
    if links > _MOST_LINKS:
        raise LayerRejected(f"the layer has a name with more than {_MOST_LINKS} symbolic links")
    return [part for part in reversed(target.split(b"/")) if part not in (b"", b".")]
