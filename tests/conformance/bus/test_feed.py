"""The event feed: each event once, in order, whatever the connection does."""

import asyncio
import contextlib
from pathlib import Path

import pytest
from tests.conformance.bus.heard import Heard, add, event_of, send

from seaway_bus import feed as feed_module
from seaway_bus.events import Event
from seaway_bus.feed import EventFeed
from seaway_bus.outbox import Outbox, open_outbox
from seaway_bus.transport import Transport
from seaway_contracts.catalogue import ALL_EVENTS, CONTAINER_DIE, CONTAINER_STATUS, EVENT_STREAM
from seaway_kit.tasks import Tasks
from seaway_testing.builders import container_event, container_id, status
from seaway_testing.fake_transport import FakeTransport
from seaway_testing.waiting import until
from seaway_testing.wire import FakeWire, Wire

_PUBLISHERS = 12


async def test_a_feed_of_some_events_hears_no_others(transport: Transport, other: Transport, tasks: Tasks) -> None:
    await transport.ensure_stream(EVENT_STREAM)
    events: list[Event] = []
    feed = EventFeed(transport, events.append, tasks, (CONTAINER_DIE.template.wildcard(),))
    await feed.start()
    await transport.flush()
    await send(other, 1)
    envelope, body = container_event("die", status(seq=2), seed=1)
    await other.store(
        CONTAINER_DIE.subject(envelope.node, envelope.subject_id), CONTAINER_DIE.encode(body), envelope.headers()
    )
    await until(lambda: events)
    await transport.flush()
    assert [event.envelope.action for event in events] == ["die"]
    await feed.close()


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


async def test_a_feed_without_a_connection_does_nothing(tasks: Tasks, monkeypatch: pytest.MonkeyPatch) -> None:
    """However long that lasts."""
    wire = FakeWire()
    mine = await wire.connect()
    await mine.ensure_stream(EVENT_STREAM)
    heard = Heard(mine, tasks)
    await heard.feed.start()
    turns: list[float | None] = []
    pause = EventFeed._pause
    monkeypatch.setattr(EventFeed, "_pause", lambda feed: turns.append(pause(feed)) or turns[-1])
    wire.made[0].cut()
    for _ in range(200):
        await asyncio.sleep(0)
    assert len(turns) < 5
    wire.made[0].mend()
    await send(mine, 1)
    await until(lambda: heard.seqs == [1])
    await wire.close()


async def test_an_event_of_before_that_is_stored_after_the_return(tasks: Tasks) -> None:
    """Published while this client was away, and stored only after the client has read what it had missed."""
    wire = FakeWire()
    mine, other = await wire.connect(), await wire.connect()
    await mine.ensure_stream(EVENT_STREAM)
    heard = Heard(mine, tasks)
    await heard.feed.start()
    wire.made[0].cut()
    wire.server.store_delay_s = 0.2
    late = asyncio.ensure_future(send(other, 1))
    await asyncio.sleep(0)
    wire.made[0].mend()
    wire.server.store_delay_s = 0.0
    await send(other, 1, seed=2)
    await until(lambda: heard.ids == [event_of(1, seed=2)])
    await late
    await send(other, 2)
    await until(lambda: len(heard.ids) == 3)
    assert heard.ids[1:] == [event_of(1), event_of(2)]
    await wire.close()


async def test_who_asks_sees_all_that_had_come(tasks: Tasks) -> None:
    """What comes live is held while the past is read, and `current` waits for it."""
    wire = FakeWire()
    mine, other = await wire.connect(), await wire.connect()
    await mine.ensure_stream(EVENT_STREAM)
    heard = Heard(mine, tasks)
    await heard.feed.start()
    wire.made[0].cut()
    await send(other, 1)
    wire.made[0].mend()
    await send(other, 2)
    await mine.flush()
    await heard.feed.current()
    assert heard.seqs == [1, 2]
    await wire.close()


