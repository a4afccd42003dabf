"""Writes tar entries as files below a root directory.

Every operation is relative to an open directory and follows no link. A later entry of a layer replaces an earlier one
of the same name; only a directory over a directory keeps its content.
"""

import errno
import os
import stat
from dataclasses import dataclass
from typing import Final

from seaway_agent.rootfs.directories import OPAQUE_XATTR, Directories, Directory, Path
from seaway_agent.rootfs.errors import LayerRejected
from seaway_agent.rootfs.limits import Limits
from seaway_agent.rootfs.names import AUFS_META, OPAQUE, WHITEOUT, beneath, hidden_name, parts_of
from seaway_agent.rootfs.tree import is_directory, open_directory, remove_at
from seaway_archive.entries import Kind, TarEntry
from seaway_archive.errors import shown
from seaway_archive.reader import Pieces

_CREATE: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_FIFO: Final = os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC
_LATEST_MTIME_NS: Final = 2**34 * 1_000_000_000
_USER: Final = "user."
_USER_OVERLAY: Final = "user.overlay."
_CAPABILITY: Final = "security.capability"
_SMALL_XATTR: Final = 1024
_PATH_MAX: Final = 4096
_LINKABLE: Final = (stat.S_IFREG, stat.S_IFLNK, stat.S_IFIFO)


@dataclass(slots=True)
class Written:
    """Counts of a write: entries, bytes of files and link targets, entries left out; whether the root is opaque."""

    entries: int = 0
    size: int = 0
    dropped: int = 0
    opaque_root: bool = False


