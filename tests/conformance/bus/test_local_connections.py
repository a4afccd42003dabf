"""Byte streams over a local connection, beside any transport."""

import asyncio
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from seaway_bus.bus import Bus
from seaway_bus.local_connections import LocalListener
from seaway_bus.streams import WINDOW, ByteStream
from seaway_bus.transport import Transport
from seaway_contracts.catalogue import FROM_SERVER, stream_subject
from seaway_contracts.errors import SeawayError, conflict
from seaway_kit.tasks import Tasks
from seaway_testing.waiting import until

Pair = tuple[ByteStream, ByteStream]


@pytest.fixture
async def listener(tmp_path: Path) -> AsyncIterator[LocalListener]:
    mine = LocalListener(tmp_path / "streams")
    await mine.open()
    yield mine
    await mine.close()
    assert not list((tmp_path / "streams").iterdir())


@pytest.fixture
def elsewhere(tmp_path: Path) -> LocalListener:
    """Another process of the same suite."""
    return LocalListener(tmp_path / "streams")


async def opened(transport: Transport, tasks: Tasks, listener: LocalListener) -> ByteStream:
    stream = await ByteStream(transport, listener.new_name(), "opening", tasks, listener).open()
    await transport.flush()
    return stream


@pytest.fixture
async def pair(
    transport: Transport, other: Transport, tasks: Tasks, listener: LocalListener, elsewhere: LocalListener
) -> Pair:
    opening = await opened(transport, tasks, listener)
    return opening, await ByteStream(other, opening.id, "serving", tasks, elsewhere).open()


async def read_all(stream: ByteStream) -> bytes:
    parts = []
    while data := await stream.read():
        parts.append(data)
    return b"".join(parts)


async def test_both_ways_and_nothing_over_the_bus(pair: Pair) -> None:
    opening, serving = pair
    there, back = bytes(range(256)) * 40_000, b"answer" * 100_000

    async def send(stream: ByteStream, data: bytes) -> None:
        for start in range(0, len(data), 100_003):
            await stream.write(data[start : start + 100_003])
        await stream.end()

    got = await asyncio.gather(read_all(serving), read_all(opening), send(opening, there), send(serving, back))
    assert got[:2] == [there, back]
    assert opening._connection is not None and serving._connection is not None
    await opening.close()
    await serving.close()


async def test_half_close_keeps_the_other_half(pair: Pair) -> None:
    opening, serving = pair
    await opening.end()
    assert await read_all(serving) == b""
    await serving.write(b"still here")
    await serving.end()
    assert await read_all(opening) == b"still here"


async def test_an_error_is_told(pair: Pair) -> None:
    opening, serving = pair
    await serving.fail(conflict("no room"))
    with pytest.raises(SeawayError, match="no room"):
        await opening.read()


async def test_slow_reader_holds_the_writer_back(pair: Pair) -> None:
    opening, serving = pair
    written = 0

    async def write() -> None:
        nonlocal written
        while written < 8 * WINDOW:
            await serving.write(b"x" * 65_536)
            written += 65_536
        await serving.end()

    writer = asyncio.ensure_future(write())
    await until(lambda: written >= WINDOW)
    await asyncio.sleep(0.1)
    held = written
    await asyncio.sleep(0.1)
    assert written == held < 4 * WINDOW
    assert len(await read_all(opening)) == 8 * WINDOW
    await writer


async def test_the_others_end_is_noticed_at_once(pair: Pair) -> None:
    opening, serving = pair
    await serving.write(b"last words")
    await serving.close()
    assert await opening.read() == b"last words"
    with pytest.raises(SeawayError, match="has gone"):
        await asyncio.wait_for(opening.read(), 4)
    with pytest.raises(SeawayError, match="has gone"):
        await opening.write(b"anyone?")


async def test_last_words_arrive_at_one_who_is_still_sending(pair: Pair) -> None:
    opening, serving = pair
    await serving.write(b"hello")
    assert await opening.read() == b"hello"
    assert opening._connection is not None
    opening._connection.pause()
    await serving.fail(conflict("no room"))
    await serving.close()
    for _ in range(5):  # the loop closes what is closed
        await asyncio.sleep(0)
    await opening.write(b"not read any more" * 65_536)
    await opening.end()
    opening._connection.resume()
    with pytest.raises(SeawayError, match="no room"):
        await asyncio.wait_for(opening.read(), 5)


async def test_one_who_has_gone_holds_no_writer_back(pair: Pair) -> None:
    opening, serving = pair
    writer = asyncio.ensure_future(_write_for_ever(serving))
    await until(lambda: opening._unread >= WINDOW)
    await opening.close()
    with pytest.raises(SeawayError, match="has gone"):
        await asyncio.wait_for(writer, 4)
    await serving.close()
    connection = serving._connection
    assert connection is not None
    await connection.send(0, b"too late")


async def _write_for_ever(stream: ByteStream) -> None:
    while True:
        await stream.write(b"x" * 65_536)


