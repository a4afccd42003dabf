"""10,000 containers' worth of records: how long metadata takes to list them, to start with them, and what it holds."""

import asyncio
import contextlib
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
from chaos_rig.figures import Figures
from chaos_rig.measure import resident
from chaos_rig.scale import scaled

from seaway_bus.bus import Bus
from seaway_bus.event_sender import of_node
from seaway_bus.outbox import Outbox, open_outbox
from seaway_contracts.catalogue import CONTAINER_CREATE, CONTAINERS_BUCKET, GET_CONTAINER, LIST_CONTAINERS, REGISTER
from seaway_contracts.containers import ContainerRecord, State
from seaway_contracts.records import ListContainers, RegisterContainer, ResolveContainer
from seaway_kit.tasks import Tasks
from seaway_metadata.store.stored import HORIZON_KEY, decode
from seaway_testing.builders import container_event, container_id, spec, status
from seaway_testing.nats_server import NatsServer
from seaway_testing.waiting import until

pytestmark = [pytest.mark.root, pytest.mark.timeout(300)]
_AT_ONCE = 16
_MIB = 1 << 20


@contextlib.asynccontextmanager
async def _metadata(nats: NatsServer, root: Path) -> AsyncIterator[tuple[int, float]]:
    """A process of metadata: its pid, and how long it took to be ready in seconds."""
    log = root / f"metadata-{time.monotonic_ns()}.log"
    began = time.monotonic()
    process = _spawn(nats, root, log)
    try:
        await until(lambda: "is ready" in log.read_text(), 60, "readiness")
        yield process.pid, time.monotonic() - began
    finally:
        process.terminate()
        process.wait(30)


def _spawn(nats: NatsServer, root: Path, log: Path) -> subprocess.Popen[bytes]:
    words = [sys.executable, "-m", "seaway_metadata.main", "--nats", nats.url, "--root", str(root / "root")]
    with open(log, "ab") as out:
        return subprocess.Popen(words, stdout=out, stderr=out)


async def _make(bus: Bus, place: Path, count: int) -> None:
    """Many containers: registered, as for the API, and told of as their agent does."""
    tasks = Tasks("agent")
    with contextlib.closing(open_outbox(place / "outbox.db")) as db:
        outbox = Outbox(db, bus.transport, tasks, of_node(bus, "n1"), tells=True)
        outbox.start()
        slots = asyncio.Semaphore(_AT_ONCE)

        async def one(number: int) -> None:
            async with slots:
                await bus.call(REGISTER, RegisterContainer(spec=spec(number), node="n1"))
            created = container_event("create", status(State.CREATED), seed=number, event_id=f"{number:024x}")
            outbox.tell(CONTAINER_CREATE, *created)

        await asyncio.gather(*(one(number) for number in range(count)))
        assert await outbox.flush(120)
        await tasks.close()


async def _listed(bus: Bus) -> int:
    found, after = 0, ""
    while True:
        page = await bus.call(LIST_CONTAINERS, ListContainers(after=after, all=True), timeout_s=30)
        found += len(page.containers)
        if not page.next:
            return found
        after = page.next


async def _stored(bus: Bus) -> int:
    """How many records say that the container was created."""
    bucket = await bus.transport.bucket(CONTAINERS_BUCKET)
    values = [entry.value async for entry in bucket.entries() if entry.key != HORIZON_KEY]
    return sum(decode(ContainerRecord, value).status.seq > 0 for value in values)


async def test_many_records(
    nats: NatsServer, connect_bus: Callable[[], Awaitable[Bus]], tmp_path: Path, figures: Figures
) -> None:
    count = scaled(10_000, 2_000)
    bus = await connect_bus()
    async with _metadata(nats, tmp_path):
        await _make(bus, tmp_path, count)
        limit = time.monotonic() + 120
        while await _stored(bus) < count:
            assert time.monotonic() < limit, "the records are not in the bucket"
            await asyncio.sleep(0.5)
    async with _metadata(nats, tmp_path) as (pid, start):
        began = time.monotonic()
        assert await _listed(bus) == count
        listing = time.monotonic() - began
        began = time.monotonic()
        found = await bus.call(GET_CONTAINER, ResolveContainer(ref=container_id(count // 2)))
        one = time.monotonic() - began
        assert found.id == container_id(count // 2)
        memory = resident(pid)
    assert listing < 5 and one < 0.5 and start < 30
    figures.show(
        "L4",
        f"{count} records: metadata ready in {start:.1f} s, lists all in {listing:.2f} s, one in {one * 1000:.1f} ms, "
        f"{memory // _MIB} MiB",
    )
