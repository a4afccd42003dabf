"""An outbox where there is no room: on its own disk, or on the bus."""

import asyncio
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path

import pytest

from seaway_bus.bus import Bus
from seaway_bus.outbox import Outbox
from seaway_bus.outbox_table import OutboxMessage, open_outbox
from seaway_bus.transport import NoSpace
from seaway_contracts.catalogue import CONTAINER_STATUS, EVENT_STREAM, NODE_UP
from seaway_contracts.lifecycle import Envelope
from seaway_contracts.nodes import NodeEvent
from seaway_kit.tasks import Tasks
from seaway_testing.builders import container_event, container_id, status
from seaway_testing.fake_transport import FakeServer, FakeTransport
from seaway_testing.waiting import GUARD_S, until


@pytest.fixture
def db(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    with closing(open_outbox(tmp_path / "outbox.db")) as opened:
        yield opened


def tell(outbox: Outbox, number: int) -> None:
    envelope = Envelope(f"id{number}", "n1", "node", "up", "n1", number)
    outbox.tell(NODE_UP, envelope, NodeEvent(node="n1", reason=str(number)))


def rows(db: sqlite3.Connection) -> int:
    return int(db.execute("SELECT count(*) FROM outbox").fetchone()[0])


def full(db: sqlite3.Connection, *, yes: bool) -> None:
    """Let the database grow no more, as on a full disk."""
    pages = db.execute("PRAGMA page_count").fetchone()[0]
    db.execute(f"PRAGMA max_page_count = {pages if yes else pages + 1000}")


async def test_events_are_told_without_room_on_the_disk(
    db: sqlite3.Connection, tasks: Tasks, fake_server: FakeServer
) -> None:
    bus = Bus(FakeTransport(fake_server))
    await bus.prepare()
    outbox = Outbox(db, bus.transport, tasks)
    outbox.start()
    full(db, yes=True)
    for number in range(200):
        tell(outbox, number)
    assert rows(db) < 200
    await until(lambda: not len(outbox))
    assert await bus.transport.last_sequence(EVENT_STREAM.name) == 200


async def full_bus(rows: Sequence[tuple[str, OutboxMessage]]) -> Mapping[str, str]:
    """A server that can't store."""
    await asyncio.sleep(0)
    raise NoSpace("no space left on device")


async def test_who_waits_to_answer_is_let_go_where_the_bus_is_full(
    db: sqlite3.Connection, tasks: Tasks, fake_server: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("seaway_bus.outbox._FAILING_AFTER", 0)
    transport = FakeTransport(fake_server)
    outbox = Outbox(db, transport, tasks, full_bus, tells=True)
    outbox.start()
    transport.cut()
    status_of_one(outbox, 1)
    waiting = outbox.sent(container_id())
    assert waiting is not None
    monkeypatch.setattr(outbox, "_published", lambda message: False)  # what is before it waits to be told
    transport.mend()
    async with asyncio.timeout(GUARD_S):
        await waiting
    assert len(outbox) == 1


def status_of_one(outbox: Outbox, seq: int) -> None:
    outbox.tell(CONTAINER_STATUS, *container_event("status", status(seq=seq)))
