"""Fills an empty volume with what the image has where it is mounted: wholly or not at all, however the agent ends.

The copy grows beside the volume's data, where no container comes. When it is complete, its directory gets another name,
and what is in it is moved into the volume, name by name: that can be finished by the next agent. Containers that have
the volume meanwhile can lead nothing astray: what they have put there stays, and no name of theirs is opened.
"""

import contextlib
import errno
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from seaway_agent.archive.copying import CancelCheck, copy_tree, describe, set_times
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
    """Whether there is a directory at `subpath` of a volume's data (itself, if empty) with nothing in it."""
    with _inside(volume, subpath) as into:
        return into >= 0 and tree.is_empty(into)


def fill(volume: Path, subpath: str, root: int, target: str, check: CancelCheck) -> None:
    """Copy what the image, open at `root`, has in the directory `target`. A volume that isn't empty is left alone.

    Raises OSError (NotADirectoryError for a file at `target`), SeawayError with the volume as it was.
    """
    try:
        source = paths.open_in_root(root, target, _DIRECTORY)
    except FileNotFoundError:
        return
    try:
        with _alone(volume):
            if is_empty(volume, subpath):
                _copy(volume, subpath, source, check)
                settle(volume)
    finally:
        os.close(source)


def settle(volume: Path) -> None:
    """Move a complete copy into the volume's data; undo one that isn't complete."""
    if (volume / FILLED).exists():
        with _inside(volume, str((volume / FILLED / _INTO).readlink())) as into:
            if into >= 0:
                _move_in(volume / FILLED / _TREE, into)
        reach(Failpoint.VOLUME_MOVED)
        (volume / FILLED).rename(volume / FILLING)  # what is removed by halves is no complete copy any more
    tree.remove(volume / FILLING)


def _copy(volume: Path, subpath: str, source: int, check: CancelCheck) -> None:
    filling = volume / FILLING
    tree.remove(filling)
    try:
        filling.mkdir(mode=0o700)
        (filling / _INTO).symlink_to(subpath or ".")  # the next agent is told where it belongs
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
    """What stands there by now stays."""
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
def _inside(volume: Path, subpath: str) -> Iterator[int]:
    """The directory at a path inside a volume's data, open; -1 where none is. No link leads out."""
    with contextlib.ExitStack() as stack:
        into = -1
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            data = os.open(volume / DATA, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
            stack.callback(os.close, data)
            into = paths.open_in_root(data, subpath or ".", _DIRECTORY)
            stack.callback(os.close, into)
        yield into


@contextlib.contextmanager
def _alone(volume: Path) -> Iterator[None]:
    """While nobody else fills this volume."""
    fd = tree.open_directory(volume)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        yield
    finally:
        os.close(fd)
