"""An agent's outbox: events are told at once, and handed over until they are stored."""

import asyncio
import sqlite3
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path

import pytest
from prometheus_client import REGISTRY

from seaway_bus.outbox import Outbox
from seaway_bus.outbox_table import OutboxMessage, open_outbox
from seaway_contracts.catalogue import ALL_TOLD, CONTAINER_STATUS
from seaway_contracts.errors import unavailable
from seaway_contracts.lifecycle import MOST_EVENTS
from seaway_kit.tasks import Tasks
from seaway_testing.builders import container_event, container_id, status
from seaway_testing.fake_transport import FakeServer, FakeTransport
from seaway_testing.waiting import GUARD_S, until


class Metadata:
    """The other side: keeps what it is handed, refuses what it is told to."""

    def __init__(self) -> None:
        self.rows: list[list[int]] = []
        self.open = asyncio.Event()
        self.open.set()
        self.fails = 0
        self.refuses: set[str] = set()

    async def deliver(self, rows: Sequence[tuple[str, OutboxMessage]]) -> Mapping[str, str]:
        self.rows.append([int(message.headers["ce-sequence"]) for _, message in rows])
        await self.open.wait()
        if self.fails:
            self.fails -= 1
            raise unavailable("not now")
        return {message.id: "no" for _, message in rows if message.id in self.refuses}


@pytest.fixture
def db(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    with closing(open_outbox(tmp_path / "outbox.db")) as opened:
        yield opened


@pytest.fixture
def transport(fake_server: FakeServer) -> FakeTransport:
    return FakeTransport(fake_server)


@pytest.fixture
async def told(fake_server: FakeServer) -> list[int]:
    """What listeners hear at once."""
    heard: list[int] = []
    await FakeTransport(fake_server).subscribe(
        ALL_TOLD, lambda message: heard.append(int(message.headers["ce-sequence"]))
    )
    return heard


def tell(outbox: Outbox, *seqs: int) -> None:
    for seq in seqs:
        outbox.tell(CONTAINER_STATUS, *container_event("status", status(seq=seq)))


async def test_events_are_told_before_they_are_stored_and_handed_over_together(
    db: sqlite3.Connection, transport: FakeTransport, tasks: Tasks, told: list[int]
) -> None:
    metadata = Metadata()
    metadata.open.clear()
    outbox = Outbox(db, transport, tasks, metadata.deliver, tells=True)
    outbox.start()
    tell(outbox, 1)
    assert outbox.sent(container_id()) is None
    await until(lambda: metadata.rows == [[1]] and told == [1])
    tell(outbox, *range(2, 100))
    await until(lambda: told == list(range(1, 100)))
    assert outbox.waits(container_id()) and len(outbox) == 99
    metadata.open.set()
    assert await outbox.flush(GUARD_S)
    assert metadata.rows == [[1], list(range(2, 2 + MOST_EVENTS)), list(range(2 + MOST_EVENTS, 100))]
    assert told == list(range(1, 100)), "each was told once"
    assert not outbox.waits(container_id())


async def test_what_fails_is_handed_over_again_in_its_order_and_told_once(
    db: sqlite3.Connection, transport: FakeTransport, tasks: Tasks, told: list[int]
) -> None:
    metadata = Metadata()
    metadata.fails = 2
    outbox = Outbox(db, transport, tasks, metadata.deliver, tells=True)
    outbox.start()
    tell(outbox, 1, 2)
    assert await outbox.flush(GUARD_S)
    assert [seqs[0] for seqs in metadata.rows[:3]] == [1, 1, 1]
    assert sorted({seq for seqs in metadata.rows for seq in seqs}) == [1, 2]
    assert told == [1, 2]


async def test_answers_do_not_wait_for_what_cannot_be_stored(
    db: sqlite3.Connection, transport: FakeTransport, tasks: Tasks, told: list[int]
) -> None:
    """However many containers have events that wait: more than are handed over at once."""
    metadata = Metadata()
    metadata.fails = 1 << 30
    outbox = Outbox(db, transport, tasks, metadata.deliver, tells=True)
    outbox.start()
    for seed in range(300):
        outbox.tell(CONTAINER_STATUS, *container_event("status", status(seq=seed), seed=seed))
    await until(lambda: len(metadata.rows) > 1)
    assert [outbox.sent(container_id(seed)) for seed in range(300)] == [None] * 300
    await until(lambda: told == list(range(300)))
    metadata.fails = 0
    assert await outbox.flush(GUARD_S)


async def test_what_was_told_on_a_lost_connection_is_told_again(
    db: sqlite3.Connection, transport: FakeTransport, tasks: Tasks, told: list[int]
) -> None:
    metadata = Metadata()
    metadata.open.clear()
    outbox = Outbox(db, transport, tasks, metadata.deliver, tells=True)
    outbox.start()
    tell(outbox, 1)
    await until(lambda: told == [1])
    transport.cut()
    tell(outbox, 2)
    assert outbox.sent(container_id()) is not None
    transport.mend()
    metadata.fails = 1  # the request that was under way is lost as well
    metadata.open.set()
    assert await outbox.flush(GUARD_S)
    await until(lambda: told == [1, 1, 2])


async def test_an_event_that_is_refused_stops_nothing_behind_it(
    db: sqlite3.Connection, transport: FakeTransport, tasks: Tasks
) -> None:
    metadata = Metadata()
    outbox = Outbox(db, transport, tasks, metadata.deliver, tells=True)
    envelope, body = container_event("status", status(seq=1))
    metadata.refuses.add(envelope.id)
    outbox.tell(CONTAINER_STATUS, envelope, body)
    tell(outbox, 2)
    outbox.start()
    assert await outbox.flush(GUARD_S)
    assert db.execute("SELECT count(*) FROM outbox").fetchone()[0] == 0


async def test_what_an_earlier_life_left_comes_first(
    db: sqlite3.Connection, transport: FakeTransport, tasks: Tasks, told: list[int]
) -> None:
    tell(Outbox(db, transport, Tasks("first life"), tells=True), 1, 2)
    metadata = Metadata()
    outbox = Outbox(db, transport, tasks, metadata.deliver, tells=True)
    tell(outbox, 3)
    outbox.start()
    assert await outbox.flush(GUARD_S)
    assert [seq for seqs in metadata.rows for seq in seqs] == [1, 2, 3]
    await until(lambda: told == [1, 2, 3])


async def test_the_age_of_the_oldest_event_is_shown(
    db: sqlite3.Connection, transport: FakeTransport, tasks: Tasks, monkeypatch: pytest.MonkeyPatch
) -> None:
    metadata, now = Metadata(), 100.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    outbox = Outbox(db, transport, tasks, metadata.deliver, tells=True)

    def oldest() -> float | None:
        return REGISTRY.get_sample_value("seaway_bus_outbox_oldest_seconds")

    outbox.start()
    assert oldest() == 0
    metadata.open.clear()
    tell(outbox, 1)
    now = 107.0
    tell(outbox, 2)
    now = 108.0
    assert oldest() == 8
    metadata.open.set()
    assert await outbox.flush(GUARD_S)
    assert oldest() == 0
