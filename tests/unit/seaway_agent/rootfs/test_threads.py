"""The pipe between event loop and thread."""

import asyncio

import pytest

from seaway_agent.rootfs.threads import BytePipe, PipeClosed


def read_all(pipe: BytePipe, n: int) -> bytes:
    parts = []
    while data := pipe.read(n):
        parts.append(data)
    return b"".join(parts)


async def test_all_bytes_arrive_in_order_through_a_small_pipe() -> None:
    pipe = BytePipe(capacity=1000)
    reader = asyncio.get_running_loop().run_in_executor(None, read_all, pipe, 300)
    chunks = [bytes([i % 256]) * (i * 7 % 900) for i in range(300)]
    for chunk in chunks:
        await pipe.feed(chunk)
    pipe.end()
    assert await reader == b"".join(chunks)


async def test_a_full_pipe_holds_the_feeder_until_the_thread_reads() -> None:
    pipe = BytePipe(capacity=10)
    await pipe.feed(b"0123456789")
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(pipe.feed(b"more"), 0.01)
    assert await asyncio.to_thread(pipe.read, 10) == b"0123456789"
    await pipe.feed(b"more")


async def test_failure_reaches_the_thread() -> None:
    pipe = BytePipe()
    reader = asyncio.get_running_loop().run_in_executor(None, pipe.read, 10)
    pipe.fail()
    with pytest.raises(PipeClosed):
        await reader


async def test_a_thread_that_gave_up_wakes_the_feeder() -> None:
    pipe = BytePipe(capacity=1)
    await pipe.feed(b"xx")
    feeding = asyncio.create_task(pipe.feed(b"yy"))
    await asyncio.sleep(0)
    await asyncio.to_thread(pipe.abandon)
    with pytest.raises(PipeClosed):
        await feeding
