"""Byte streams on any transport."""

import asyncio

import pytest

from seaway_bus import streams
from seaway_bus.streams import CHUNK, MOST_WORDS, WINDOW, ByteStream, new_stream_id
from seaway_bus.transport import Transport
from seaway_contracts.errors import Code, SeawayError, conflict
from seaway_kit.tasks import Tasks
from seaway_testing.waiting import until
from seaway_testing.wire import Wire

Pair = tuple[ByteStream, ByteStream]


@pytest.fixture
async def pair(transport: Transport, other: Transport, tasks: Tasks) -> Pair:
    name = new_stream_id()
    opening = await ByteStream(transport, name, "opening", tasks).open()
    serving = await ByteStream(other, name, "serving", tasks).open()
    await transport.flush()
    await other.flush()
    return opening, serving


async def read_all(stream: ByteStream) -> bytes:
    parts = []
    while data := await stream.read():
        parts.append(data)
    return b"".join(parts)


async def test_both_ways_in_order(pair: Pair) -> None:
    opening, serving = pair
    there, back = bytes(range(256)) * 20_000, b"answer" * 10_000

    async def send(stream: ByteStream, data: bytes) -> None:
        await stream.write(data)
        await stream.end()

    got = await asyncio.gather(read_all(serving), read_all(opening), send(opening, there), send(serving, back))
    assert got[:2] == [there, back]


async def test_half_close_keeps_the_other_half(pair: Pair) -> None:
    opening, serving = pair
    await opening.write(b"hi")
    await opening.end()
    assert await read_all(serving) == b"hi"
    await serving.write(b"still here")
    await serving.end()
    assert await read_all(opening) == b"still here"
    await opening.close()
    await serving.close()


async def test_last_words(pair: Pair) -> None:
    """They come with the end; the other side's have not been said yet."""
    opening, serving = pair
    await serving.write(b"bytes")
    await serving.end(b"w" * MOST_WORDS)
    assert await read_all(opening) == b"bytes"
    assert (opening.last_words, serving.last_words) == (b"w" * MOST_WORDS, b"")
    await opening.close()
    await serving.close()


async def test_slow_reader_holds_the_writer_back(pair: Pair) -> None:
    opening, serving = pair
    total = 3 * WINDOW
    writer = asyncio.ensure_future(serving.write(b"x" * total))
    await until(lambda: opening._buffer and sum(map(len, opening._buffer)) > WINDOW - 2 * CHUNK)
    for _ in range(20):
        await opening._transport.flush()
    assert sum(map(len, opening._buffer)) <= WINDOW
    assert not writer.done()
    taken = 0
    while taken < total:
        taken += len(await opening.read())
    await asyncio.wait_for(writer, 5)


async def test_one_slow_stream_does_not_stop_another(transport: Transport, other: Transport, tasks: Tasks) -> None:
    pairs = []
    for _ in range(2):
        name = new_stream_id()
        opening = await ByteStream(transport, name, "opening", tasks).open()
        pairs.append((opening, await ByteStream(other, name, "serving", tasks).open()))
    await transport.flush()
    stuck = asyncio.ensure_future(pairs[0][1].write(b"x" * (2 * WINDOW)))

    async def send() -> None:
        await pairs[1][1].write(b"y" * (2 * WINDOW))
        await pairs[1][1].end()

    sender = asyncio.ensure_future(send())
    assert len(await asyncio.wait_for(read_all(pairs[1][0]), 10)) == 2 * WINDOW
    await sender
    assert not stuck.done()
    stuck.cancel()


async def test_fail_reaches_the_reader_after_the_bytes(pair: Pair) -> None:
    opening, serving = pair
    await serving.write(b"so far")
    await serving.fail(conflict("the container is paused"))
    assert await opening.read() == b"so far"
    with pytest.raises(SeawayError, match="the container is paused") as caught:
        await opening.read()
    assert caught.value.code == Code.CONFLICT


async def test_a_lost_frame_breaks_the_stream(pair: Pair) -> None:
    opening, serving = pair
    await serving.write(b"one")
    assert await opening.read() == b"one"
    serving._next_out += 1
    await serving.write(b"three")
    with pytest.raises(SeawayError, match="bytes were lost"):
        await opening.read()


async def test_the_other_end_goes(pair: Pair) -> None:
    opening, serving = pair
    await serving.write(b"last")
    await serving.close()
    assert await opening.read() == b"last"
    with pytest.raises(SeawayError, match="has gone"):
        await opening.read()
    with pytest.raises(SeawayError):
        await opening.write(b"x")


async def test_a_waiting_writer_hears_that_the_reader_is_gone(pair: Pair) -> None:
    opening, serving = pair
    writer = asyncio.ensure_future(serving.write(b"x" * (2 * WINDOW)))
    await until(lambda: opening._buffer)
    await opening.close()
    with pytest.raises(SeawayError, match="has gone"):
        await asyncio.wait_for(writer, 5)


