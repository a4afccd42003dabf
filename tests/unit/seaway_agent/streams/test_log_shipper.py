"""Lines on the bus: what is published, and what happens while the bus is away."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from seaway_agent.streams.log_cursor import LogCursor
from seaway_agent.streams.log_files import LogFiles
from seaway_agent.streams.log_place import LogPlace
from seaway_agent.streams.log_shipper import DROPPED, LogShipper
from seaway_agent.streams.log_watch import LogWatch
from seaway_bus.bus import Bus
from seaway_bus.transport import Message
from seaway_contracts.catalogue import LOG_LINES
from seaway_contracts.logs import LogLine
from seaway_docker.log_options import LogPolicy
from seaway_kit.tasks import Tasks
from seaway_testing.fake_server import FakeServer
from seaway_testing.fake_transport import FakeTransport
from seaway_testing.waiting import GUARD_S, until

STAMP = "2026-01-01T00:00:00.%09d"
ID = "c" * 64


class Reader:
    """Somebody who reads the lines of node n1."""

    def __init__(self) -> None:
        self.lines: list[LogLine] = []
        self.messages: list[str] = []

    def hear(self, message: Message) -> None:
        self.messages.append(message.headers["Nats-Msg-Id"])
        assert message.subject == f"seaway.v1.logs.n1.{ID}"
        self.lines += LOG_LINES.decode(message.data).lines


@pytest.fixture
async def reader(fake_server: FakeServer) -> Reader:
    """Subscribed."""
    made = Reader()
    await FakeTransport(fake_server).subscribe(LOG_LINES.template.wildcard(node="n1"), made.hear)
    return made


@pytest.fixture
async def watch() -> AsyncIterator[LogWatch]:
    """Closed at the end."""
    made = LogWatch()
    yield made
    made.close()


def record(number: int, tag: str = "stdout F", text: bytes = b"text") -> bytes:
    """One record of conmon's."""
    return (STAMP % number).encode() + b"+00:00 " + tag.encode() + b" " + text + b"\n"


def shipper(bus: Bus, watch: LogWatch, path: Path, behind: int = 1 << 20) -> LogShipper:
    """Of a log that has ended."""
    files = LogFiles(path, LogPolicy())
    place = LogPlace(files)
    if not Path(f"{path}.published").exists():
        place.save(files.first, 0)
    number, offset = place.find()
    cursor = LogCursor(files, watch, number=number, offset=offset, running=None)
    return LogShipper(bus, "n1", ID, cursor, place, behind)


async def test_lines_come_with_stream_and_time(fake_bus: Bus, reader: Reader, watch: LogWatch, tmp_path: Path) -> None:
    path = tmp_path / "ctr.log"
    path.write_bytes(record(1) + record(2, "stderr P", b"\xff") + b"torn\n" + record(3, "stderr F", b""))
    await shipper(fake_bus, watch, path).run()
    await until(lambda: len(reader.lines) == 3)
    assert reader.lines == [
        LogLine(id="1:0", stream="stdout", time=STAMP % 1 + "Z", text="text"),
        LogLine(id="1:50", stream="stderr", time=STAMP % 2 + "Z", text="�", partial=True),
        LogLine(id="1:102", stream="stderr", time=STAMP % 3 + "Z"),
    ]


async def test_many_lines_share_messages_of_a_bounded_size(
    fake_bus: Bus, fake_server: FakeServer, reader: Reader, watch: LogWatch, tmp_path: Path
) -> None:
    sizes: list[int] = []
    await FakeTransport(fake_server).subscribe(LOG_LINES.template.wildcard(), lambda m: sizes.append(len(m.data)))
    path = tmp_path / "ctr.log"
    path.write_bytes(b"".join(record(number, text=b"x" * 1000) for number in range(500)))
    await shipper(fake_bus, watch, path).run()
    await until(lambda: len(reader.lines) == 500)
    assert len(sizes) < 20 and max(sizes) < 200_000


async def test_while_the_bus_is_away_the_file_is_the_buffer(
    fake_bus: Bus, reader: Reader, watch: LogWatch, tmp_path: Path
) -> None:
    transport = fake_bus.transport
    assert isinstance(transport, FakeTransport)
    path = tmp_path / "ctr.log"
    path.write_bytes(record(1) + record(2))
    transport.cut()
    shipping = Tasks("test").spawn("ship", shipper(fake_bus, watch, path).run())
    await asyncio.sleep(0)
    transport.mend()
    await asyncio.wait_for(shipping, GUARD_S)
    await until(lambda: len(reader.lines) == 2)


