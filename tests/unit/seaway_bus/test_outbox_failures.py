"""An outbox whose own database fails it, and one whose connection comes and goes."""

import asyncio
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path

import pytest

from seaway_bus import metrics
from seaway_bus.events import history
from seaway_bus.outbox import Outbox
from seaway_bus.outbox_table import OutboxMessage, OutboxTable, Row, open_outbox
from seaway_bus.transport import NotConnected
from seaway_contracts.catalogue import ALL_TOLD, CONTAINER_STATUS, EVENT_STREAM
from seaway_kit.tasks import Tasks
from seaway_testing.builders import container_event, container_id, status
from seaway_testing.fake_transport import FakeServer, FakeTransport
from seaway_testing.waiting import GUARD_S, until


@pytest.fixture
def db(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    with closing(open_outbox(tmp_path / "outbox.db")) as opened:
        yield opened


@pytest.fixture
async def transport(fake_server: FakeServer) -> FakeTransport:
    made = FakeTransport(fake_server)
    await made.ensure_stream(EVENT_STREAM)
    return made


def tell(outbox: Outbox, seq: int) -> None:
    outbox.tell(CONTAINER_STATUS, *container_event("status", status(seq=seq)))


async def stored(transport: FakeTransport) -> list[int]:
    return [event.envelope.seq async for event in history(transport, start_ns=0)]


@pytest.mark.parametrize("error", [sqlite3.OperationalError("disk I/O error"), RuntimeError("unforeseen")])
async def test_a_database_that_fails_for_a_while(
    db: sqlite3.Connection, transport: FakeTransport, tasks: Tasks, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    """The events of that container wait; they are not given up."""
    fails = 3
    read = OutboxTable.read

    def failing(self: OutboxTable, row: Row) -> object:
        nonlocal fails
        fails -= 1
        if fails >= 0:
            raise error
        return read(self, row)

    monkeypatch.setattr(OutboxTable, "read", failing)
    outbox = Outbox(db, transport, tasks)
    outbox.start()
    for seq in (1, 2, 3):
        tell(outbox, seq)
    assert await outbox.flush(GUARD_S)
    assert await stored(transport) == [1, 2, 3]


@pytest.mark.parametrize("harm", ["DELETE FROM outbox WHERE n = 2", "UPDATE outbox SET headers = 'x' WHERE n = 2"])
async def test_a_row_that_is_lost_stops_nothing(
    db: sqlite3.Connection, transport: FakeTransport, tasks: Tasks, harm: str
) -> None:
    first = Outbox(db, transport, Tasks("first life"))
    for seq in (1, 2, 3):
        tell(first, seq)
    outbox = Outbox(db, transport, tasks)
    outbox.start()
    db.execute(harm)
    assert await outbox.flush(GUARD_S)
    assert await stored(transport) == [1, 3]


async def test_what_waits_for_a_connection_is_not_on_its_way(
    db: sqlite3.Connection,
    transport: FakeTransport,
    tasks: Tasks,
    fake_server: FakeServer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Else an answer could come before its event; and the wait ends with the connection's return."""
    monkeypatch.setattr("seaway_bus.outbox._RETRY_S", (3600.0,))
    other = FakeTransport(fake_server)
    heard: list[str] = []
    await other.subscribe(ALL_TOLD, lambda message: heard.append(message.subject))
    outbox = Outbox(db, transport, tasks, tells=True)
    outbox.start()
    transport.cut()
    retries = metrics.OUTBOX_RETRIES._value.get()
    tell(outbox, 1)
    await until(lambda: metrics.OUTBOX_RETRIES._value.get() > retries)
    waiting = outbox.sent(container_id())
    assert waiting is not None and not waiting.done()
    transport.mend()
    async with asyncio.timeout(GUARD_S):
        await waiting
    await other.flush()
    assert len(heard) == 1
    assert outbox.sent(container_id()) is None


async def test_a_send_that_finds_no_connection_is_made_again(
    db: sqlite3.Connection, fake_server: FakeServer, tasks: Tasks
) -> None:
    class Flickering(FakeTransport):
        losses = 2

        async def store(self, *args: object, **more: object) -> int:
            self.losses -= 1
            if self.losses >= 0:
                raise NotConnected("gone for a moment")
            return await super().store(*args, **more)  # type: ignore[arg-type]

    flickering = Flickering(fake_server)
    await flickering.ensure_stream(EVENT_STREAM)
    outbox = Outbox(db, flickering, tasks)
    outbox.start()
    tell(outbox, 1)
    assert await outbox.flush(GUARD_S)
    assert await stored(flickering) == [1]


async def test_who_waits_to_answer_is_let_go_where_storing_takes_long(
    db: sqlite3.Connection, transport: FakeTransport, tasks: Tasks, monkeypatch: pytest.MonkeyPatch
) -> None:
    """But not while there is no connection, as then no answer could go out."""
    acknowledged = asyncio.Event()

    async def slow(rows: Sequence[tuple[str, OutboxMessage]]) -> Mapping[str, str]:
        await acknowledged.wait()
        return {}

    monkeypatch.setattr("seaway_bus.outbox._PATIENCE_S", 0.05)
    outbox = Outbox(db, transport, tasks, slow, tells=True)
    outbox.start()
    tell(outbox, 1)
    assert outbox.sent(container_id()) is None, "it was told at once"
    await asyncio.sleep(0)
    transport.cut()
    tell(outbox, 2)
    waiting = outbox.sent(container_id())
    assert waiting is not None
    assert await asyncio.wait([waiting], timeout=0.3) == (set(), {waiting})
    transport.mend()
    async with asyncio.timeout(GUARD_S):
        await waiting
    acknowledged.set()
    assert await outbox.flush(GUARD_S)
