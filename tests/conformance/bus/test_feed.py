"""The event feed and the outbox: each event once, in order, whatever the connection does."""

import asyncio
import contextlib
import sqlite3
from pathlib import Path

import pytest

from seaway_bus.feed import Event, EventFeed, history
from seaway_bus.outbox import Outbox
from seaway_bus.transport import Transport
from seaway_contracts.catalogue import CONTAINER_STATUS, EVENT_STREAM
from seaway_kit.tasks import Tasks
from seaway_testing.builders import container_event, status
from seaway_testing.waiting import until
from seaway_testing.wire import FakeWire, Wire


async def send(transport: Transport, seq: int, *, seed: int = 1, stored: bool = True) -> None:
    envelope, body = container_event("status", status(seq=seq), seed=seed)
    subject = CONTAINER_STATUS.subject(envelope.node, envelope.subject_id)
    send_it = transport.store if stored else transport.publish
    await send_it(subject, CONTAINER_STATUS.encode(body), envelope.headers())


class Heard:
    """What a feed delivered."""

    def __init__(self, transport: Transport, tasks: Tasks) -> None:
        self.events: list[Event] = []
        self.feed = EventFeed(transport, self.events.append, tasks)

    @property
    def seqs(self) -> list[int]:
        return [event.envelope.seq for event in self.events]


async def test_live_events_come_once(transport: Transport, other: Transport, tasks: Tasks) -> None:
    await transport.ensure_stream(EVENT_STREAM)
    await send(other, 1)
    heard = Heard(transport, tasks)
    await heard.feed.start()
    assert heard.feed.horizon == 1
    for seq in (2, 3, 3, 4, 2):
        await send(other, seq)
    await until(lambda: len(heard.seqs) == 3)
    await transport.flush()
    assert heard.seqs == [2, 3, 4]
    assert all(event.stream_seq == 0 for event in heard.events)


async def test_past_and_present_are_joined(transport: Transport, other: Transport, tasks: Tasks) -> None:
    await transport.ensure_stream(EVENT_STREAM)
    for seq in range(1, 101):
        await send(other, seq)
    heard = Heard(transport, tasks)
    stop = asyncio.Event()

    async def go_on() -> int:
        seq = 100
        while not stop.is_set():
            seq += 1
            await send(other, seq)
        return seq

    writer = asyncio.ensure_future(go_on())
    await heard.feed.start(after=0)
    await until(lambda: len(heard.seqs) > 150)
    stop.set()
    last = await writer
    await until(lambda: len(heard.seqs) >= last)
    assert heard.seqs == list(range(1, last + 1))


async def test_start_after_a_horizon(transport: Transport, tasks: Tasks) -> None:
    await transport.ensure_stream(EVENT_STREAM)
    for seq in range(1, 11):
        await send(transport, seq)
    heard = Heard(transport, tasks)
    await heard.feed.start(after=7)
    assert heard.seqs == [8, 9, 10]
    assert heard.feed.horizon == 10


async def test_missed_events_come_after_a_restart(
    wire: Wire, transport: Transport, other: Transport, tasks: Tasks, monkeypatch: pytest.MonkeyPatch
) -> None:
    await transport.ensure_stream(EVENT_STREAM)
    heard = Heard(transport, tasks)
    await heard.feed.start()
    total = 0
    for _ in range(3):
        await send(other, total := total + 1)
        await wire.stop()
        await wire.start()
        for _ in range(5):
            await send(other, total := total + 1)
    await until(lambda: len(heard.seqs) >= total)
    assert heard.seqs == list(range(1, total + 1))


async def test_events_missed_by_this_client_alone(tasks: Tasks) -> None:
    wire = FakeWire()
    mine, other = await wire.connect(), await wire.connect()
    await mine.ensure_stream(EVENT_STREAM)
    heard = Heard(mine, tasks)
    await heard.feed.start()
    await send(other, 1)
    wire.made[0].cut()
    for seq in (2, 3, 4):
        await send(other, seq)
    wire.made[0].mend()
    await send(other, 5)
    await until(lambda: len(heard.seqs) == 5)
    wire.made[0].cut()
    wire.made[0].mend()
    wire.made[0].cut()
    await send(other, 6)
    wire.made[0].mend()
    await send(other, 7)
    await until(lambda: len(heard.seqs) == 7)
    assert heard.seqs == list(range(1, 8))
    await wire.close()


async def test_events_lost_by_a_wiped_stream_do_not_stop_the_feed(tasks: Tasks) -> None:
    wire = FakeWire()
    transport = await wire.connect()
    await transport.ensure_stream(EVENT_STREAM)
    heard = Heard(transport, tasks)
    await heard.feed.start()
    for seq in (1, 2, 3):
        await send(transport, seq)
    await transport.flush()
    heard.feed.horizon = 3
    await wire.stop()
    wire.server.wipe()
    await wire.start()
    await send(transport, 4)
    await until(lambda: len(heard.seqs) == 4)
    assert heard.seqs == [1, 2, 3, 4]
    await wire.close()


async def test_strangers_are_dropped_and_a_failing_receiver_harms_nobody(transport: Transport, tasks: Tasks) -> None:
    await transport.ensure_stream(EVENT_STREAM)
    got: list[int] = []

    def receive(event: Event) -> None:
        if event.envelope.seq == 1:
            raise ValueError("cannot handle it")
        got.append(event.envelope.seq)

    feed = EventFeed(transport, receive, tasks)
    await feed.start()
    envelope, body = container_event("status", status(seq=9))
    foreign = CONTAINER_STATUS.subject("other-node", envelope.subject_id)
    await transport.store(foreign, CONTAINER_STATUS.encode(body), envelope.headers())
    await transport.store(foreign, b"no headers", {})
    await send(transport, 1)
    await send(transport, 2)
    await until(lambda: got == [2])
    await feed.close()


