"""Work in threads: a bounded pipe of bytes to a thread, and waits that a cancellation does not cut short."""

import asyncio
import threading
from collections import deque
from collections.abc import Callable
from typing import Any, Final, TypeVar

from seaway_agent.rootfs.limits import MIB

_CAPACITY: Final = 8 * MIB
T = TypeVar("T")


class PipeClosed(Exception):
    """The other side has failed or stopped; its own error says why."""


class BytePipe:
    """Call `feed`, `end` and `fail` in the event loop, `read` and `abandon` in the thread."""

    def __init__(self, capacity: int = _CAPACITY) -> None:
        self._loop = asyncio.get_running_loop()
        self._capacity = capacity
        self._condition = threading.Condition()
        self._chunks: deque[bytes] = deque()
        self._offset = 0
        self._waiting = 0
        self._ended = False
        self._failed = False
        self._abandoned = False
        self._full = False
        self._space = asyncio.Event()

    async def feed(self, data: bytes) -> None:
        """Wait until there is space, then append `data`. Raises `PipeClosed` after `abandon`."""
        while data:
            with self._condition:
                if self._abandoned:
                    raise PipeClosed
                if not self._waiting or self._waiting + len(data) <= self._capacity:
                    self._chunks.append(data)
                    self._waiting += len(data)
                    self._condition.notify()
                    return
                self._space.clear()
                self._full = True
            await self._space.wait()

    def end(self) -> None:
        """Mark the end: reads return b"" after the last byte."""
        with self._condition:
            self._ended = True
            self._condition.notify()

    def fail(self) -> None:
        """Let reads raise `PipeClosed` from now on."""
        with self._condition:
            self._failed = True
            self._condition.notify()

    def read(self, n: int) -> bytes:
        """Wait for 1 to `n` bytes; b"" at the end."""
        with self._condition:
            self._condition.wait_for(lambda: self._chunks or self._ended or self._failed)
            if self._failed:
                raise PipeClosed
            data = self._take(n)
            self._signal_space()
            return data

    def abandon(self) -> None:
        """Drop the rest, and let `feed` raise `PipeClosed`: the thread has stopped reading."""
        with self._condition:
            self._abandoned = True
            self._chunks.clear()
            self._signal_space()

    def _take(self, n: int) -> bytes:
        if not self._chunks:
            return b""
        first = self._chunks[0]
        data = first[self._offset : self._offset + n]
        self._offset += len(data)
        if self._offset == len(first):
            self._chunks.popleft()
            self._offset = 0
        self._waiting -= len(data)
        return data

    def _signal_space(self) -> None:
        """Wake `feed`, which sleeps only while the pipe is full."""
        if self._full:
            self._full = False
            self._loop.call_soon_threadsafe(self._space.set)


async def wait_until_done(work: asyncio.Future[Any]) -> bool:
    """Wait until `work` is done, through cancellations too; whether there was one.

    A cancelled caller must not leave a thread behind that still writes.
    """
    cancelled = False
    while not work.done():
        try:
            await asyncio.wait([work])
        except asyncio.CancelledError:
            cancelled = True
    if not work.cancelled():
        work.exception()
    return cancelled


async def run_to_end(function: Callable[[], T]) -> T:
    """Run `function` in a thread to its end. A cancellation takes effect after that."""
    work = asyncio.get_running_loop().run_in_executor(None, function)
    if await wait_until_done(work):
        raise asyncio.CancelledError
    return work.result()
