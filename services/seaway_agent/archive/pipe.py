"""A bounded pipe of bytes from one thread to the event loop."""

import asyncio
import threading
from collections import deque
from typing import Final

CHUNK: Final = 1 << 19
_CAPACITY: Final = 4 << 20


class ReaderGone(Exception):
    """The reader has stopped; its own error says why."""


class ThreadPipe:
    """`write` and `flush` belong to the thread; `read`, `abandon` and `end` (once the thread has ended) to the loop.

    Small pieces are joined to chunks.
    """

    def __init__(self, capacity: int = _CAPACITY) -> None:
        self._loop = asyncio.get_running_loop()
        self._capacity = capacity
        self._condition = threading.Condition()
        self._chunks: deque[bytes] = deque()
        self._waiting = 0
        self._pending: list[bytes] = []
        self._pending_size = 0
        self._ended = self._abandoned = self._hungry = False
        self._filled = asyncio.Event()

    def write(self, data: bytes) -> None:
        """Pass bytes to the reader, when there is room. Raises ReaderGone."""
        self._pending.append(data)
        self._pending_size += len(data)
        if self._pending_size >= CHUNK:
            self.flush()

    def flush(self) -> None:
        """Pass the buffered bytes to the reader. Raises ReaderGone."""
        if self._pending_size:
            data = b"".join(self._pending)
            self._pending, self._pending_size = [], 0
            self._put(data)

    def _put(self, data: bytes) -> None:
        with self._condition:
            self._condition.wait_for(lambda: self._abandoned or self._waiting < self._capacity)
            if self._abandoned:
                raise ReaderGone
            self._chunks.append(data)
            self._waiting += len(data)
            wake, self._hungry = self._hungry, False
        if wake:
            self._loop.call_soon_threadsafe(self._filled.set)

    async def read(self) -> bytes:
        """The next chunk; b"" at the end."""
        while True:
            with self._condition:
                if self._chunks:
                    data = self._chunks.popleft()
                    self._waiting -= len(data)
                    self._condition.notify()
                    return data
                if self._ended:
                    return b""
                self._hungry = True
                self._filled.clear()
            await self._filled.wait()

    def end(self) -> None:
        """The thread has ended."""
        with self._condition:
            self._ended = True
        self._filled.set()

    def abandon(self) -> None:
        """The reader has stopped: end the thread at its next write."""
        with self._condition:
            self._abandoned = True
            self._chunks.clear()
            self._condition.notify()
