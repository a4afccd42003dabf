"""Room for what the clients of a node have not read yet: memory and disk, bounded over all of them.

Files are written and read in threads: a slow disk must not hold up the agent.
"""

import errno
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Final

MEMORY: Final = 64 << 20
DISK: Final = 4 << 30
SEGMENT: Final = 16 << 20
_LEFT_ALONE: Final = 20
"""One part in so many of the disk is not taken."""
_THREADS: Final = 2


@dataclass
class Segment:
    """An unlinked file, of which `size` bytes are written and `read_at` read."""

    fd: int
    size: int = 0
    read_at: int = 0


class SpillRoom:
    """One for a node. `hold` and `reserve` say whether so many bytes of memory, of the disk are still to be had."""

    def __init__(self, directory: Path, memory: int = MEMORY, disk: int = DISK, segment: int = SEGMENT) -> None:
        self.threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="spill")
        self.segment = segment
        self._directory = directory
        self._memory = memory
        self._disk = disk
        self._closed = False

    def hold(self, size: int) -> bool:
        """Set memory aside, until `let_go`."""
        if size > self._memory:
            return False
        self._memory -= size
        return True

    def let_go(self, size: int) -> None:
        """Give back memory."""
        self._memory += size

    def reserve(self, size: int) -> bool:
        """Set disk aside, until `release`."""
        if size > self._disk or self._closed:
            return False
        self._disk -= size
        return True

    def release(self, size: int) -> None:
        """Give back disk."""
        self._disk += size

    def append(self, segment: Segment | None, data: bytes) -> Segment:
        """Write behind what a segment holds, or to a new one; the caller raises `size`. Blocks; raises OSError."""
        written = segment or self._new()
        try:
            _write(written.fd, data, written.size)
        except BaseException:
            if segment is None:
                os.close(written.fd)
            raise
        return written

    def _new(self) -> Segment:
        found = os.statvfs(self._directory)
        if found.f_bavail * _LEFT_ALONE < found.f_blocks:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self._directory))
        return Segment(os.open(self._directory, os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC, 0o600))

    def close(self) -> None:
        """Wait for what is being written; nothing more will be."""
        self._closed = True
        self.threads.shutdown(cancel_futures=True)


def _write(fd: int, data: bytes, offset: int) -> None:
    """All of it: a disk that is nearly full takes a part, and refuses the rest only when asked again."""
    rest = memoryview(data)
    while rest:
        written = os.pwrite(fd, rest, offset)
        rest, offset = rest[written:], offset + written
