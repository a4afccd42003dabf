"""Fills an empty volume from the image's directory at its target: wholly or not at all, also if the agent is killed.

The copy is made beside the volume's data, out of the containers' reach. The complete copy is renamed, then its entries
are moved into the volume one by one, which the next agent can finish. Containers that use the volume meanwhile cannot
interfere: their files stay, and no name of theirs is opened.
"""

import contextlib
import errno
import fcntl
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from seaway_agent.archive.copying import CancelCheck, copy_tree, describe, set_times
from seaway_agent.archive.view import View
from seaway_agent.archive.walk import kept_xattrs
from seaway_agent.kernel import paths
from seaway_agent.rootfs import tree
from seaway_kit.failpoints import Failpoint, reach

DATA: Final = "_data"
FILLING: Final = "filling"
FILLED: Final = "filled"
_TREE: Final = "tree"
_INTO: Final = "into"
_DIRECTORY: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_TAKEN: Final = (errno.EEXIST, errno.ENOTEMPTY, errno.ENOTDIR)


def is_empty(volume: Path, subpath: str) -> bool:
    """Whether the volume has an empty directory at `subpath` ("": the volume's data itself)."""
    with _open_inside(volume, subpath) as into:
        return into >= 0 and tree.is_empty(into)


def fill(volume: Path, subpath: str, root: int, target: str, check: CancelCheck) -> None:
    """Copy the directory `target` of the image, open at `root`, into the volume, unless that has files already.

    Raises OSError (NotADirectoryError for a file at `target`) or SeawayError, with the volume unchanged.
    """
    try:
        source = paths.open_in_root(root, target, _DIRECTORY)
    except FileNotFoundError:
        return
    try:
        with _locked(volume):
            if is_empty(volume, subpath):
                _copy(volume, subpath, source, check)
                finish(volume)
    finally:
        os.close(source)


def fill_mounted(
    volume: Path, subpath: str, root: int, target: str, check: CancelCheck, opened: Callable[[], View]
) -> None:
    """The same for a volume whose data is another file system, which `opened` opens: the copy is made in place there.

    Raises OSError or SeawayError, maybe with a part of it copied, as in Docker.
    """
    try:
        source = paths.open_in_root(root, target, _DIRECTORY)
    except FileNotFoundError:
        return
    try:
        with _locked(volume), opened() as data:
            into = paths.open_in_root(data.root, subpath or ".", _DIRECTORY)
            try:
                if tree.is_empty(into):
                    copy_tree(source, into, check)
            finally:
                os.close(into)
    finally:
        os.close(source)


def finish(volume: Path) -> None:
    """Move a complete copy into the volume's data; remove an incomplete one."""
    if (volume / FILLED).exists():
        with _open_inside(volume, str((volume / FILLED / _INTO).readlink())) as into:
            if into >= 0:
                _move_in(volume / FILLED / _TREE, into)
        reach(Failpoint.VOLUME_MOVED)
        (volume / FILLED).rename(volume / FILLING)  # a half removed copy must not count as complete
    tree.remove(volume / FILLING)


def _copy(volume: Path, subpath: str, source: int, check: CancelCheck) -> None:
    filling = volume / FILLING
    tree.remove(filling)
    try:
        filling.mkdir(mode=0o700)
        (filling / _INTO).symlink_to(subpath or ".")  # tells the next agent where the copy belongs
        (filling / _TREE).mkdir(mode=0o700)
        fd = tree.open_directory(filling / _TREE)
        try:
            copy_tree(source, fd, check)
        finally:
            os.close(fd)
        reach(Failpoint.VOLUME_COPIED)
        if is_empty(volume, subpath):
            filling.rename(volume / FILLED)
            reach(Failpoint.VOLUME_FILLED)
    finally:
        tree.remove(filling)


def _move_in(copy: Path, into: int) -> None:
    """Move the copy's entries into a directory, except names that exist there."""
    source = tree.open_directory(copy)
    try:
        status = os.fstat(source)
        for name in tree.names(source):
            try:
                if tree.is_directory(name, source):
                    os.rename(name, name, src_dir_fd=source, dst_dir_fd=into)
                else:  # a link: unlike a rename, it replaces nothing
                    os.link(name, name, src_dir_fd=source, dst_dir_fd=into, follow_symlinks=False)
                reach(Failpoint.VOLUME_HALF_MOVED)
            except OSError as error:
                if error.errno not in _TAKEN:
                    raise
        describe(into, status, kept_xattrs(source))
        set_times(into, status)
    finally:
        os.close(source)


@contextlib.contextmanager
def _open_inside(volume: Path, subpath: str) -> Iterator[int]:
    """Open the directory at a path in a volume's data; -1 where there is none. No link leads out of the volume."""
    with contextlib.ExitStack() as stack:
        into = -1
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            data = os.open(volume / DATA, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
            stack.callback(os.close, data)
            into = paths.open_in_root(data, subpath or ".", _DIRECTORY)
            stack.callback(os.close, into)
        yield into


@contextlib.contextmanager
def _locked(volume: Path) -> Iterator[None]:
    """Lock the volume against others that fill it."""
    fd = tree.open_directory(volume)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        yield
    finally:
        os.close(fd)
