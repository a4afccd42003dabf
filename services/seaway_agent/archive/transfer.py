"""Bytes between a thread that works on files and a caller's byte stream, bounded in memory both ways."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable
from concurrent.futures import Executor
from contextlib import aclosing
from typing import Final, TypeVar

from seaway_agent.archive.pipe import ReaderGone, ThreadPipe
from seaway_agent.archive.walk import Write
from seaway_agent.rootfs.threads import BytePipe, PipeClosed, wait_until_done
from seaway_archive.reader import Read
from seaway_bus.streams import ByteStream
from seaway_contracts.errors import SeawayError, internal, unavailable

log = logging.getLogger(__name__)
T = TypeVar("T")
_FORESEEN: Final = (SeawayError, OSError)
IDLE_S: Final = 300.0
"""A caller that takes or gives nothing for so long must not keep a thread and the container's files."""
_IDLE: Final = "the copy has stood still for too long and is given up"


async def produced(threads: Executor, produce: Callable[[Write], None]) -> AsyncGenerator[bytes, None]:
    """What `produce(write)` writes in a thread. Raises what it raises; closed early, it ends at its next write."""
    async with aclosing(produced_live(threads, lambda write, _: produce(write))) as pieces:
        async for data in pieces:
            yield data


async def produced_live(
    threads: Executor, produce: Callable[[Write, Callable[[], None]], None], stop: Callable[[], None] = lambda: None
) -> AsyncGenerator[bytes, None]:
    """What `produce(write, flush)` writes in a thread; `flush` passes on what is buffered.

    Closed early, it calls `stop`, and waits for the thread, which also ends at its next write.
    """
    pipe, loop = ThreadPipe(), asyncio.get_running_loop()

    def work() -> None:
        try:
            produce(pipe.write, pipe.flush)
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
        stop()
        await wait_until_done(future)


async def send(stream: ByteStream, threads: Executor, produce: Callable[[Write], None], what: str) -> None:
    """Send what `produce` writes, end the stream or fail it, and close it."""
    try:
        async with aclosing(produced(threads, produce)) as pieces:
            async for data in pieces:
                await _moving(stream.write(data))
        await stream.end()
    except (*_FORESEEN, ReaderGone) as error:
        await fail(stream, error, what)
    finally:
        await stream.close()


async def receive(stream: ByteStream, threads: Executor, consume: Callable[[Read], None]) -> None:
    """Give what the caller sends to `consume(read)` in a thread, to its end. Raises what it raises."""
    pipe = BytePipe()

    def work() -> None:
        try:
            consume(pipe.read)
        finally:
            pipe.abandon()

    future = asyncio.get_running_loop().run_in_executor(threads, work)
    try:
        with contextlib.suppress(PipeClosed):  # the thread has failed, and says why
            while data := await _moving(stream.read()):
                await pipe.feed(data)
            pipe.end()
        await asyncio.wait([future])
    except BaseException:
        pipe.fail()
        await wait_until_done(future)
        raise
    future.result()


async def _moving(step: Awaitable[T]) -> T:
    """One step of a copy. Raises SeawayError where it takes too long."""
    try:
        async with asyncio.timeout(IDLE_S):
            return await step
    except TimeoutError:
        raise unavailable(_IDLE) from None


async def fail(stream: ByteStream, error: Exception, what: str) -> None:
    """Send the caller the error that broke it off, if it is still connected."""
    refusal = error if isinstance(error, SeawayError) else internal(f"{what}: {error}")
    try:
        await stream.fail(refusal)
    except SeawayError:
        log.info("%s broke off: %s", what, error)
