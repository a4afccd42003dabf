"""How much space volumes take up, as Docker counts it."""

import os
import stat
from collections.abc import Callable
from pathlib import Path

from seaway_agent.rootfs import tree


def size_of(data: Path, cancelled: Callable[[], bool]) -> int:
    """The sum of the sizes of all files below a directory, hard links counted once; moby's `directory.Size`.

    -1 where it can't be read, or once it is cancelled.
    """
    seen: set[tuple[int, int]] = set()
    total = 0
    try:
        for status in tree.walk(data):
            if cancelled():
                return -1
            total += _new_bytes(status, seen)
    except OSError:
        return -1
    return total


def _new_bytes(status: os.stat_result, seen: set[tuple[int, int]]) -> int:
    if stat.S_ISDIR(status.st_mode) or not status.st_size:
        return 0
    file = (status.st_dev, status.st_ino)
    if file in seen:
        return 0
    if status.st_nlink > 1:
        seen.add(file)
    return status.st_size
