"""Writes the entries of an archive into a directory of a container, as `docker cp` does (moby pkg/archive, Untar).

Every name is opened from the container's root (`kernel.paths`), its last part always without following a link: so
entries go through the container's own links as its processes would, and never out of it, whatever is swapped meanwhile.
"""

import errno
import os
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from seaway_agent.archive import rules
from seaway_agent.kernel import paths
from seaway_agent.rootfs import tree
from seaway_archive.entries import Kind, TarEntry
from seaway_archive.reader import Pieces
from seaway_contracts.errors import internal

_CREATE: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_DIRECTORY: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_PATH: Final = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC
_NODES: Final = {Kind.CHARACTER: stat.S_IFCHR, Kind.BLOCK: stat.S_IFBLK, Kind.FIFO: stat.S_IFIFO}
_LATEST_NS: Final = 2**34 * 1_000_000_000


@dataclass(frozen=True)
class Target:
    """Where entries go: `path` is absolute in the container and without links; `owner` gets them all, if given."""

    root: int
    path: str
    keep_kinds: bool = False
    owner: tuple[int, int] | None = None


class Extractor:
    """Writes entries one after another. `finish()` last, `close()` always. Raises SeawayError, OSError."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._parent: tuple[bytes, int] | None = None
        self._times: list[tuple[bytes, int]] = []

    def write(self, entry: TarEntry, pieces: Pieces) -> None:
        """Write one entry. It replaces what was there before; only a directory over a directory keeps its content."""
        path = rules.entry_path(entry.name, self._target.path)
        if path == b".":
            return
        above, _, name = path.rpartition(b"/")
        if entry.kind is Kind.SYMLINK:
            rules.check_symlink(path, entry.link, self._target.path)
        parent = self._open_parent(above)
        self._clear(parent, name, path, entry)
        if entry.kind is Kind.DIRECTORY:
            self._write_directory(parent, name, path, entry)
        elif entry.kind is Kind.FILE:
            self._write_file(parent, name, entry, pieces)
        elif entry.kind is Kind.HARDLINK:
            self._write_hardlink(parent, name, entry)
        elif entry.kind is Kind.SYMLINK:
            os.symlink(entry.link, name, dir_fd=parent)
            self._own_link(parent, name, entry)
        else:
            self._write_node(parent, name, entry)

    def finish(self) -> None:
        """Set the times of directories, as writing into them has changed them. Skips one that was swapped away."""
        for path, mtime_ns in self._times:
            try:
                fd = self._open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
            except OSError:
                continue
            try:
                os.utime(fd, ns=(mtime_ns, mtime_ns))
            finally:
                os.close(fd)

    def close(self) -> None:
        """Close what is open."""
        if self._parent is not None:
            os.close(self._parent[1])
            self._parent = None

    def _absolute(self, path: bytes) -> str:
        return self._target.path.rstrip("/") + "/" + os.fsdecode(path)

    def _open(self, path: bytes, flags: int) -> int:
        return paths.open_in_root(self._target.root, self._absolute(path), flags)

    def _open_parent(self, path: bytes) -> int:
        """The directory at a path, made with all above it if missing. The last one is kept open."""
        if self._parent is not None and self._parent[0] == path:
            return self._parent[1]
        self.close()
        fd = paths.mkdir_all_in_root(self._target.root, self._absolute(path))
        self._parent = (path, fd)
        return fd

    def _clear(self, parent: int, name: bytes, path: bytes, entry: TarEntry) -> None:
        try:
            there = stat.S_ISDIR(os.stat(name, dir_fd=parent, follow_symlinks=False).st_mode)
        except FileNotFoundError:
            return
        comes = entry.kind is Kind.DIRECTORY
        if there and comes:
            return
        if self._target.keep_kinds and there != comes:
            raise rules.replaces(
                self._absolute(path), self._target.path, there_is_directory=there, comes_directory=comes
            )
        tree.remove_at(parent, name)

    def _write_directory(self, parent: int, name: bytes, path: bytes, entry: TarEntry) -> None:
        try:
            os.mkdir(name, 0o700, dir_fd=parent)
        except FileExistsError:
            pass  # `_clear` has left a directory; a link that was swapped in doesn't open
        fd = os.open(name, _DIRECTORY, dir_fd=parent)
        try:
            self._describe(fd, entry)
        finally:
            os.close(fd)
        self._times.append((path, _mtime(entry)))

    def _write_file(self, parent: int, name: bytes, entry: TarEntry, pieces: Pieces) -> None:
        fd = os.open(name, _CREATE, 0o600, dir_fd=parent)
        try:
            for offset, data in pieces:
                _write_at(fd, data, offset)
            if entry.extents is not None:
                os.ftruncate(fd, entry.size)
            self._describe(fd, entry)
            os.utime(fd, ns=(_mtime(entry), _mtime(entry)))
        finally:
            os.close(fd)

    def _write_hardlink(self, parent: int, name: bytes, entry: TarEntry) -> None:
        above, _, target = rules.link_path(entry.link).rpartition(b"/")
        source = self._open(above, os.O_PATH | os.O_DIRECTORY)
        try:
            os.link(target, name, src_dir_fd=source, dst_dir_fd=parent, follow_symlinks=False)
        finally:
            os.close(source)

    def _write_node(self, parent: int, name: bytes, entry: TarEntry) -> None:
        os.mknod(name, _NODES[entry.kind] | 0o600, os.makedev(*entry.device), dir_fd=parent)
        self._own_link(parent, name, entry)
        fd = os.open(name, _PATH, dir_fd=parent)
        try:
            if not stat.S_ISLNK(os.fstat(fd).st_mode):
                Path(f"/proc/self/fd/{fd}").chmod(entry.mode & 0o7777)
        finally:
            os.close(fd)

    def _own_link(self, parent: int, name: bytes, entry: TarEntry) -> None:
        uid, gid = self._target.owner or (entry.uid, entry.gid)
        os.chown(name, uid, gid, dir_fd=parent, follow_symlinks=False)
        os.utime(name, ns=(_mtime(entry), _mtime(entry)), dir_fd=parent, follow_symlinks=False)

    def _describe(self, fd: int, entry: TarEntry) -> None:
        """Owner, then xattrs, then mode: chown clears capabilities and setuid."""
        os.fchown(fd, *(self._target.owner or (entry.uid, entry.gid)))
        for name, value in entry.xattrs.items():
            _set_xattr(fd, name, value)
        os.fchmod(fd, entry.mode & 0o7777)


def _write_at(fd: int, data: memoryview, offset: int) -> None:
    while data:
        count = os.pwrite(fd, data, offset)
        offset += count
        data = data[count:]


def _set_xattr(fd: int, name: str, value: bytes) -> None:
    """File capabilities and the user's own; overlayfs's would change what the container sees."""
    own = name.startswith("user.") and not name.startswith("user.overlay.")
    if not own and name != "security.capability":
        return
    try:
        os.setxattr(fd, name, value)
    except ValueError as error:
        raise internal(f"the xattr {name[:100]!r} can't be set: {error}") from None
    except OSError as error:
        if error.errno not in (errno.EPERM, errno.ENOTSUP):
            raise


def _mtime(entry: TarEntry) -> int:
    """The entry's mtime, or 1970 where no disk can hold it (as Docker does)."""
    return entry.mtime_ns if 0 <= entry.mtime_ns < _LATEST_NS else 0
