"""The bytes of files, to and from an agent: through its unix socket where that is on the same machine, else the bus."""

import asyncio
import contextlib
import functools
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

from seaway_bus.streams import ByteStream
from seaway_contracts.archives import BUS, SOCKET, Opened
from seaway_contracts.errors import unavailable

_CHUNK: Final = 1 << 18
_BUFFER: Final = 1 << 20
_CONNECT_S: Final = 2.0


@functools.cache
def boot_id() -> str:
    """This machine's boot: an agent with the same one is on it."""
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


class Bytes:
    """The two directions of one transfer. How it ended is told by the byte stream. To be closed."""

    def __init__(self, stream: ByteStream, connection: socket.socket | None) -> None:
        self._stream = stream
        self._connection = connection

    @classmethod
    async def open(cls, stream: ByteStream, opened: Opened) -> "Bytes":
        """Take the socket that was offered, if it can be reached."""
        if not opened.socket:
            return cls(stream, None)
        connection = await _connected(opened.socket, stream.id)
        try:
            await stream.write(BUS if connection is None else SOCKET)
        except BaseException:
            if connection is not None:
                connection.close()
            raise
        return cls(stream, connection)

    def close(self) -> None:
        """Let go of the socket."""
        if self._connection is not None:
            self._connection.close()

    async def received(self) -> AsyncIterator[bytes]:
        """What the agent sends, to its end. Raises SeawayError where that is not a good one."""
        if self._connection is not None:
            loop = asyncio.get_running_loop()
            with contextlib.suppress(ConnectionError):  # the stream says why
                while data := await loop.sock_recv(self._connection, _CHUNK):
                    yield data
        while data := await self._stream.read():
            yield data

    async def send(self, pieces: AsyncIterator[bytes]) -> None:
        """Send all of it, and that it is all."""
        if self._connection is None:
            async for data in pieces:
                await self._stream.write(data)
        else:
            await self._send_by_socket(self._connection, pieces)
        await self._stream.end()

    async def _send_by_socket(self, connection: socket.socket, pieces: AsyncIterator[bytes]) -> None:
        loop = asyncio.get_running_loop()
        try:
            async for data in pieces:
                await loop.sock_sendall(connection, data)
            connection.shutdown(socket.SHUT_WR)
        except OSError as error:
            raise unavailable(f"the agent has closed the connection: {error}") from error


async def _connected(path: str, name: str) -> socket.socket | None:
    loop = asyncio.get_running_loop()
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
    try:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _BUFFER)
        async with asyncio.timeout(_CONNECT_S):
            await loop.sock_connect(connection, path)
            await loop.sock_sendall(connection, name.encode() + b"\n")
        return connection
    except (OSError, TimeoutError):
        connection.close()
        return None
    except BaseException:
        connection.close()
        raise
