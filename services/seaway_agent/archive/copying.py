"""Copies a directory tree into another one, from descriptor to descriptor: no link is followed, only directories and
plain files are opened.

The source may change meanwhile (`walk`); the target must be nobody else's until the copy is complete.
"""

import contextlib
import errno
import os
import stat
from collections.abc import Callable
from typing import Final, NamedTuple

from seaway_agent.archive.walk import Step, kept_xattrs, open_plain, walk
from seaway_agent.rootfs.tree import open_directory

_CREATE: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_PIECE: Final = 8 << 20

CancelCheck = Callable[[], None]
"""Called repeatedly during a copy; raises to break it off."""


class _Directory(NamedTuple):
    """An open directory of the copy, and the status of its original."""

    fd: int
    status: os.stat_result


def copy_tree(source: int, target: int, check: CancelCheck = lambda: None) -> None:
    """Copy everything below the open directory `source` into the open directory `target`, which becomes like it.

    Owners, modes, times, file capabilities, the users' own xattrs, holes and hard links are kept. Sockets and devices
    are left out, as of images. Raises OSError, SeawayError with a part of it copied.
    """
    _Copy(target, check).run(source)


def describe(fd: int, status: os.stat_result, xattrs: dict[str, bytes]) -> None:
    """Owner, then xattrs, then mode: chown clears capabilities and setuid. Where the disk has no xattrs, without."""
    os.fchown(fd, status.st_uid, status.st_gid)
    for name, value in xattrs.items():
        try:
            os.setxattr(fd, name, value)
        except OSError as error:
            if error.errno != errno.ENOTSUP:
                raise
    os.fchmod(fd, stat.S_IMODE(status.st_mode))


def set_times(fd: int, status: os.stat_result) -> None:
    """The times of the last access and the last change."""
    os.utime(fd, ns=(status.st_atime_ns, status.st_mtime_ns))


class _Copy:
    """One copy under way. `_open` are the directories from the target's top down to where the walk is."""

    def __init__(self, target: int, check: CancelCheck) -> None:
        self._target = target
        self._check = check
        self._open: list[_Directory] = []
        self._first: dict[tuple[int, int], bytes] = {}

    def run(self, source: int) -> None:
        with contextlib.closing(walk(source, b"")) as steps:
            try:
                self._enter(os.dup(self._target), source)
                for step in steps:
                    self._check()
                    self._leave_to(step.title.count(b"/") + 1)
                    self._copy(step)
                self._leave_to(0)
            finally:
                for directory in self._open:
                    os.close(directory.fd)

    def _enter(self, fd: int, like: int) -> None:
        self._open.append(_Directory(fd, os.fstat(like)))
        describe(fd, self._open[-1].status, kept_xattrs(like))

    def _leave_to(self, depth: int) -> None:
        """Set the times of the complete directories, as writing into them has changed them."""
        while len(self._open) > depth:
            directory = self._open.pop()
            try:
                set_times(directory.fd, directory.status)
            finally:
                os.close(directory.fd)

    def _copy(self, step: Step) -> None:
        parent, kind = self._open[-1].fd, stat.S_IFMT(step.status.st_mode)
        if kind == stat.S_IFDIR:
            os.mkdir(step.name, 0o700, dir_fd=parent)
            self._enter(open_directory(step.name, parent), step.fd)
        elif kind in (stat.S_IFREG, stat.S_IFLNK, stat.S_IFIFO) and not self._linked(step, parent):
            with contextlib.suppress(FileNotFoundError):
                _MAKERS[kind](step, parent, self._check)

    def _linked(self, step: Step, parent: int) -> bool:
        """Make it a hard link where it is another name of something copied before; False where it can't be."""
        if step.status.st_nlink < 2:
            return False
        first = self._first.setdefault((step.status.st_dev, step.status.st_ino), step.title)
        if first == step.title:
            return False
        try:
            os.link(first, os.fsencode(step.name), src_dir_fd=self._target, dst_dir_fd=parent, follow_symlinks=False)
        except OSError as error:
            if error.errno not in (errno.ENOENT, errno.ENAMETOOLONG, errno.EMLINK):
                raise
            return False
        return True


def _copy_file(step: Step, parent: int, check: CancelCheck) -> None:
    found = open_plain(step.parent, step.name)
    if found is None:
        return
    source, status = found
    try:
        target = os.open(step.name, _CREATE, 0o600, dir_fd=parent)
        try:
            _copy_data(source, target, status.st_size, check)
            describe(target, status, kept_xattrs(source))
            set_times(target, status)
        finally:
            os.close(target)
    finally:
        os.close(source)


def _copy_data(source: int, target: int, size: int, check: CancelCheck) -> None:
    """Copy the data, without the holes between."""
    at = 0
    while at < size:
        try:
            at = os.lseek(source, at, os.SEEK_DATA)
        except OSError as error:
            if error.errno == errno.ENXIO:  # no data any more
                break
            raise
        end = min(os.lseek(source, at, os.SEEK_HOLE), size)
        os.lseek(target, at, os.SEEK_SET)
        while at < end:
            check()
            count = os.sendfile(target, source, at, min(end - at, _PIECE))
            if not count:
                break  # it was cut off meanwhile
            at += count
    os.ftruncate(target, size)


def _copy_link(step: Step, parent: int, check: CancelCheck) -> None:
    os.symlink(os.readlink(step.name, dir_fd=step.parent), step.name, dir_fd=parent)
    _describe_by_name(step, parent)


def _copy_fifo(step: Step, parent: int, check: CancelCheck) -> None:
    os.mkfifo(step.name, 0o600, dir_fd=parent)
    _describe_by_name(step, parent)
    os.chmod(step.name, stat.S_IMODE(step.status.st_mode), dir_fd=parent)


def _describe_by_name(step: Step, parent: int) -> None:
    status = step.status
    os.chown(step.name, status.st_uid, status.st_gid, dir_fd=parent, follow_symlinks=False)
    os.utime(step.name, ns=(status.st_atime_ns, status.st_mtime_ns), dir_fd=parent, follow_symlinks=False)


_MAKERS: Final = {stat.S_IFREG: _copy_file, stat.S_IFLNK: _copy_link, stat.S_IFIFO: _copy_fifo}
