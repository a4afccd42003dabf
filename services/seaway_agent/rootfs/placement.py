"""Where ext4 puts the inodes of new directories."""

import contextlib
import fcntl
import os
import struct
from pathlib import Path
from typing import Final

from seaway_agent.rootfs.tree import open_directory

_FS_IOC_GETFLAGS: Final = 0x80086601
_FS_IOC_SETFLAGS: Final = 0x40086602
_FS_TOPDIR_FL: Final = 0x00020000
_FLAGS: Final = struct.Struct("=l")


def spread_children(directory: Path) -> None:
    """Let ext4 put each directory made in `directory` into a block group of its own (`chattr +T`).

    Without it all of them share a group with whatever was deleted there before, and an ext4 without a journal steps
    over each inode deleted in the last minutes: 400 µs instead of 20 for every file made. No effect elsewhere.
    """
    fd = open_directory(directory)
    try:
        with contextlib.suppress(OSError):  # file systems without such flags
            (flags,) = _FLAGS.unpack(fcntl.ioctl(fd, _FS_IOC_GETFLAGS, bytes(_FLAGS.size)))
            fcntl.ioctl(fd, _FS_IOC_SETFLAGS, _FLAGS.pack(flags | _FS_TOPDIR_FL))
    finally:
        os.close(fd)