async def test_history_from_a_time(transport: Transport) -> None:
    await transport.ensure_stream(EVENT_STREAM)
    for seq in (1, 2, 3):
        await send(transport, seq)
    stored = [m.stored_ns async for m in transport.replay(EVENT_STREAM.name, "seaway.v1.event.>")]
    assert [e.envelope.seq async for e in history(transport, start_ns=stored[1])] == [2, 3]


# --- outbox


def database(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(path / "outbox.db")


def add(outbox: Outbox, seq: int, seed: int = 1) -> None:
    envelope, body = container_event("status", status(seq=seq), seed=seed)
    outbox.add(CONTAINER_STATUS, envelope, body)


async def stored_seqs(transport: Transport) -> dict[str, list[int]]:
    found: dict[str, list[int]] = {}
    async for event in history(transport, start_ns=0):
        found.setdefault(event.envelope.subject_id, []).append(event.envelope.seq)
    return found


async def test_outbox_keeps_order_per_container(transport: Transport, tasks: Tasks, tmp_path: Path) -> None:
    await transport.ensure_stream(EVENT_STREAM)
    with contextlib.closing(database(tmp_path)) as db:
        outbox = Outbox(db, transport, tasks)
        outbox.start()
        for seq in range(1, 21):
            for seed in range(5):
                with db:
                    add(outbox, seq, seed)
                outbox.kick()
        assert len(outbox) == 100
        assert await outbox.flush(10)
        assert list((await stored_seqs(transport)).values()) == [list(range(1, 21))] * 5
        assert db.execute("SELECT count(*) FROM outbox").fetchone() == (0,)
        await tasks.close()


async def test_outbox_survives_reopening(wire: Wire, transport: Transport, tmp_path: Path) -> None:
    await transport.ensure_stream(EVENT_STREAM)
    await wire.stop()
    first = Tasks("first life")
    with contextlib.closing(database(tmp_path)) as db:
        outbox = Outbox(db, transport, first)
        outbox.start()
        for seq in (1, 2, 3):
            with db:
                add(outbox, seq)
            outbox.kick()
        assert not await outbox.flush(0.05)
        await first.close()
    await wire.start()
    second = Tasks("second life")
    with contextlib.closing(database(tmp_path)) as db:
        outbox = Outbox(db, transport, second)
        outbox.start()
        assert await outbox.flush(10)
        await second.close()
    assert list((await stored_seqs(transport)).values()) == [[1, 2, 3]]


async def test_outbox_goes_on_after_an_outage(wire: Wire, transport: Transport, tasks: Tasks, tmp_path: Path) -> None:
    await transport.ensure_stream(EVENT_STREAM)
    with contextlib.closing(database(tmp_path)) as db:
        outbox = Outbox(db, transport, tasks)
        outbox.start()
        seq = 0
        for _ in range(3):
            with db:
                add(outbox, seq := seq + 1)
            outbox.kick()
            await wire.stop()
            with db:
                add(outbox, seq := seq + 1)
            outbox.kick()
            await wire.start()
        assert await outbox.flush(20)
        assert list((await stored_seqs(transport)).values()) == [[1, 2, 3, 4, 5, 6]]
        await tasks.close()


async def test_rolled_back_event_is_not_published(transport: Transport, tasks: Tasks, tmp_path: Path) -> None:
    await transport.ensure_stream(EVENT_STREAM)
    with contextlib.closing(database(tmp_path)) as db:
        outbox = Outbox(db, transport, tasks)
        outbox.start()
        with contextlib.suppress(ValueError), db:
            add(outbox, 1)
            raise ValueError("the state could not be written")
        outbox.discard()
        with db:
            add(outbox, 2)
        outbox.kick()
        assert await outbox.flush(10)
        assert list((await stored_seqs(transport)).values()) == [[2]]
        await tasks.close()


async def test_acknowledged_twice_stored_once(tasks: Tasks, tmp_path: Path) -> None:
    """The acknowledgement is lost, so the outbox sends again."""
    wire = FakeWire()
    transport = await wire.connect()
    await transport.ensure_stream(EVENT_STREAM)
    wire.server.drop_replies = 2
    wire.server.deliver_twice = True
    heard = Heard(transport, tasks)
    await heard.feed.start()
    with contextlib.closing(database(tmp_path)) as db:
        outbox = Outbox(db, transport, tasks)
        outbox.start()
        for seq in (1, 2):
            with db:
                add(outbox, seq)
            outbox.kick()
        assert await outbox.flush(10)
        assert list((await stored_seqs(transport)).values()) == [[1, 2]]
        assert heard.seqs == [1, 2]
        await tasks.close()
    await wire.close()


async def test_too_large_an_event_does_not_stop_its_container(
    transport: Transport, tasks: Tasks, tmp_path: Path
) -> None:
    await transport.ensure_stream(EVENT_STREAM)
    with contextlib.closing(database(tmp_path)) as db:
        outbox = Outbox(db, transport, tasks)
        outbox.start()
        with db:
            envelope, body = container_event("status", status(seq=1, error="x" * transport.max_payload))
            outbox.add(CONTAINER_STATUS, envelope, body)
            add(outbox, 2)
        outbox.kick()
        assert await outbox.flush(10)
        assert list((await stored_seqs(transport)).values()) == [[2]]
        await tasks.close()
