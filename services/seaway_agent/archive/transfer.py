"""Bytes between a thread that works on files and a caller, bounded in memory both ways: over the bus or a socket."""

import asyncio
import contextlib
import logging
import socket
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from concurrent.futures import Executor
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from typing import Final, TypeVar

from seaway_agent.archive.pipe import CHUNK, ReaderGone, ThreadPipe
from seaway_agent.archive.shortcut import Shortcut
from seaway_agent.archive.walk import Write
from seaway_agent.rootfs.byte_pipe import BytePipe, PipeClosed
from seaway_agent.rootfs.threads import ended
from seaway_archive.reader import Read
from seaway_bus.streams import ByteStream
from seaway_contracts.archives import SOCKET
from seaway_contracts.errors import SeawayError, internal, unavailable
from seaway_kit.tasks import Tasks, cancel

log = logging.getLogger(__name__)
Socket = socket.socket
T = TypeVar("T")
_FORESEEN: Final = (SeawayError, OSError)
IDLE_S: Final = 300.0
"""A caller that takes or gives nothing for so long must not keep a thread and the container's files."""
_IDLE: Final = "the copy has stood still for too long and is given up"


@dataclass(frozen=True)
class Line:
    """The way to a caller: a byte stream, beside it perhaps a socket that was offered (empty: none was)."""

    stream: ByteStream
    shortcut: Shortcut
    socket: str = ""

    async def chosen(self) -> "tuple[Socket | None, bytes]":
        """The connection that the caller has chosen to use, None for the stream; bytes that came with the choice.

        Raises SeawayError.
        """
        if not self.socket:
            return None, b""
        try:
            said = await self.stream.read()
            connection = await self.shortcut.connection(self.stream.id) if said[:1] == SOCKET else None
            if connection is not None:
                connection.settimeout(IDLE_S)
            return connection, said[1:]
        finally:
            self.shortcut.forget(self.stream.id)


async def produced(threads: Executor, produce: Callable[[Write], None]) -> AsyncGenerator[bytes, None]:
    """What `produce(write)` writes in a thread. Raises what it raises; closed early, it ends at its next write."""
    pipe, loop = ThreadPipe(), asyncio.get_running_loop()

    def work() -> None:
        try:
            produce(pipe.write)
            pipe.flush()
        finally:
            loop.call_soon_threadsafe(pipe.end)

    future = loop.run_in_executor(threads, work)
    try:
        while data := await pipe.read():
            yield data
        await asyncio.wait([future])
        future.result()
    finally:
        pipe.abandon()
        await ended(future)


async def send(line: Line, threads: Executor, tasks: Tasks, produce: Callable[[Write], None], what: str) -> None:
    """Send what `produce` writes, end the stream or fail it, and close it."""
    stream = line.stream
    try:
        connection, _ = await line.chosen()
        if connection is None:
            async with aclosing(produced(threads, produce)) as pieces:
                async for data in pieces:
                    await _moving(stream.write(data))
        else:
            await _in_thread(connection, stream, threads, tasks, lambda: _send_all(connection, produce))
        await stream.end()
    except (*_FORESEEN, ReaderGone) as error:
        await fail(stream, error, what)
    finally:
        await stream.close()


async def receive(line: Line, threads: Executor, tasks: Tasks, consume: Callable[[Read], None]) -> None:
    """Give what the caller sends to `consume(read)` in a thread, to its end. Raises what it raises."""
    connection, begun = await line.chosen()
    if connection is None:
        await _receive_over_bus(line.stream, begun, threads, consume)
    else:
        await _in_thread(connection, line.stream, threads, tasks, lambda: consume(_reading(connection)))
        while await _moving(line.stream.read()):  # its end says that the connection's end was that of the archive
            pass


async def _receive_over_bus(
    stream: ByteStream, begun: bytes, threads: Executor, consume: Callable[[Read], None]
) -> None:
    pipe = BytePipe()

    def work() -> None:
        try:
            consume(pipe.read)
        finally:
            pipe.abandon()

    future = asyncio.get_running_loop().run_in_executor(threads, work)
    try:
        with contextlib.suppress(PipeClosed):  # the thread has failed, and says why
            await pipe.feed(begun)
            while data := await _moving(stream.read()):
                await pipe.feed(data)
            pipe.end()
        await asyncio.wait([future])
    except BaseException:
        pipe.fail()
        await ended(future)
        raise
    future.result()


async def _in_thread(
    connection: socket.socket, stream: ByteStream, threads: Executor, tasks: Tasks, work: Callable[[], None]
) -> None:
    """Work on the connection. When the caller goes, or this is cancelled, the connection is cut under the thread."""
    future = asyncio.get_running_loop().run_in_executor(threads, work)
    try:
        async with _cut_when_broken(connection, stream, tasks) as broken:
            await asyncio.wait([future])
        if broken.is_set():
            raise unavailable("the caller has gone")
        future.result()
    finally:
        _cut(connection)
        await ended(future)
        connection.close()


@asynccontextmanager
async def _cut_when_broken(connection: socket.socket, stream: ByteStream, tasks: Tasks) -> AsyncIterator[asyncio.Event]:
    broken = asyncio.Event()

    async def watch() -> None:
        await stream.wait_broken()
        broken.set()
        _cut(connection)

    watching = tasks.spawn(f"bytes-{stream.id}", watch())
    try:
        yield broken
    finally:
        await cancel(watching)


def _cut(connection: socket.socket) -> None:
    with contextlib.suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)


def _send_all(connection: socket.socket, produce: Callable[[Write], None]) -> None:
    """Small pieces are joined; the end of what is sent is the connection's own."""
    pending = bytearray()

    def write(data: bytes) -> None:
        small = len(data) < CHUNK
        if small:
            pending.extend(data)
        if pending and (not small or len(pending) >= CHUNK):
            connection.sendall(pending)
            pending.clear()
        if not small:
            connection.sendall(data)

    try:
        produce(write)
        connection.sendall(pending)
    except TimeoutError:
        raise unavailable(_IDLE) from None
    connection.shutdown(socket.SHUT_WR)


def _reading(connection: socket.socket) -> Read:
    def read(n: int) -> bytes:
        try:
            return connection.recv(n)
        except TimeoutError:
            raise unavailable(_IDLE) from None

    return read


async def _moving(step: Awaitable[T]) -> T:
    """One step of a copy. Raises SeawayError where it takes too long."""
    try:
        async with asyncio.timeout(IDLE_S):
            return await step
    except TimeoutError:
        raise unavailable(_IDLE) from None


async def fail(stream: ByteStream, error: Exception, what: str) -> None:
    """Tell the caller why it broke off, if it is still there."""
    refusal = error if isinstance(error, SeawayError) else internal(f"{what}: {error}")
    try:
        await stream.fail(refusal)
    except SeawayError:
        log.info("%s broke off: %s", what, error)
