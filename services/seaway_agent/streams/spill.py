"""Memory and disk for the backlogs of all clients of a node, both bounded.

Files are written and read in threads, so that a slow disk does not block the agent.
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
_FREE_PART: Final = 20
"""One part in so many of the disk stays free."""
_THREADS: Final = 2


@dataclass
class Segment:
    """An unlinked file, of which `size` bytes are written and `read_at` read."""

    fd: int
    size: int = 0
    read_at: int = 0


class SpillStore:
    """One for a node. Counts reserved memory and disk, and writes spilled bytes to unlinked files."""

    def __init__(self, directory: Path, memory: int = MEMORY, disk: int = DISK, segment: int = SEGMENT) -> None:
        self.threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="spill")
        self.segment = segment
        self._directory = directory
        self._memory = memory
        self._disk = disk
        self._closed = False

    def reserve_memory(self, size: int) -> bool:
        """Reserve memory until `release_memory`; False where too little is left."""
        if size > self._memory:
            return False
        self._memory -= size
        return True

    def release_memory(self, size: int) -> None:
        """Release reserved memory."""
        self._memory += size

    def reserve_disk(self, size: int) -> bool:
        """Reserve disk until `release_disk`; False where too little is left."""
        if size > self._disk or self._closed:
            return False
        self._disk -= size
        return True

    def release_disk(self, size: int) -> None:
        """Release reserved disk."""
        self._disk += size

    def append(self, segment: Segment | None, data: bytes) -> Segment:
        """Append to a segment, or to a new one, and return it; the caller raises its `size`. Blocks; raises OSError."""
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
        if found.f_bavail * _FREE_PART < found.f_blocks:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self._directory))
        return Segment(os.open(self._directory, os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC, 0o600))

    def close(self) -> None:
        """Wait for writes under way, and refuse new reservations."""
        self._closed = True
        self.threads.shutdown(cancel_futures=True)


def _write(fd: int, data: bytes, offset: int) -> None:
    """Write all of `data`: a nearly full disk accepts a part, and refuses the rest only at the next call."""
    rest = memoryview(data)
    while rest:
        written = os.pwrite(fd, rest, offset)
        rest, offset = rest[written:], offset + written
