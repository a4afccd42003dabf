"""A connection taken over from HTTP: raw bytes both ways, each with back pressure, and half-close.

The client's half-close is the end of what it sends, not of what it gets: output goes on.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Final, Protocol

_HIGH_WATER: Final = 256 * 1024
_HEAD_S: Final = 2.0
_FIRST_PAUSE_S: Final = 0.0005
_LONGEST_PAUSE_S: Final = 0.02


class Flow(Protocol):
    """What a tunnel asks of the transport below it."""

    def write(self, data: bytes) -> None:
        """Send, buffering what the peer doesn't take yet."""

    def pause_reading(self) -> None:
        """Take no more bytes from the peer."""

    def resume_reading(self) -> None:
        """Take bytes from the peer again."""

    def close(self) -> None:
        """Send what is buffered, then close both directions."""


class HungUp(ConnectionError):
    """The client has gone."""


class Tunnel:
    """The server's end of a hijacked connection: fed by its protocol, used by one reader and one writer.

    `unread` returns True while the client may still have unread output. Nothing follows the head of the
    answer until that is read: docker-py reads the head through a buffer and the rest past it, and loses what came with
    the head.

    `drop_input` discards the input in the socket and shuts down its receiving side: see `close`.
    """

    def __init__(
        self, flow: Flow, unread: Callable[[], bool] | None = None, drop_input: Callable[[], None] | None = None
    ) -> None:
        self._flow = flow
        self._unread = unread
        self._drop_input = drop_input
        self._chunks: deque[bytes] = deque()
        self._size = 0
        self._paused = False
        self._eof = False
        self._lost = False
        self._readable = asyncio.Event()
        self._writable = asyncio.Event()
        self._writable.set()
        self._gone = asyncio.Event()

    # --- used by the handler

    async def read(self) -> bytes:
        """The next bytes; b"" once the client has ended its side. Raises HungUp."""
        while not self._chunks:
            if self._lost:
                raise HungUp("the client has hung up")
            if self._eof:
                return b""
            self._readable.clear()
            await self._readable.wait()
        data = self._chunks.popleft()
        self._size -= len(data)
        if self._paused and self._size < _HIGH_WATER // 2:
            self._paused = False
            self._flow.resume_reading()
        return data

    async def write(self, data: bytes) -> None:
        """Send, waiting while the client takes nothing. Raises HungUp."""
        if self._unread is not None:
            await self._wait_for_head_read(self._unread)
            self._unread = None
        await self._writable.wait()
        if self._lost:
            raise HungUp("the client has hung up")
        self._flow.write(data)

    async def _wait_for_head_read(self, unread: Callable[[], bool]) -> None:
        """Wait until the client has read the head, at most `_HEAD_S`."""
        now = asyncio.get_running_loop().time
        end, pause = now() + _HEAD_S, _FIRST_PAUSE_S
        while not self._lost and unread() and now() < end:
            await asyncio.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE_S)

    async def gone(self) -> None:
        """Wait until the connection is lost."""
        await self._gone.wait()

    def close(self) -> None:
        """Send what is buffered and close the connection. Unread input is dropped first: closing a
        socket with unread input gives the client a connection reset instead of an end of file.
        """
        if not self._lost:
            if self._drop_input is not None:
                self._drop_input()
            self._flow.close()

    @property
    def holding(self) -> bool:
        """Whether the client is held back until the reader has caught up."""
        return self._paused

    # --- fed by the connection

    def data_received(self, data: bytes) -> None:
        """Bytes from the client."""
        self._chunks.append(data)
        self._size += len(data)
        if self._size >= _HIGH_WATER and not self._paused and not self._lost:
            self._paused = True
            self._flow.pause_reading()
        self._readable.set()

    def eof_received(self) -> None:
        """The client sends no more."""
        self._eof = True
        self._readable.set()

    def pause_writing(self) -> None:
        """The client takes nothing just now."""
        self._writable.clear()

    def resume_writing(self) -> None:
        """It takes bytes again."""
        self._writable.set()

    def connection_lost(self) -> None:
        """Nothing more goes either way."""
        self._lost = True
        self._readable.set()
        self._writable.set()
        self._gone.set()
