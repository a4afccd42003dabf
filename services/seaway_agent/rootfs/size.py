"""Sizes of containers as `docker ps --size` shows them (Engine API 1.45, ContainerSummary: SizeRw, SizeRootFs)."""

import stat
from pathlib import Path
from typing import NamedTuple

from seaway_agent.rootfs.tree import walk


class ContainerSize(NamedTuple):
    """Bytes written by the container, and those plus its image's."""

    size_rw: int
    size_root_fs: int


def tree_size(path: Path) -> int:
    """The bytes of all files below `path`, hard-linked ones once, directories and whiteouts as nothing. Blocks."""
    total = 0
    linked: set[tuple[int, int]] = set()
    for status in walk(path):
        if stat.S_ISDIR(status.st_mode):
            continue
        if status.st_nlink > 1:
            inode = (status.st_dev, status.st_ino)
            if inode in linked:
                continue
            linked.add(inode)
        total += status.st_size
    return total


def container_size(upper: Path, image_size: int) -> ContainerSize:
    """The sizes of a container with the writable layer `upper` on an image of `image_size` bytes. Blocks."""
    written = tree_size(upper)
    return ContainerSize(written, written + image_size)
