"""The outbox: each event once, in order, whatever the connection does."""

import contextlib
import sqlite3
from pathlib import Path

from tests.conformance.bus.heard import Heard, add, send

from seaway_bus.events import history
from seaway_bus.outbox import Outbox
from seaway_bus.transport import Transport
from seaway_contracts.catalogue import CONTAINER_STATUS, EVENT_STREAM
from seaway_kit.tasks import Tasks
from seaway_testing.builders import container_event, container_id, status
from seaway_testing.wire import FakeWire, Wire


def database(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(path / "outbox.db")


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
            envelope, body = container_event("status", status(seq=1))
            labels = {"large": "x" * transport.max_payload}
            outbox.add(CONTAINER_STATUS, envelope, body.model_copy(update={"attributes": labels}))
            add(outbox, 2)
        outbox.kick()
        assert await outbox.flush(10)
        assert list((await stored_seqs(transport)).values()) == [[2]]
        await tasks.close()


async def test_they_keep_their_order_among_others(
    transport: Transport, other: Transport, tasks: Tasks, tmp_path: Path
) -> None:
    """What comes between is somebody else's."""
    await transport.ensure_stream(EVENT_STREAM)
    with contextlib.closing(database(tmp_path)) as db:
        outbox = Outbox(db, transport, tasks)
        outbox.start()
        for seq in range(1, 101):
            with db:
                for seed in (1, 2):
                    add(outbox, seq, seed)
            outbox.kick()
            if seq % 10 == 0:
                await send(other, seq, seed=3)
        assert await outbox.flush(20)
        await tasks.close()
    found = await stored_seqs(transport)
    assert [found[container_id(seed)] for seed in (1, 2)] == [list(range(1, 101))] * 2
    assert found[container_id(3)] == list(range(10, 101, 10))