async def test_what_ended_well_is_no_break(pair: Pair) -> None:
    opening, serving = pair
    await serving.write(b"all")
    await serving.end()
    await serving.close()
    assert await read_all(opening) == b"all"
    await asyncio.wait_for(opening.wait_broken(), 4)


async def test_another_machine_goes_over_the_bus(
    transport: Transport, other: Transport, tasks: Tasks, listener: LocalListener, tmp_path: Path
) -> None:
    opening = await opened(transport, tasks, listener)
    serving = await ByteStream(other, opening.id, "serving", tasks, LocalListener(tmp_path / "other")).open()
    await serving.write(b"over the bus")
    assert await asyncio.wait_for(opening.read(), 5) == b"over the bus"
    await opening.write(b"and back")
    assert await asyncio.wait_for(serving.read(), 5) == b"and back"
    assert opening._connection is None and serving._connection is None
    await opening.close()
    await serving.close()


@pytest.fixture
def bus(transport: Transport, listener: LocalListener, tasks: Tasks) -> Bus:
    """The opening side's."""
    made = Bus(transport, tasks)
    made.local_listener = listener
    return made


async def serve(bus: Bus, other: Transport, tasks: Tasks, theirs: LocalListener, said: bytes) -> str:
    """One stream, served and read to its end; its name."""
    async with bus.new_stream(tasks, "n1") as opening:
        await bus.flush()
        serving = await ByteStream(other, opening.id, "serving", tasks, theirs).open()
        await serving.write(said)
        await serving.end()
        await serving.close()
        assert await read_all(opening) == said
    return opening.id


def subject(name: str) -> str:
    return stream_subject(name, FROM_SERVER)


async def test_a_local_stream_leaves_its_subscription_to_the_next(
    bus: Bus, other: Transport, tasks: Tasks, elsewhere: LocalListener, tmp_path: Path
) -> None:
    names = [await serve(bus, other, tasks, elsewhere, b"local") for _ in range(3)]
    names.append(await serve(bus, other, tasks, LocalListener(tmp_path / "other"), b"by the bus"))
    assert len({subject(name) for name in names}) == 1
    assert len(set(names)) == 4, "who serves streams knows by their names what was asked again"
    anew = await serve(bus, other, tasks, elsewhere, b"anew")
    assert subject(anew) != subject(names[0]), "what used the bus may still hear of it"


async def test_a_late_connection_does_not_serve_the_next_stream(
    bus: Bus, other: Transport, tasks: Tasks, elsewhere: LocalListener
) -> None:
    first = await serve(bus, other, tasks, elsewhere, b"local")
    async with bus.new_stream(tasks, "n1") as opening:
        assert subject(opening.id) == subject(first)
        late = await ByteStream(other, first, "serving", tasks, elsewhere).open()
        with pytest.raises(SeawayError, match="has gone"):
            await asyncio.wait_for(late.read(), 5)
        await late.close()
        serving = await ByteStream(other, opening.id, "serving", tasks, elsewhere).open()
        await serving.write(b"well")
        assert await opening.read() == b"well"
        await serving.close()


async def test_a_stream_that_did_not_end_well_leaves_nothing_to_the_next(
    bus: Bus, other: Transport, tasks: Tasks, elsewhere: LocalListener
) -> None:
    """Whoever was to serve it may still come."""
    async with bus.new_stream(tasks, "n1") as opening:
        await bus.flush()
        serving = await ByteStream(other, opening.id, "serving", tasks, elsewhere).open()
        await serving.write(b"half")
        assert await opening.read() == b"half"
    await serving.close()
    assert subject(bus.new_stream(tasks, "n1").id) != subject(opening.id)


async def test_an_unknown_name_is_refused(
    listener: LocalListener, tmp_path: Path, transport: Transport, tasks: Tasks
) -> None:
    opening = await opened(transport, tasks, listener)
    (path,) = (tmp_path / "streams").iterdir()
    assert path.stat().st_mode & 0o777 == 0o600
    for said in (b"wrong-name\n", b"x" * 4096, b"\xff\n"):
        reader, writer = await asyncio.open_unix_connection(str(path))
        writer.write(said)
        assert await asyncio.wait_for(reader.read(), 5) == b""
        writer.close()
    await opening.close()


async def test_a_name_is_good_for_one_connection(
    pair: Pair, elsewhere: LocalListener, other: Transport, tasks: Tasks
) -> None:
    opening, serving = pair
    second = await ByteStream(other, opening.id, "serving", tasks, elsewhere).open()
    with pytest.raises(SeawayError, match="has gone"):
        await asyncio.wait_for(second.read(), 5)
    await serving.write(b"well")
    assert await opening.read() == b"well"


async def test_a_socket_left_by_a_killed_process_is_removed(tmp_path: Path, listener: LocalListener) -> None:
    place = tmp_path / "streams"
    [living] = list(place.iterdir())
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(place / "left"))
    (place / "notes").touch()
    successor = LocalListener(place)
    await successor.open()
    assert living.exists() and (place / "notes").exists()
    assert not (place / "left").exists()
    await successor.close()
    (place / "notes").unlink()
