"""A bounded pipe of bytes from the event loop to one thread."""

import asyncio
import threading
from collections import deque
from typing import Final

from seaway_agent.rootfs.limits import MIB

_CAPACITY: Final = 8 * MIB


class PipeClosed(Exception):
    """The other side is gone; its own error says why."""


class BytePipe:
    """`feed`, `end` and `fail` belong to the event loop, `read` and `abandon` to the thread."""

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
        self._room = asyncio.Event()

    async def feed(self, data: bytes) -> None:
        """Hand over `data`, when there is room for it. Raises `PipeClosed` after `abandon`."""
        while data:
            with self._condition:
                if self._abandoned:
                    raise PipeClosed
                if not self._waiting or self._waiting + len(data) <= self._capacity:
                    self._chunks.append(data)
                    self._waiting += len(data)
                    self._condition.notify()
                    return
                self._room.clear()
                self._full = True
            await self._room.wait()

    def end(self) -> None:
        """No more bytes: reads give b"" when all is read."""
        with self._condition:
            self._ended = True
            self._condition.notify()

    def fail(self) -> None:
        """Reads raise `PipeClosed` from now on."""
        with self._condition:
            self._failed = True
            self._condition.notify()

    def read(self, n: int) -> bytes:
        """1 to `n` bytes, as soon as there are any; b"" at the end."""
        with self._condition:
            self._condition.wait_for(lambda: self._chunks or self._ended or self._failed)
            if self._failed:
                raise PipeClosed
            data = self._take(n)
            self._tell_room()
            return data

    def abandon(self) -> None:
        """The thread reads no more."""
        with self._condition:
            self._abandoned = True
            self._chunks.clear()
            self._tell_room()

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

    def _tell_room(self) -> None:
        """Wake `feed`, which sleeps only when it had found the pipe full."""
        if self._full:
            self._full = False
            self._loop.call_soon_threadsafe(self._room.set)
