"""Two ends of one connection, in memory; and HTTP/2 on both."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from seaway_api.buildkit.http2 import Http2, Serve
from seaway_kit.tasks import Tasks

_ROOM = 64 * 1024


class PipeEnd:
    """One end. A writer waits while the other end doesn't read."""

    def __init__(self) -> None:
        self._data = bytearray()
        self._changed = asyncio.Event()
        self.closed = False
        self.other: PipeEnd = self

    async def read(self) -> bytes:
        while not self._data and not self.closed:
            await self._wait()
        data = bytes(self._data)
        self._data.clear()
        self._changed.set()
        return data

    async def write(self, data: bytes) -> None:
        await self.other.take(data)

    async def take(self, data: bytes) -> None:
        """Bytes of the other end's."""
        while len(self._data) >= _ROOM and not self.closed:
            await self._wait()
        if self.closed:
            raise ConnectionResetError("closed")
        self._data += data
        self._changed.set()

    async def _wait(self) -> None:
        self._changed.clear()
        await self._changed.wait()

    def close(self) -> None:
        for end in (self, self.other):
            end.closed = True
            end._changed.set()


def pipe() -> tuple[PipeEnd, PipeEnd]:
    """Both ends."""
    one, two = PipeEnd(), PipeEnd()
    one.other, two.other = two, one
    return one, two


@asynccontextmanager
async def connected(serve: Serve) -> AsyncIterator[Http2]:
    """A client's connection to a server that serves so."""
    tasks = Tasks("test")
    ours, theirs = pipe()
    client, server = Http2(ours), Http2(theirs, serve=serve)
    tasks.spawn("client", client.run())
    tasks.spawn("server", server.run())
    try:
        yield client
    finally:
        await tasks.close()
