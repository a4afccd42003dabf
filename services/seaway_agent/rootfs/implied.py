"""Directories that a layer contains without describing them take after those of the layers below.

Overlayfs shows the attributes of the topmost directory of a name, so an undescribed /tmp would otherwise lose its
sticky bit.
"""

import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from seaway_agent.rootfs import merged
from seaway_agent.rootfs.directories import Directories
from seaway_agent.rootfs.limits import Limits
from seaway_agent.rootfs.tree import open_directory


def settle_implied(diff: Path, implied: Iterable[tuple[bytes, ...]], lowers: Sequence[Path]) -> None:
    """Give each `implied` directory of the layer at `diff` mode, owner and time of the one in `lowers` (top first)."""
    root = open_directory(diff)
    directories = Directories(root, Limits())
    try:
        for path in implied:
            found = merged.find(lowers, path)
            directory = directories.open_plain(path) if found is not None and found.is_directory else None
            if found is not None and directory is not None:
                _copy(found.status, directory.fd)
    finally:
        directories.close()
        os.close(root)


def _copy(status: os.stat_result, fd: int) -> None:
    os.fchown(fd, status.st_uid, status.st_gid)
    os.fchmod(fd, status.st_mode & 0o7777)
    os.utime(fd, ns=(status.st_mtime_ns, status.st_mtime_ns))