class TreeWriter:
    """Writes entries below `root_fd`, which the caller owns. Call `finish()` last, `close()` always."""

    def __init__(self, root_fd: int, limits: Limits) -> None:
        self._root_fd = root_fd
        self._limits = limits
        self._directories = Directories(root_fd, limits)
        self._mtimes: dict[Path, int] = {}
        self.written = Written()

    @property
    def implied(self) -> list[Path]:
        """Directories that no entry describes, parents first."""
        return list(self._directories.implied)

    def write(self, entry: TarEntry, pieces: Pieces) -> None:
        """Write one entry, with its data `pieces`. Raises `LayerRejected`, `LayerTooLarge`, OSError."""
        parts = parts_of(entry.name, self._limits)
        self.written.entries += 1
        if not parts:
            self._write_root(entry)
            return
        *above, name = parts
        parent = tuple(above)
        if name.startswith(WHITEOUT) or any(part.startswith(WHITEOUT) for part in parent):
            self._write_whiteout(parent, name)
        elif entry.kind in (Kind.CHARACTER, Kind.BLOCK):
            self._drop_device(entry)
        elif entry.kind is Kind.DIRECTORY:
            self._write_directory(entry, parent, name)
        elif entry.kind is Kind.FILE:
            self._write_file(entry, parent, name, pieces)
        elif entry.kind is Kind.HARDLINK:
            self._write_hardlink(entry, parent, name)
        elif entry.kind is Kind.SYMLINK:
            self._write_symlink(entry, parent, name)
        else:
            self._write_fifo(entry, parent, name)

    def finish(self) -> None:
        """Set the directories' times, which later entries have changed."""
        for path, mtime_ns in self._mtimes.items():
            directory = self._directories.open_plain(path)
            if directory is not None:
                os.utime(directory.fd, ns=(mtime_ns, mtime_ns))

    def close(self) -> None:
        """Close all open directories."""
        self._directories.close()

    def _write_root(self, entry: TarEntry) -> None:
        if entry.kind is not Kind.DIRECTORY:
            raise LayerRejected(f"the layer has a {entry.kind.value} as its root directory")
        _describe(self._root_fd, entry)
        self._mtimes[()] = _mtime(entry)

    def _write_directory(self, entry: TarEntry, parent: Path, name: bytes) -> None:
        directory = self._directories.open(parent)
        real = (*directory.real, name)
        fd = self._make_directory(directory, name)
        try:
            _describe(fd, entry)
        except BaseException:
            os.close(fd)
            raise
        self._directories.adopt(real, fd)
        self._directories.implied.pop(real, None)
        self._mtimes[real] = _mtime(entry)

    def _make_directory(self, parent: Directory, name: bytes) -> int:
        over_whiteout = False
        try:
            os.mkdir(name, 0o700, dir_fd=parent.fd)
        except FileExistsError:
            if is_directory(name, parent.fd):
                return open_directory(name, parent.fd)
            over_whiteout = _is_whiteout(name, parent.fd)
            self._remove(parent, name)
            os.mkdir(name, 0o700, dir_fd=parent.fd)
        fd = open_directory(name, parent.fd)
        if over_whiteout:
            # The directory of the layers below stays hidden.
            os.setxattr(fd, OPAQUE_XATTR, b"y")
        return fd

    def _write_file(self, entry: TarEntry, parent: Path, name: bytes, pieces: Pieces) -> None:
        directory = self._directories.open(parent)
        try:
            fd = os.open(name, _CREATE, 0o600, dir_fd=directory.fd)
        except FileExistsError:
            self._remove(directory, name)
            fd = os.open(name, _CREATE, 0o600, dir_fd=directory.fd)
        try:
            _write_data(fd, entry, pieces)
            _describe(fd, entry)
            os.utime(fd, ns=(_mtime(entry), _mtime(entry)))
        finally:
            os.close(fd)
        self.written.size += entry.size

    def _write_symlink(self, entry: TarEntry, parent: Path, name: bytes) -> None:
        if not entry.link or len(entry.link) >= _PATH_MAX:
            raise LayerRejected(f"the symbolic link {shown(entry.name)!r} of the layer has no usable target")
        fd = self._cleared(parent, name)
        os.symlink(entry.link, name, dir_fd=fd)
        self.written.size += len(entry.link)
        os.chown(name, entry.uid, entry.gid, dir_fd=fd, follow_symlinks=False)
        os.utime(name, ns=(_mtime(entry), _mtime(entry)), dir_fd=fd, follow_symlinks=False)

    def _write_fifo(self, entry: TarEntry, parent: Path, name: bytes) -> None:
        parent_fd = self._cleared(parent, name)
        os.mkfifo(name, 0o600, dir_fd=parent_fd)
        # Opened for reading without waiting for a writer.
        fd = os.open(name, _FIFO, dir_fd=parent_fd)
        try:
            _describe(fd, entry)
            os.utime(fd, ns=(_mtime(entry), _mtime(entry)))
        finally:
            os.close(fd)

    def _write_hardlink(self, entry: TarEntry, parent: Path, name: bytes) -> None:
        *above, target = beneath(entry.link, self._limits) or [b""]
        status = self._linkable(tuple(above), target)
        if status is None:
            raise LayerRejected(
                f"the layer has a hard link {shown(entry.name)!r} to {shown(entry.link)!r}, which is no file of this "
                "layer, or is reached through a symbolic link"
            )
        directory = self._directories.open(parent)
        if _same_file(status, name, directory.fd):
            return
        destination = os.dup(self._cleared(parent, name))
        try:
            # Clearing the name may have removed the target, when the name was a directory above it.
            source = self._directories.open_plain(tuple(above))
            if source is None:
                raise LayerRejected(f"the layer replaces {shown(entry.link)!r} by a hard link to itself")
            os.link(target, name, src_dir_fd=source.fd, dst_dir_fd=destination, follow_symlinks=False)
        finally:
            os.close(destination)

    def _linkable(self, parent: Path, name: bytes) -> os.stat_result | None:
        directory = self._directories.open_plain(parent)
        if directory is None or not name:
            return None
        try:
            status = os.stat(name, dir_fd=directory.fd, follow_symlinks=False)
        except FileNotFoundError:
            return None
        return status if stat.S_IFMT(status.st_mode) in _LINKABLE else None

    def _write_whiteout(self, parent: Path, name: bytes) -> None:
        """Write a whiteout: the file `name` below `parent`, one of which has the prefix of whiteouts."""
        if name == OPAQUE:
            self._make_opaque(parent)
        elif name.startswith(AUFS_META) or any(part.startswith(AUFS_META) for part in parent):
            # Bookkeeping of AUFS, which Docker skips too.
            self.written.dropped += 1
        elif not name.startswith(WHITEOUT):
            raise LayerRejected(f"the layer has the file {shown(name)!r} below a whiteout")
        else:
            self._hide(parent, hidden_name(name))

    def _make_opaque(self, parent: Path) -> None:
        directory = self._directories.open(parent)
        if directory.real:
            os.setxattr(directory.fd, OPAQUE_XATTR, b"y")
        else:
            self.written.opaque_root = True

    def _hide(self, parent: Path, name: bytes) -> None:
        """Hide `name` of the layers below. An entry of this layer itself stays (OCI layer.md)."""
        directory = self._directories.open(parent)
        try:
            os.mknod(name, stat.S_IFCHR, os.makedev(0, 0), dir_fd=directory.fd)
        except FileExistsError:
            if not is_directory(name, directory.fd):
                return
            fd = open_directory(name, directory.fd)
            try:
                os.setxattr(fd, OPAQUE_XATTR, b"y")
            finally:
                os.close(fd)

    def _drop_device(self, entry: TarEntry) -> None:
        if entry.kind is Kind.CHARACTER and entry.device == (0, 0):
            raise LayerRejected(f"the layer has an overlay whiteout of its own, {shown(entry.name)!r}")
        self.written.dropped += 1

    def _cleared(self, parent: Path, name: bytes) -> int:
        """Open the directory `parent` and remove `name` from it, if it exists."""
        directory = self._directories.open(parent)
        try:
            os.stat(name, dir_fd=directory.fd, follow_symlinks=False)
        except FileNotFoundError:
            return directory.fd
        self._remove(directory, name)
        return directory.fd

    def _remove(self, directory: Directory, name: bytes) -> None:
        """Remove `name` from `directory`, which stays open."""
        mode = os.stat(name, dir_fd=directory.fd, follow_symlinks=False).st_mode
        remove_at(directory.fd, name)
        if stat.S_ISDIR(mode):
            self._mtimes.pop((*directory.real, name), None)
        if stat.S_ISDIR(mode) or stat.S_ISLNK(mode):
            self._directories.close_all_but(directory)


