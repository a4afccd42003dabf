"""Lines on the bus: what metadata is asked to publish, and what happens while it, or the bus, is away."""

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from seaway_agent.streams.log_cursor import LogCursor
from seaway_agent.streams.log_files import LogFiles
from seaway_agent.streams.log_position import PublishedPosition
from seaway_agent.streams.log_shipper import DROPPED, SHIPPED, LogShipper
from seaway_agent.streams.log_watch import LogWatch
from seaway_bus.bus import Bus, Command
from seaway_contracts.base import Empty
from seaway_contracts.catalogue import PUBLISH_LINES
from seaway_contracts.errors import Code, SeawayError, unavailable
from seaway_contracts.logs import LogLine, PublishLines
from seaway_docker.log_options import LogPolicy
from seaway_kit.tasks import Tasks
from seaway_testing.fake_server import FakeServer
from seaway_testing.fake_transport import FakeTransport
from seaway_testing.waiting import GUARD_S

STAMP = "2026-01-01T00:00:00.%09d"
ID = "c" * 64


class Publisher:
    """Metadata, as far as node n1 asks it to publish lines. `before` is called with each request, and may refuse it."""

    def __init__(self) -> None:
        self.requests: list[PublishLines] = []
        self.before: Callable[[PublishLines], None] = lambda request: None

    @property
    def lines(self) -> list[LogLine]:
        return [line for request in self.requests for line in request.lines.lines]

    @property
    def messages(self) -> list[str]:
        return [request.message_id for request in self.requests]

    async def publish(self, request: PublishLines, command: Command) -> Empty:
        assert (command.node, request.container) == ("n1", ID)
        self.before(request)
        self.requests.append(request)
        return Empty()


@pytest.fixture
async def metadata(fake_server: FakeServer) -> AsyncIterator[Publisher]:
    """It serves on a connection of its own."""
    made, bus = Publisher(), Bus(FakeTransport(fake_server))
    await bus.serve(PUBLISH_LINES, made.publish)
    yield made
    await bus.close()


@pytest.fixture
async def bus(fake_server: FakeServer) -> AsyncIterator[Bus]:
    """The agent's, which fails at once where nobody hears."""
    made = Bus(FakeTransport(fake_server), patience_s=0.01)
    yield made
    await made.close()


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
    place = PublishedPosition(files)
    if not Path(f"{path}.published").exists():
        place.save(files.first, 0)
    number, offset = place.find()
    cursor = LogCursor(files, watch, number=number, offset=offset, running=None)
    return LogShipper(bus, "n1", ID, cursor, place, behind)


async def test_lines_come_with_stream_and_time(bus: Bus, metadata: Publisher, watch: LogWatch, tmp_path: Path) -> None:
    path = tmp_path / "ctr.log"
    path.write_bytes(record(1) + record(2, "stderr P", b"\xff") + b"torn\n" + record(3, "stderr F", b""))
    await shipper(bus, watch, path).run()
    assert len(metadata.lines) == 3
    assert metadata.lines == [
        LogLine(id="1:0", stream="stdout", time=STAMP % 1 + "Z", text="text"),
        LogLine(id="1:50", stream="stderr", time=STAMP % 2 + "Z", text="�", partial=True),
        LogLine(id="1:102", stream="stderr", time=STAMP % 3 + "Z"),
    ]


async def test_many_lines_share_messages_of_a_bounded_size(
    bus: Bus, metadata: Publisher, watch: LogWatch, tmp_path: Path
) -> None:
    path = tmp_path / "ctr.log"
    path.write_bytes(b"".join(record(number, text=b"x" * 1000) for number in range(500)))
    await shipper(bus, watch, path).run()
    assert len(metadata.lines) == 500
    sizes = [len(PUBLISH_LINES.encode(request)) for request in metadata.requests]
    assert len(sizes) < 20 and max(sizes) < 200_000


async def test_while_the_bus_is_away_the_file_is_the_buffer(
    bus: Bus, metadata: Publisher, watch: LogWatch, tmp_path: Path
) -> None:
    transport = bus.transport
    assert isinstance(transport, FakeTransport)
    path = tmp_path / "ctr.log"
    path.write_bytes(record(1) + record(2))
    transport.cut()
    shipping = Tasks("test").spawn("ship", shipper(bus, watch, path).run())
    await asyncio.sleep(0)
    transport.mend()
    await asyncio.wait_for(shipping, GUARD_S)
    assert len(metadata.lines) == 2


async def test_while_metadata_can_not_publish_the_file_is_the_buffer(
    bus: Bus, metadata: Publisher, watch: LogWatch, tmp_path: Path
) -> None:
    refusals = [unavailable("lines can't be published just now")] * 2

    def refuse_twice(request: PublishLines) -> None:
        if refusals:
            raise refusals.pop()

    metadata.before = refuse_twice
    path = tmp_path / "ctr.log"
    path.write_bytes(record(1) + record(2))
    before = DROPPED._value.get()
    await asyncio.wait_for(shipper(bus, watch, path).run(), GUARD_S)
    assert ([line.id for line in metadata.lines], refusals) == (["1:0", "1:50"], [])
    assert DROPPED._value.get() == before


