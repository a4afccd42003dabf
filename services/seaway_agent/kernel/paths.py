"""Open paths inside a rootfs whose links may be hostile: no function here can leave the rootfs.

Every function takes a descriptor of the rootfs (O_PATH will do) and a path that is absolute within it. openat2(2) with
RESOLVE_IN_ROOT resolves absolute links and ".." within the rootfs, even while others change them. The umask applies
to modes.
"""

import contextlib
import errno
import os
import shutil
import stat
from collections.abc import Callable, Iterator
from typing import Final

from seaway_agent.kernel import syscalls

_IN_ROOT: Final = syscalls.RESOLVE_IN_ROOT | syscalls.RESOLVE_NO_MAGICLINKS
_SAME_MOUNT: Final = _IN_ROOT | syscalls.RESOLVE_NO_XDEV
_DIRECTORY: Final = os.O_PATH | os.O_DIRECTORY
# The kernel returns EAGAIN when a part of the path is renamed meanwhile (openat2(2)).
_RACES: Final = 64
# MAXSYMLINKS of the kernel.
_MAX_LINKS: Final = 40


def open_in_root(rootfd: int, path: str, flags: int, mode: int = 0, resolve: int = _IN_ROOT) -> int:
    """Open a path, links followed within the rootfs. `mode` only with O_CREAT or O_TMPFILE. Raises OSError."""
    for attempt in range(_RACES):
        try:
            return syscalls.openat2(rootfd, path, flags, mode=mode, resolve=resolve)
        except BlockingIOError:
            if attempt == _RACES - 1:
                raise
    raise AssertionError("the loop returns or raises")


def read_text_in_root(rootfd: int, path: str, limit: int) -> str:
    """The first `limit` bytes of a text file; empty if it is missing or no plain file (never opened then)."""
    try:
        fd = open_in_root(rootfd, path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return ""
    try:
        about = os.fstat(fd)
        if not stat.S_ISREG(about.st_mode):
            return ""
        return _read(f"/proc/self/fd/{fd}", min(limit, about.st_size or limit)).decode(errors="replace")
    finally:
        os.close(fd)


def read_text_nonblocking(rootfd: int, path: str, limit: int) -> str | None:
    """The text of a file, without blocking; None if it is larger than `limit`, or reading it may block.

    Reading may block on the server of another file system on the path, or on the holder of a lease on the file.
    """
    try:
        fd = open_in_root(rootfd, path, os.O_PATH | os.O_CLOEXEC, resolve=_SAME_MOUNT)
    except OSError as error:
        return None if error.errno in (errno.EXDEV, errno.EAGAIN) else ""
    try:
        about = os.fstat(fd)
        if not stat.S_ISREG(about.st_mode):
            return ""
        if about.st_size > limit:
            return None
        return _read(f"/proc/self/fd/{fd}", limit, os.O_NONBLOCK).decode(errors="replace")
    except BlockingIOError:
        return None
    finally:
        os.close(fd)


def _read(path: str, size: int, flags: int = 0) -> bytes:
    """Read a file in few calls, as each releases the GIL."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | flags)
    try:
        return os.read(fd, size)
    finally:
        os.close(fd)


def lstat_in_root(rootfd: int, path: str) -> os.stat_result:
    """The status of the path itself; follows links only in its parents. Raises FileNotFoundError."""
    fd = open_in_root(rootfd, path, os.O_PATH | os.O_NOFOLLOW)
    try:
        return os.fstat(fd)
    finally:
        os.close(fd)


@contextlib.contextmanager
def _directory(rootfd: int, path: str) -> Iterator[int]:
    fd = open_in_root(rootfd, path, _DIRECTORY)
    try:
        yield fd
    finally:
        os.close(fd)


LinkTarget = Callable[[str, str], str | None]
"""(directory, name) → the link's target; None for anything else."""


def resolve(rootfd: int, path: str, link_of: LinkTarget | None = None) -> str:
    """The path without links and dots, absolute within the rootfs; a missing part is kept unchanged.

    `link_of` reads links if they are not those of the rootfs alone. Use the result only to show it or to create what is
    missing, and open it with these functions as well. Raises OSError (ELOOP) after 40 links.
    """
    done: list[str] = []
    todo = path.split("/")[::-1]
    links = 0
    while todo:
        part = todo.pop()
        if part == "..":
            del done[-1:]
        elif part not in ("", "."):
            target = link_target(rootfd, "/".join(done), part) if link_of is None else link_of("/".join(done), part)
            if target is None:
                done.append(part)
                continue
            links += 1
            if links > _MAX_LINKS:
                raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), path)
            if target.startswith("/"):
                done.clear()
            todo += target.split("/")[::-1]
    return "/" + "/".join(done)


def link_target(rootfd: int, parent: str, name: str) -> str | None:
    """The target of a link; None for anything else."""
    try:
        with _directory(rootfd, "/" + parent) as parent_fd:
            return os.readlink(name, dir_fd=parent_fd)
    except OSError as error:
        if error.errno in (errno.EINVAL, errno.ENOENT, errno.ENOTDIR):
            return None
        raise


def mkdir_all_in_root(rootfd: int, path: str, mode: int = 0o755) -> int:
    """Make a directory and those above it that are missing; returns an O_PATH descriptor of it.

    Follows dangling links, as Docker does (`mkdir -p` in the container wouldn't). Raises
    NotADirectoryError when something else stands on the way.
    """
    try:
        return open_in_root(rootfd, path, _DIRECTORY)
    except FileNotFoundError:
        pass
    fd = open_in_root(rootfd, "/", _DIRECTORY)
    try:
        for part in resolve(rootfd, path).strip("/").split("/"):
            below = _enter_or_make(fd, part, mode)
            os.close(fd)
            fd = below
    except BaseException:
        os.close(fd)
        raise
    return fd


def _enter_or_make(parent: int, name: str, mode: int) -> int:
    with contextlib.suppress(FileExistsError):
        os.mkdir(name, mode, dir_fd=parent)
    return syscalls.openat2(parent, name, _DIRECTORY, resolve=syscalls.RESOLVE_BENEATH | syscalls.RESOLVE_NO_SYMLINKS)


def replace_with_file_in_root(rootfd: int, path: str, mode: int = 0o644) -> bool:
    """Put a plain file at the path (empty if new), in place of a link, directory tree or device.

    True if something changed.
    """
    parent, name = _split(path)
    parent_fd = mkdir_all_in_root(rootfd, parent)
    try:
        found = _kind(parent_fd, name)
        if found == stat.S_IFREG:
            return False
        if found == stat.S_IFDIR:
            shutil.rmtree(name, dir_fd=parent_fd)
        elif found is not None:
            os.unlink(name, dir_fd=parent_fd)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        os.close(os.open(name, flags, mode, dir_fd=parent_fd))
    finally:
        os.close(parent_fd)
    return True


def _split(path: str) -> tuple[str, str]:
    parent, _, name = path.rstrip("/").rpartition("/")
    if name in ("", ".", ".."):
        raise OSError(errno.EINVAL, "not a path with a name at its end", path)
    return parent or "/", name


def _kind(parent_fd: int, name: str) -> int | None:
    try:
        return stat.S_IFMT(os.stat(name, dir_fd=parent_fd, follow_symlinks=False).st_mode)
    except FileNotFoundError:
        return None