async def test_closed_well_is_no_break(pair: Pair) -> None:
    opening, serving = pair
    await opening.end()
    await serving.end()
    assert (await opening.read(), await serving.read()) == (b"", b"")
    await opening.close()
    await opening.close()
    assert await serving.read() == b""
    await serving.close()


async def test_silence_breaks(monkeypatch: pytest.MonkeyPatch, transport: Transport, tasks: Tasks) -> None:
    monkeypatch.setattr(streams, "PING_S", 0.02)
    monkeypatch.setattr(streams, "SILENCE_S", 0.06)
    lonely = await ByteStream(transport, new_stream_id(), "serving", tasks).open()
    with pytest.raises(SeawayError, match="silent"):
        await asyncio.wait_for(lonely.read(), 5)


async def test_who_opens_waits_for_the_serving_side(
    monkeypatch: pytest.MonkeyPatch, transport: Transport, other: Transport, tasks: Tasks
) -> None:
    monkeypatch.setattr(streams, "PING_S", 0.01)
    monkeypatch.setattr(streams, "SILENCE_S", 0.02)
    name = new_stream_id()
    opening = await ByteStream(transport, name, "opening", tasks).open()
    await transport.flush()
    writing = asyncio.ensure_future(opening.write(b"early"))
    await asyncio.sleep(0.1)
    assert not writing.done()
    serving = await ByteStream(other, name, "serving", tasks).open()
    assert await asyncio.wait_for(serving.read(), 5) == b"early"
    await writing


async def test_an_idle_stream_lives(
    monkeypatch: pytest.MonkeyPatch, transport: Transport, other: Transport, tasks: Tasks
) -> None:
    monkeypatch.setattr(streams, "PING_S", 0.02)
    monkeypatch.setattr(streams, "SILENCE_S", 0.2)
    name = new_stream_id()
    opening = await ByteStream(transport, name, "opening", tasks).open()
    serving = await ByteStream(other, name, "serving", tasks).open()
    await other.flush()
    await opening.end()
    assert await serving.read() == b""
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(opening.read(), 0.5)
    await serving.write(b"late")
    assert await opening.read() == b"late"


async def test_a_lost_end_breaks(
    monkeypatch: pytest.MonkeyPatch, transport: Transport, other: Transport, tasks: Tasks
) -> None:
    monkeypatch.setattr(streams, "PING_S", 0.02)
    name = new_stream_id()
    opening = await ByteStream(transport, name, "opening", tasks).open()
    await transport.flush()
    serving = await ByteStream(other, name, "serving", tasks).open()
    await other.flush()
    await until(opening._peer_there.is_set)
    opening._next_out += 1  # as if its end had been sent, and lost
    opening._finished = True
    with pytest.raises(SeawayError, match="bytes were lost"):
        await asyncio.wait_for(serving.read(), 5)
    await serving.close()
    with pytest.raises(SeawayError, match="has gone"):
        await asyncio.wait_for(opening.read(), 5)


async def test_lost_credit_is_told_again(
    monkeypatch: pytest.MonkeyPatch, transport: Transport, other: Transport, tasks: Tasks
) -> None:
    monkeypatch.setattr(streams, "PING_S", 0.02)
    name = new_stream_id()
    opening = await ByteStream(transport, name, "opening", tasks).open()
    serving = await ByteStream(other, name, "serving", tasks).open()
    await transport.flush()
    await other.flush()
    lost = pytest.MonkeyPatch()
    lost.setattr(serving, "_credit", lambda payload: None)
    writer = asyncio.ensure_future(serving.write(b"x" * (2 * WINDOW)))
    taken = 0
    while taken < WINDOW:
        taken += len(await opening.read())
    assert not writer.done()
    lost.undo()
    while taken < 2 * WINDOW:
        taken += len(await asyncio.wait_for(opening.read(), 5))
    await asyncio.wait_for(writer, 5)


async def test_a_restarted_server_never_makes_a_hole(
    wire: Wire, monkeypatch: pytest.MonkeyPatch, transport: Transport, other: Transport, tasks: Tasks
) -> None:
    monkeypatch.setattr(streams, "PING_S", 0.05)
    name = new_stream_id()
    opening = await ByteStream(transport, name, "opening", tasks).open()
    serving = await ByteStream(other, name, "serving", tasks).open()
    await other.flush()
    await serving.write(b"before")
    assert await opening.read() == b"before"
    await wire.stop()
    with pytest.raises(SeawayError, match="broke"):
        await serving.write(b"lost")
    await wire.start()
    with pytest.raises(SeawayError):
        await asyncio.wait_for(opening.read(), 5)