async def test_beyond_the_bound_lines_are_dropped_and_counted(
    fake_bus: Bus, reader: Reader, watch: LogWatch, tmp_path: Path
) -> None:
    transport = fake_bus.transport
    assert isinstance(transport, FakeTransport)
    path = tmp_path / "ctr.log"
    path.write_bytes(b"".join(record(number, text=b"x" * 1000) for number in range(500)))
    transport.cut()
    before = DROPPED._value.get()
    await asyncio.wait_for(shipper(fake_bus, watch, path, behind=-1).run(), GUARD_S)
    assert DROPPED._value.get() - before == 500
    assert reader.lines == []


async def test_the_next_agent_goes_on_where_the_last_one_was(
    fake_bus: Bus, reader: Reader, watch: LogWatch, tmp_path: Path
) -> None:
    path = tmp_path / "ctr.log"
    path.write_bytes(record(1) + record(2)[:30])
    await shipper(fake_bus, watch, path).run()
    path.write_bytes(record(1) + record(2) + record(3))
    await shipper(fake_bus, watch, path).run()
    await shipper(fake_bus, watch, path).run()
    await until(lambda: len(reader.lines) == 3)
    assert [line.id for line in reader.lines] == ["1:0", "1:50", "1:100"]
    assert reader.messages == [f"{ID}:1:0-0", f"{ID}:1:50-100"]


async def test_it_goes_on_over_a_rotation_that_happened_meanwhile(
    fake_bus: Bus, reader: Reader, watch: LogWatch, tmp_path: Path
) -> None:
    path = tmp_path / "ctr.log"
    path.write_bytes(record(1))
    await shipper(fake_bus, watch, path).run()
    (tmp_path / "ctr.log.1").write_bytes(record(1) + record(2))
    path.write_bytes(record(3))
    await shipper(fake_bus, watch, path).run()
    await until(lambda: len(reader.lines) == 3)
    assert [line.id for line in reader.lines] == ["1:0", "1:50", "2:0"]


async def test_numbers_do_not_begin_anew_where_no_rotated_file_is_kept(
    fake_bus: Bus, reader: Reader, watch: LogWatch, tmp_path: Path
) -> None:
    """With `max-file=1` nothing tells a new agent how often the log was rotated; a line must not get another's id."""
    path = tmp_path / "ctr.log"
    (tmp_path / "ctr.log.6").write_bytes(record(6))
    path.write_bytes(record(7))
    await shipper(fake_bus, watch, path).run()
    (tmp_path / "ctr.log.6").unlink()
    path.write_bytes(record(7) + record(8))
    await shipper(fake_bus, watch, path).run()
    path.write_bytes(record(9) + record(10) + record(11))
    await shipper(fake_bus, watch, path).run()
    await until(lambda: len(reader.lines) == 6)
    assert [line.id for line in reader.lines] == ["6:0", "7:0", "7:50", "8:0", "8:50", "8:100"]


async def test_what_may_be_lost_with_the_connection_is_sent_again(
    fake_bus: Bus, reader: Reader, watch: LogWatch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    transport = fake_bus.transport
    assert isinstance(transport, FakeTransport)
    path = tmp_path / "ctr.log"
    path.write_bytes(record(1))
    flush, flushed = transport.flush, 0

    async def interrupted() -> None:
        nonlocal flushed
        flushed += 1
        if flushed == 1:
            transport.cut()
            transport.mend()
        await flush()

    monkeypatch.setattr(transport, "flush", interrupted)
    await shipper(fake_bus, watch, path).run()
    await until(lambda: len(reader.lines) == 2)
    assert [line.id for line in reader.lines] == ["1:0", "1:0"] and flushed == 2


async def test_what_an_earlier_release_has_published_is_not_published_again(
    fake_bus: Bus, reader: Reader, watch: LogWatch, tmp_path: Path
) -> None:
    path = tmp_path / "ctr.log"
    path.write_bytes(record(1))
    assert LogPlace(LogFiles(path, LogPolicy())).find() == (1, 50)
    path.write_bytes(record(1) + record(2))
    await shipper(fake_bus, watch, path).run()
    await until(lambda: len(reader.lines) == 1)
    assert reader.lines[0].id == "1:50"
