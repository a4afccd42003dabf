"""The outbox when the bus takes nothing, or has forgotten what it took."""

import contextlib
import sqlite3
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import orjson
import pytest

from seaway_bus.bus import Bus
from seaway_bus.events import history
from seaway_bus.nats_transport import Credentials, NatsTransport
from seaway_bus.outbox import Outbox, open_outbox
from seaway_bus.transport import Transport
from seaway_contracts.catalogue import (
    CONTAINER_DIE,
    CONTAINER_HEALTH,
    CONTAINER_STATUS,
    EVENT_STREAM,
    EVENTS,
    EXEC_START,
    IMAGE_PULL,
)
from seaway_contracts.channels import EventChannel, StreamConfig
from seaway_contracts.errors import SeawayError
from seaway_contracts.lifecycle import ContainerEvent
from seaway_kit.tasks import Tasks
from seaway_testing.builders import container_event, container_id, status
from seaway_testing.nats_server import NatsServer
from seaway_testing.waiting import until
from seaway_testing.wire import Wire


@pytest.fixture
def db(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    with contextlib.closing(open_outbox(tmp_path / "outbox" / "outbox.db")) as opened:
        yield opened


class Box:
    """An outbox, and the events that were put into it."""

    def __init__(self, db: sqlite3.Connection, transport: Transport, tasks: Tasks, bound: int = 64 << 20) -> None:
        self.outbox = Outbox(db, transport, tasks, bound=bound)
        self.db = db
        self.seq = 0

    def put(self, seed: int = 1, channel: EventChannel[ContainerEvent] = CONTAINER_STATUS) -> None:
        self.seq += 1
        envelope, body = container_event(channel.action, status(seq=self.seq), seed=seed)
        self.db.execute("BEGIN")
        self.outbox.add(channel, envelope, body)
        self.db.execute("COMMIT")
        self.outbox.kick()

    @property
    def rows(self) -> int:
        return int(self.db.execute("SELECT count(*) FROM outbox").fetchone()[0])


async def stored(transport: Transport) -> list[int]:
    return [event.envelope.seq async for event in history(transport, start_ns=0)]


# --- the bound


async def test_what_is_lossy_is_left_out_from_half_of_the_bound_on(
    wire: Wire, transport: Transport, tasks: Tasks, db: sqlite3.Connection
) -> None:
    await transport.ensure_stream(EVENT_STREAM)
    await wire.stop()
    box = Box(db, transport, tasks, bound=20_000)
    box.outbox.start()
    while box.outbox.size < 10_000:
        box.put(channel=CONTAINER_HEALTH)
    kept = box.seq
    for channel in (CONTAINER_HEALTH, EXEC_START):
        box.put(channel=channel)
    assert (len(box.outbox), box.rows) == (kept, kept)
    assert not box.outbox.full
    while not box.outbox.full:
        box.put(channel=CONTAINER_DIE)
    box.put(channel=CONTAINER_DIE)
    last = box.seq
    await wire.start()
    assert await box.outbox.flush(10)
    assert await stored(transport) == [*range(1, kept + 1), *range(kept + 3, last + 1)]
    assert (box.outbox.size, box.outbox.full, box.rows) == (0, False, 0)
    box.put(channel=CONTAINER_HEALTH)
    assert await box.outbox.flush(10)
    assert (await stored(transport))[-1] == box.seq
    await tasks.close()


def test_what_tells_of_a_life_is_never_left_out() -> None:
    lossy = {(noun, action) for (noun, action), channel in EVENTS.items() if channel.lossy}
    kept = {action for noun, action in EVENTS.keys() - lossy if noun == "container"}
    assert kept == {
        *("create", "start", "die", "oom", "kill", "stop", "restart", "pause", "unpause", "destroy"),
        *("rename", "update", "status"),
    }
    assert not {noun for noun, _ in lossy} & {"network", "node"}
    assert IMAGE_PULL.lossy


async def test_a_rolled_back_event_takes_no_room(transport: Transport, tasks: Tasks, db: sqlite3.Connection) -> None:
    box = Box(db, transport, tasks, bound=10_000)
    envelope, body = container_event("status", status(seq=1))
    db.execute("BEGIN")
    box.outbox.add(CONTAINER_STATUS, envelope, body)
    assert box.outbox.size > 0
    db.execute("ROLLBACK")
    box.outbox.discard()
    assert (box.outbox.size, box.rows) == (0, 0)


async def test_the_bound_counts_what_an_earlier_life_left(
    wire: Wire, transport: Transport, db: sqlite3.Connection
) -> None:
    await transport.ensure_stream(EVENT_STREAM)
    await wire.stop()
    first, second = Tasks("first"), Tasks("second")
    box = Box(db, transport, first)
    box.outbox.start()
    for seed in range(5_000):
        box.put(seed % 7)
    size = box.outbox.size
    await first.close()
    box = Box(db, transport, second, bound=size)
    box.outbox.start()
    assert (len(box.outbox), box.outbox.size, box.outbox.full) == (5_000, size, True)
    await wire.start()
    assert await box.outbox.flush(30)
    found: dict[str, list[int]] = {}
    async for event in history(transport, start_ns=0):
        found.setdefault(event.envelope.subject_id, []).append(event.envelope.seq)
    assert {key: seqs == sorted(seqs) and len(seqs) for key, seqs in found.items()} == {
        container_id(seed): len(range(seed, 5_000, 7)) for seed in range(7)
    }
    await second.close()


# --- what the stream may have without having said so


async def test_stored_once_though_the_stream_has_forgotten_the_id(tasks: Tasks, tmp_path: Path) -> None:
    """The answer is lost, and the stream's memory of ids ends before the event is sent again."""
    server = NatsServer(tmp_path / "nats").start()
    short = StreamConfig(EVENT_STREAM.name, EVENT_STREAM.subjects, max_age_s=600, max_bytes=-1, duplicate_window_s=1)
    transport = await NatsTransport.connect(server.url, name="test")
    await transport.ensure_stream(short)
    with contextlib.closing(open_outbox(tmp_path / "outbox.db")) as db:
        box = Box(db, transport, first := Tasks("first"))
        for seq in range(1, 6):
            box.put(channel=CONTAINER_STATUS if seq % 2 else CONTAINER_DIE)
        for subject, headers, body in db.execute("SELECT subject, headers, body FROM outbox WHERE n <= 3").fetchall():
            await transport.store(subject, body, orjson.loads(headers))  # acknowledged to nobody
        await until(_forgotten(1.3), 5)
        await first.close()
        box = Box(db, transport, tasks)
        box.outbox.start()
        assert await box.outbox.flush(10)
        assert await stored(transport) == [1, 2, 3, 4, 5]
        assert box.rows == 0
        await tasks.close()
    await transport.close()
    server.kill()


def _forgotten(seconds: float) -> Callable[[], bool]:
    end = time.monotonic() + seconds
    return lambda: time.monotonic() > end


async def test_a_wiped_server_gets_what_it_has_not_acknowledged(
    nats: NatsServer, tasks: Tasks, db: sqlite3.Connection
) -> None:
    """What was acknowledged before is gone with it: the node's inventory tells metadata what came of it."""
    transport = await NatsTransport.connect(nats.url, name="test")
    await Bus(transport).prepare(1)
    box = Box(db, transport, tasks)
    box.outbox.start()
    for _ in range(3):
        box.put()
    assert await box.outbox.flush(10)
    nats.kill()
    nats.wipe()
    for _ in range(3):
        box.put()
    nats.start()
    await until(lambda: transport.connected)
    assert not await box.outbox.flush(0.3)  # there is no stream
    await Bus(transport).prepare(1)  # metadata makes it when it is connected again
    assert await box.outbox.flush(10)
    assert await stored(transport) == [4, 5, 6]
    await tasks.close()
    await transport.close()


# --- a stream that takes nothing


async def test_what_waits_while_the_server_turns_us_out_is_told_once_and_in_order(
    tasks: Tasks, db: sqlite3.Connection, tmp_path: Path
) -> None:
    login = 'authorization {{ user: "u", password: "{}" }}'
    server = NatsServer(tmp_path / "nats", extra=login.format("right")).start()
    transport = await NatsTransport.connect(server.url, name="test", credentials=Credentials("u", "right"))
    try:
        await Bus(transport).prepare()
        box = Box(db, transport, tasks)
        box.outbox.start()
        box.put()
        assert await box.outbox.flush(10)
        server.reconfigure(login.format("another"))
        await until(lambda: "authorization violation" in transport.trouble.lower(), 10)
        for _ in range(3):
            box.put()
        assert not await box.outbox.flush(0.5) and box.rows == 3
        server.reconfigure(login.format("right"))
        assert await box.outbox.flush(20)
        assert await stored(transport) == [1, 2, 3, 4]
    finally:
        await transport.close()
        server.kill()


async def test_a_full_stream_that_discards_what_is_new(tasks: Tasks, db: sqlite3.Connection, nats: NatsServer) -> None:
    transport = await NatsTransport.connect(nats.url, name="test")
    await transport.ensure_stream(EVENT_STREAM)
    info = (await transport._api(f"STREAM.INFO.{EVENT_STREAM.name}"))["config"]
    await transport._api(f"STREAM.UPDATE.{EVENT_STREAM.name}", info | {"discard": "new", "max_msgs": 3})
    box = Box(db, transport, tasks)
    box.outbox.start()
    for _ in range(6):
        box.put()
    assert not await box.outbox.flush(0.3)
    assert await stored(transport) == [1, 2, 3]
    assert 3 <= box.rows <= 6, "what is handed over together is kept until all of it is stored"
    await transport._api(f"STREAM.UPDATE.{EVENT_STREAM.name}", info)
    assert await box.outbox.flush(10)
    assert await stored(transport) == [1, 2, 3, 4, 5, 6]
    await tasks.close()
    await transport.close()


# --- its own disk


async def test_without_room_on_its_disk_it_keeps_events_in_memory(
    transport: Transport, tasks: Tasks, db: sqlite3.Connection
) -> None:
    await transport.ensure_stream(EVENT_STREAM)
    pages = int(db.execute("PRAGMA page_count").fetchone()[0])
    db.execute(f"PRAGMA max_page_count = {pages}")
    box = Box(db, transport, tasks)
    box.outbox.start()
    for seq in range(1, 41):
        envelope, body = container_event("status", status(seq=seq, error="x" * 500))
        box.outbox.tell(CONTAINER_STATUS, envelope, body)
    assert box.rows < 40
    assert await box.outbox.flush(10)
    assert await stored(transport) == list(range(1, 41))
    assert box.rows == 0
    await tasks.close()


def test_an_outbox_of_a_later_release_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "outbox.db"
    with contextlib.closing(open_outbox(path)) as db:
        db.execute("PRAGMA user_version = 2")
    before = path.read_bytes()
    with pytest.raises(SeawayError, match="was written by a later release"):
        open_outbox(path)
    assert path.read_bytes() == before