async def test_what_was_before_the_start_stays_past(
    wire: Wire, transport: Transport, other: Transport, tasks: Tasks
) -> None:
    """Also where a lost connection makes the feed look back further than to its start."""
    await transport.ensure_stream(EVENT_STREAM)
    for seq in (1, 2, 3):
        await send(other, seq)
    heard = Heard(transport, tasks)
    await heard.feed.start()
    await wire.stop()
    await wire.start()
    await send(other, 4)
    await until(lambda: heard.seqs)
    assert heard.seqs == [4]


async def test_who_asks_waits_out_a_stream_that_is_not_back_yet(tasks: Tasks, monkeypatch: pytest.MonkeyPatch) -> None:
    """But not for long."""
    wire = FakeWire()
    mine, other = await wire.connect(), await wire.connect()
    await mine.ensure_stream(EVENT_STREAM)
    heard = Heard(mine, tasks)
    await heard.feed.start()
    wire.made[0].cut()
    await send(other, 1)
    stream = wire.server.streams.pop(EVENT_STREAM.name)
    wire.made[0].mend()
    asking = asyncio.ensure_future(heard.feed.current())
    await asyncio.sleep(0.1)
    assert not asking.done()
    wire.server.streams[EVENT_STREAM.name] = stream
    await asking
    assert heard.seqs == [1]
    del wire.server.streams[EVENT_STREAM.name]
    monkeypatch.setattr(feed_module, "_CURRENT_S", 0.05)
    await heard.feed.current()
    await wire.close()


async def test_who_does_not_mind_the_order_hears_what_is_live_without_the_stream(tasks: Tasks) -> None:
    wire = FakeWire()
    mine, other = await wire.connect(), await wire.connect()
    await mine.ensure_stream(EVENT_STREAM)
    heard = Heard(mine, tasks, in_order=False)
    await heard.feed.start()
    wire.made[0].cut()
    await send(other, 1)
    wire.server.leaderless.add(EVENT_STREAM.name)
    wire.made[0].mend()
    await send(other, 2)
    await mine.flush()
    assert heard.seqs == [2]
    wire.server.leaderless.clear()
    assert await heard.feed.current()
    assert heard.seqs == [2, 1]
    await wire.close()


async def clustered() -> tuple[FakeWire, FakeTransport, Transport]:
    """A server of several, where messages can be lost between two of them, and two clients."""
    wire = FakeWire()
    wire.server.clustered = True
    other = await wire.connect()
    await other.ensure_stream(EVENT_STREAM)
    await wire.connect()
    return wire, wire.made[1], other


async def test_what_several_servers_lost_between_them_is_fetched_before_what_follows(tasks: Tasks) -> None:
    wire, mine, other = await clustered()
    heard = Heard(mine, tasks)
    await heard.feed.start()
    await send(other, 1)
    mine.deaf_to = ALL_EVENTS
    for seq in (2, 3):
        await send(other, seq)
    mine.deaf_to = ""
    await send(other, 4)
    assert await heard.feed.current()
    assert heard.seqs == [1, 2, 3, 4]
    await send(other, 5)
    await mine.flush()
    assert heard.seqs == [1, 2, 3, 4, 5]
    await wire.close()


@pytest.mark.parametrize("in_order", [True, False])
async def test_the_last_events_that_several_servers_lost_between_them_are_fetched_too(
    tasks: Tasks, monkeypatch: pytest.MonkeyPatch, in_order: bool
) -> None:
    """No later one shows that they are missing."""
    monkeypatch.setattr(feed_module, "_CHECK_EVERY_S", 0.05)
    wire, mine, other = await clustered()
    heard = Heard(mine, tasks, in_order=in_order)
    await heard.feed.start()
    mine.deaf_to = ALL_EVENTS
    for number in (1, 3):
        await send(other, number)
        await send(other, number + 1)
        await until(lambda: len(heard.seqs) == number + 1)  # noqa: B023
    assert heard.seqs == [1, 2, 3, 4]
    assert heard.feed.horizon == 4
    await wire.close()


