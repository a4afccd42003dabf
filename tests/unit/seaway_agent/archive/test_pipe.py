import asyncio
import threading

import pytest

from seaway_agent.archive.pipe import CHUNK, ReaderGone, ThreadPipe


async def drained(pipe: ThreadPipe) -> bytes:
    parts = []
    while data := await pipe.read():
        parts.append(data)
    return b"".join(parts)


async def test_bytes_come_in_order_and_joined() -> None:
    pipe, loop = ThreadPipe(capacity=CHUNK), asyncio.get_running_loop()
    pieces = [bytes([n % 251]) * (n * 37 % 5000) for n in range(2000)] + [b"L" * (3 * CHUNK), b"end"]

    def work() -> None:
        for piece in pieces:
            pipe.write(piece)
        pipe.flush()
        loop.call_soon_threadsafe(pipe.end)

    thread = threading.Thread(target=work)
    thread.start()
    assert await drained(pipe) == b"".join(pieces)
    thread.join()


async def test_a_writer_waits_for_its_reader() -> None:
    pipe, written = ThreadPipe(capacity=1), threading.Event()

    def work() -> None:
        pipe.write(b"a" * CHUNK)
        pipe.write(b"b" * CHUNK)
        written.set()

    thread = threading.Thread(target=work)
    thread.start()
    assert (await pipe.read())[:1] == b"a"
    assert (await pipe.read())[:1] == b"b"
    await asyncio.to_thread(written.wait, 5)
    thread.join()


async def test_a_writer_ends_when_nobody_reads() -> None:
    pipe = ThreadPipe(capacity=1)
    raised: list[Exception] = []

    def work() -> None:
        try:
            while True:
                pipe.write(b"a" * CHUNK)
        except ReaderGone as error:
            raised.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    await pipe.read()
    pipe.abandon()
    await asyncio.to_thread(thread.join, 5)
    assert raised
    with pytest.raises(ReaderGone):
        pipe.write(b"a" * CHUNK)
