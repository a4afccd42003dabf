"""Output that a client has not read yet: some in memory, the rest in unlinked files, all of it bounded."""

import asyncio
import errno
import os
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Any, Final

from seaway_agent.streams.spill import Segment, SpillStore

IN_MEMORY: Final = 1 << 20
LEAST: Final = 128 << 10
"""Bytes in memory for a client when the store's memory is used up."""
ON_DISK: Final = 1 << 30
_PIECE: Final = 1 << 18
_MOST_WAITING: Final = 1 << 20


class Backlog:
    """A queue of bytes with one reader. `put` never waits.

    Calls `on_change` after each write to disk, successful or not: see `congested` and `failed`.
    """

    def __init__(
        self,
        spill: SpillStore,
        in_memory: int = IN_MEMORY,
        on_disk: int = ON_DISK,
        on_change: Callable[[], None] = lambda: None,
    ) -> None:
        self._spill = spill
        self._taken = in_memory if spill.reserve_memory(in_memory) else 0
        self._in_memory = in_memory if self._taken else min(LEAST, in_memory)
        self._most_on_disk = on_disk
        self._on_change = on_change
        self._pieces: deque[bytes] = deque()
        self._held = 0
        self._segments: deque[Segment] = deque()
        self._waiting: list[bytes] = []
        self._unwritten = self._writing = self._on_disk = 0
        self._at_work = 0
        self._ended = self._closed = False
        self._more = asyncio.Event()
        self.failed: OSError | None = None
        """The error of a write to disk. What was put before it can still be read."""

    @property
    def congested(self) -> bool:
        """Whether more than 1 MiB waits in memory for the disk: put nothing for now."""
        return self._unwritten > _MOST_WAITING

    def put(self, data: bytes) -> bool:
        """Append bytes; False where a bound is reached, and the bytes are dropped."""
        if self.failed is not None or self._closed:
            return False
        size = len(data)
        if not self._on_disk and self._held + size <= self._in_memory:
            self._pieces.append(data)
            self._held += size
        elif self._on_disk + size <= self._most_on_disk and self._spill.reserve_disk(size):
            self._on_disk += size
            self._unwritten += size
            self._waiting.append(data)
            self._write_out()
        else:
            return False
        self._more.set()
        return True

    def end(self) -> None:
        """Mark the end: `get` returns b"" after the last byte."""
        self._ended = True
        self._more.set()

    async def get(self) -> bytes:
        """Wait for the next bytes; b"" at the end. Raises OSError where the disk has lost some."""
        while not self._closed:
            if self._pieces:
                return self._join()
            if self._segments and self._segments[0].read_at < self._segments[0].size:
                return await self._read(self._segments[0])
            if self.failed is not None:
                raise self.failed
            if self._ended and not self._on_disk:
                return b""
            self._more.clear()
            await self._more.wait()
        return b""

    def close(self) -> None:
        """Drop the rest and release memory and disk."""
        if self._closed:
            return
        self._closed = True
        self._pieces.clear()
        self._waiting.clear()
        self._spill.release_memory(self._taken)
        self._spill.release_disk(self._on_disk)
        self._more.set()
        self._drop()

    def _join(self) -> bytes:
        """Bytes from memory, up to 256 KiB, which makes a good message."""
        pieces = [self._pieces.popleft()]
        size = len(pieces[0])
        while self._pieces and size + len(self._pieces[0]) <= _PIECE:
            pieces.append(self._pieces.popleft())
            size += len(pieces[-1])
        self._held -= size
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    # --- the disk

    def _write_out(self) -> None:
        """Write all that waits; one thread at a time does it."""
        if self._writing or not self._waiting:
            return
        pieces, self._waiting = self._waiting, []
        self._writing = sum(map(len, pieces))
        last = self._segments[-1] if self._segments and self._segments[-1].size < self._spill.segment else None
        writing = self._in_thread(lambda: self._spill.append(last, b"".join(pieces)))
        writing.add_done_callback(partial(self._written, last is None))

    def _written(self, fresh: bool, writing: "asyncio.Future[Segment]") -> None:
        size, self._writing = self._writing, 0
        self._unwritten -= size
        if writing.cancelled() or writing.exception() is not None:
            self._refused(size, None if writing.cancelled() else writing.exception())
        else:
            segment = writing.result()
            segment.size += size
            if fresh:
                self._segments.append(segment)
        if self._closed:
            self._drop()
            return
        self._retire()
        self._write_out()
        self._more.set()
        self._on_change()

    def _refused(self, size: int, error: BaseException | None) -> None:
        """Drop the bytes that could not be written, and those that wait behind them."""
        self.failed = error if isinstance(error, OSError) else OSError(errno.EIO, "the disk could not be written")
        if not self._closed:
            lost = size + self._unwritten
            self._on_disk -= lost
            self._spill.release_disk(lost)
        self._waiting.clear()
        self._unwritten = 0

    async def _read(self, segment: Segment) -> bytes:
        size = min(_PIECE, segment.size - segment.read_at)
        reading = self._in_thread(partial(os.pread, segment.fd, size, segment.read_at))
        await asyncio.wait([reading])
        data: bytes = reading.result()
        if self._closed:
            return b""
        if not data:
            raise OSError(errno.EIO, "what was written is not there")
        segment.read_at += len(data)
        self._on_disk -= len(data)
        self._spill.release_disk(len(data))
        self._retire()
        return data

    def _retire(self) -> None:
        """Close the files that are read to their end, except the one that is being written."""
        while self._segments and self._segments[0].read_at == self._segments[0].size:
            if self._writing and len(self._segments) == 1:
                return
            os.close(self._segments.popleft().fd)

    def _in_thread(self, work: Callable[[], Any]) -> "asyncio.Future[Any]":
        """Run `work` in a thread. The files stay open until it ends, also after `close`."""
        self._at_work += 1
        future = asyncio.get_running_loop().run_in_executor(self._spill.threads, work)
        future.add_done_callback(self._worked)
        return future

    def _worked(self, _: "asyncio.Future[Any]") -> None:
        self._at_work -= 1
        if self._closed:
            self._drop()

    def _drop(self) -> None:
        if self._at_work:
            return
        while self._segments:
            os.close(self._segments.popleft().fd)