async def test_beyond_the_bound_lines_are_dropped_and_counted(
    bus: Bus, metadata: Publisher, watch: LogWatch, tmp_path: Path
) -> None:
    transport = bus.transport
    assert isinstance(transport, FakeTransport)
    path = tmp_path / "ctr.log"
    path.write_bytes(b"".join(record(number, text=b"x" * 1000) for number in range(500)))
    transport.cut()
    before = DROPPED._value.get()
    await asyncio.wait_for(shipper(bus, watch, path, behind=-1).run(), GUARD_S)
    assert DROPPED._value.get() - before == 500
    assert metadata.lines == []


@pytest.mark.parametrize("code", [Code.FORBIDDEN, Code.TOO_LARGE])
async def test_lines_that_are_refused_for_good_are_dropped_and_counted(
    bus: Bus, metadata: Publisher, watch: LogWatch, tmp_path: Path, code: Code
) -> None:
    """The next lines are published all the same."""

    def refuse_the_first(request: PublishLines) -> None:
        if request.lines.lines[0].id == "1:0":
            raise SeawayError(code, "no")

    metadata.before = refuse_the_first
    path = tmp_path / "ctr.log"
    records = [record(1, text=b"x" * (64 << 10)), record(2)]
    path.write_bytes(b"".join(records))
    dropped, shipped = DROPPED._value.get(), SHIPPED._value.get()
    await asyncio.wait_for(shipper(bus, watch, path).run(), GUARD_S)
    assert [line.id for line in metadata.lines] == [f"1:{len(records[0])}"]
    assert (DROPPED._value.get() - dropped, SHIPPED._value.get() - shipped) == (1, 1)
    await shipper(bus, watch, path).run()
    assert len(metadata.lines) == 1, "what was dropped is not sent again"


async def test_the_next_agent_goes_on_where_the_last_one_was(
    bus: Bus, metadata: Publisher, watch: LogWatch, tmp_path: Path
) -> None:
    path = tmp_path / "ctr.log"
    path.write_bytes(record(1) + record(2)[:30])
    await shipper(bus, watch, path).run()
    path.write_bytes(record(1) + record(2) + record(3))
    await shipper(bus, watch, path).run()
    await shipper(bus, watch, path).run()
    assert len(metadata.lines) == 3
    assert [line.id for line in metadata.lines] == ["1:0", "1:50", "1:100"]
    assert metadata.messages == [f"{ID}:1:0-0", f"{ID}:1:50-100"]


async def test_it_goes_on_over_a_rotation_that_happened_meanwhile(
    bus: Bus, metadata: Publisher, watch: LogWatch, tmp_path: Path
) -> None:
    path = tmp_path / "ctr.log"
    path.write_bytes(record(1))
    await shipper(bus, watch, path).run()
    (tmp_path / "ctr.log.1").write_bytes(record(1) + record(2))
    path.write_bytes(record(3))
    await shipper(bus, watch, path).run()
    assert len(metadata.lines) == 3
    assert [line.id for line in metadata.lines] == ["1:0", "1:50", "2:0"]


async def test_numbers_do_not_begin_anew_where_no_rotated_file_is_kept(
    bus: Bus, metadata: Publisher, watch: LogWatch, tmp_path: Path
) -> None:
    """With `max-file=1` nothing tells a new agent how often the log was rotated; a line must not get another's id."""
    path = tmp_path / "ctr.log"
    (tmp_path / "ctr.log.6").write_bytes(record(6))
    path.write_bytes(record(7))
    await shipper(bus, watch, path).run()
    (tmp_path / "ctr.log.6").unlink()
    path.write_bytes(record(7) + record(8))
    await shipper(bus, watch, path).run()
    path.write_bytes(record(9) + record(10) + record(11))
    await shipper(bus, watch, path).run()
    assert len(metadata.lines) == 6
    assert [line.id for line in metadata.lines] == ["6:0", "7:0", "7:50", "8:0", "8:50", "8:100"]


async def test_lines_whose_answer_is_lost_with_the_connection_are_sent_again(
    bus: Bus, metadata: Publisher, watch: LogWatch, tmp_path: Path
) -> None:
    transport, losses = bus.transport, [1]
    assert isinstance(transport, FakeTransport)

    def lose_the_first(request: PublishLines) -> None:
        if losses:
            losses.pop()
            transport.cut()
            transport.mend()

    metadata.before = lose_the_first
    path = tmp_path / "ctr.log"
    path.write_bytes(record(1))
    await asyncio.wait_for(shipper(bus, watch, path).run(), GUARD_S)
    assert [line.id for line in metadata.lines] == ["1:0", "1:0"]
    assert metadata.messages == [f"{ID}:1:0-0"] * 2, "by one id, by which a stream drops the repeat"


async def test_what_an_earlier_release_has_published_is_not_published_again(
    bus: Bus, metadata: Publisher, watch: LogWatch, tmp_path: Path
) -> None:
    path = tmp_path / "ctr.log"
    path.write_bytes(record(1))
    assert PublishedPosition(LogFiles(path, LogPolicy())).find() == (1, 50)
    path.write_bytes(record(1) + record(2))
    await shipper(bus, watch, path).run()
    assert len(metadata.lines) == 1
    assert metadata.lines[0].id == "1:50"