def _write_data(fd: int, entry: TarEntry, pieces: Pieces) -> None:
    for offset, data in pieces:
        while data:
            count = os.pwrite(fd, data, offset)
            offset += count
            data = data[count:]
    if entry.extents is not None:
        os.ftruncate(fd, entry.size)


def _describe(fd: int, entry: TarEntry) -> None:
    """Set owner, then xattrs, then mode: chown clears capabilities and setuid."""
    os.fchown(fd, entry.uid, entry.gid)
    for name, value in entry.xattrs.items():
        if name == _CAPABILITY or (name.startswith(_USER) and not name.startswith(_USER_OVERLAY)):
            _set_xattr(fd, name, value, entry)
    os.fchmod(fd, entry.mode)


def _set_xattr(fd: int, name: str, value: bytes, entry: TarEntry) -> None:
    try:
        os.setxattr(fd, name, value)
    except (OSError, ValueError) as error:
        code = error.errno if isinstance(error, OSError) else None
        # EPERM: user.* on a FIFO. ENOTSUP: the disk has no xattrs.
        if code in (errno.EPERM, errno.ENOTSUP):
            return
        # ext4 says ENOSPC also for an xattr that doesn't fit into an inode's block.
        if code in (errno.ENOSPC, errno.EDQUOT) and len(value) <= _SMALL_XATTR:
            raise
        raise LayerRejected(f"the xattr {name[:100]!r} of {shown(entry.name)!r} can't be set: {error}") from None


def _mtime(entry: TarEntry) -> int:
    """The entry's mtime, or 1970 where the disk can't hold it (as Docker does)."""
    return entry.mtime_ns if 0 <= entry.mtime_ns < _LATEST_MTIME_NS else 0


def _is_whiteout(name: bytes, dir_fd: int) -> bool:
    status = os.stat(name, dir_fd=dir_fd, follow_symlinks=False)
    return stat.S_ISCHR(status.st_mode) and status.st_rdev == 0


def _same_file(status: os.stat_result, name: bytes, dir_fd: int) -> bool:
    try:
        there = os.stat(name, dir_fd=dir_fd, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return os.path.samestat(status, there)
