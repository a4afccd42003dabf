"""Lines on the bus: what is published, and what happens while the bus is away."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from seaway_agent.streams.log_cursor import LogCursor
from seaway_agent.streams.log_files import LogFiles
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
from seaway_testing.waiting import until

STAMP = "2026-01-01T00:00:00.%09d"
ID = "c" * 64


class Reader:
    """Somebody who reads the lines of node n1."""

    def __init__(self) -> None:
        self.lines: list[LogLine] = []

    def hear(self, message: Message) -> None:
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
    return LogShipper(bus, "n1", ID, LogCursor(files, watch, number=1, running=None), behind)


async def test_lines_come_with_stream_and_time(fake_bus: Bus, reader: Reader, watch: LogWatch, tmp_path: Path) -> None:
    path = tmp_path / "ctr.log"
    path.write_bytes(record(1) + record(2, "stderr P", b"\xff") + b"torn\n" + record(3, "stderr F", b""))
    await shipper(fake_bus, watch, path).run()
    await until(lambda: len(reader.lines) == 3)
    assert reader.lines == [
        LogLine(stream="stdout", time=STAMP % 1 + "Z", text="text"),
        LogLine(stream="stderr", time=STAMP % 2 + "Z", text="�", partial=True),
        LogLine(stream="stderr", time=STAMP % 3 + "Z"),
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
    await asyncio.wait_for(shipping, 10)
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
    await asyncio.wait_for(shipper(fake_bus, watch, path, behind=-1).run(), 10)
    assert DROPPED._value.get() - before == 500
    assert reader.lines == []