async def test_events_that_a_full_outbox_left_out_are_looked_for_once(
    tasks: Tasks, monkeypatch: pytest.MonkeyPatch
) -> None:
    wire, mine, other = await clustered()
    readings: list[int] = []
    replay = FakeTransport.replay
    monkeypatch.setattr(
        FakeTransport, "replay", lambda self, *about, **where: readings.append(1) or replay(self, *about, **where)
    )
    heard = Heard(mine, tasks)
    await heard.feed.start()
    await send(other, 1)
    for seq in (7, 8, 9):
        await send(other, seq)
        assert await heard.feed.current()
    assert heard.seqs == [1, 7, 8, 9]
    assert len(readings) == 1
    await wire.close()


async def test_who_asks_before_it_looks_may_get_events_late_and_together(
    transport: Transport, other: Transport, tasks: Tasks
) -> None:
    await transport.ensure_stream(EVENT_STREAM)
    heard = Heard(transport, tasks, in_order=False, together_s=0.2)
    await heard.feed.start()
    for seq in (1, 2, 2):
        await send(other, seq)
    await transport.flush()
    assert heard.seqs == []
    assert await heard.feed.current()
    assert heard.seqs == [1, 2]
    await send(other, 3)
    await until(lambda: heard.seqs == [1, 2, 3])
    await send(other, 4)
    await transport.flush()
    await heard.feed.close()
    assert heard.seqs == [1, 2, 3, 4]


async def test_a_settled_feed_holds_nothing(tasks: Tasks, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feed_module, "SETTLE_S", 0.1)
    wire = FakeWire()
    transport = await wire.connect()
    await transport.ensure_stream(EVENT_STREAM)
    heard = Heard(transport, tasks)
    await heard.feed.start()
    wire.made[0].cut()
    wire.made[0].mend()
    await send(transport, 1)
    await transport.flush()
    assert heard.seqs == [], "it is held until the stream was read"
    await until(lambda: heard.seqs == [1])
    await asyncio.sleep(0.2)
    await send(transport, 2)
    await transport.flush()
    assert heard.seqs == [1, 2]
    await wire.close()


async def test_no_gap_and_no_double_where_many_publish_over_restarts(
    wire: Wire, transport: Transport, tasks: Tasks, tmp_path: Path
) -> None:
    """The moment of return is the moment when all outboxes send what they have."""
    await transport.ensure_stream(EVENT_STREAM)
    heard = Heard(transport, tasks)
    await heard.feed.start()
    sent = dict.fromkeys(range(_PUBLISHERS), 0)
    stop = asyncio.Event()

    async def publish(seed: int) -> None:
        mine = await wire.connect()
        with contextlib.closing(open_outbox(tmp_path / f"outbox{seed}.db")) as db:
            outbox = Outbox(db, mine, tasks)
            outbox.start()
            while not stop.is_set():
                with db:
                    add(outbox, sent[seed] + 1, seed)
                outbox.kick()
                sent[seed] += 1
                await asyncio.sleep(0.001)
            assert await outbox.flush(30)

    publishers = [asyncio.ensure_future(publish(seed)) for seed in sent]
    try:
        for _ in range(4):
            enough = len(heard.events) + 100
            await until(lambda: len(heard.events) > enough)  # noqa: B023
            await wire.stop()
            await asyncio.sleep(0.05)
            await wire.start()
    finally:
        stop.set()
        await asyncio.gather(*publishers)
    await until(lambda: len(heard.events) >= sum(sent.values()), 20)
    for seed, last in sent.items():
        got = [event.envelope.seq for event in heard.events if event.envelope.subject_id == container_id(seed)]
        assert got == list(range(1, last + 1))
    await tasks.close()


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


async def test_a_stream_that_seems_shorter_for_a_moment_is_not_told_anew(tasks: Tasks) -> None:
    """As where another server has just become its leader."""
    wire = FakeWire()
    transport = await wire.connect()
    await transport.ensure_stream(EVENT_STREAM)
    for seq in (1, 2, 3):
        await send(transport, seq)
    heard = Heard(transport, tasks)
    await heard.feed.start()
    stream = wire.server.streams[EVENT_STREAM.name]
    await wire.stop()
    stream.last = 1
    await wire.start()
    asking = asyncio.ensure_future(heard.feed.current())
    await asyncio.sleep(0.1)
    stream.last = 3
    await asking
    await send(transport, 4)
    await until(lambda: heard.seqs)
    assert heard.seqs == [4]
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
