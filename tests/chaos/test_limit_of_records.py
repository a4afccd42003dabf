"""10,000 containers' worth of records: how long metadata takes to list them, to start with them, and what it holds."""

import asyncio
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from chaos_rig.figures import Figures
from chaos_rig.measure import resident
from chaos_rig.scale import scaled

from seaway_bus.bus import Bus
from seaway_contracts.catalogue import CONTAINERS_BUCKET, GET_CONTAINER, LIST_CONTAINERS, event_channel
from seaway_contracts.commands import ListContainers, ResolveContainer
from seaway_contracts.containers import State
from seaway_testing.builders import container_event, container_id, status
from seaway_testing.nats_server import NatsServer
from seaway_testing.waiting import until

pytestmark = [pytest.mark.root, pytest.mark.timeout(300)]
_AT_ONCE = 16
_MIB = 1 << 20


@asynccontextmanager
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


async def _publish(bus: Bus, numbers: range) -> None:
    """Create events of many containers, as agents send them."""
    slots = asyncio.Semaphore(_AT_ONCE)
    channel = event_channel("container", "create")

    async def one(number: int) -> None:
        envelope, body = container_event("create", status(State.CREATED), seed=number)
        async with slots:
            await bus.transport.store(
                channel.subject("n1", envelope.subject_id), channel.encode(body), envelope.headers()
            )

    await asyncio.gather(*(one(number) for number in numbers))


async def _listed(bus: Bus) -> int:
    found, after = 0, ""
    while True:
        page = await bus.call(LIST_CONTAINERS, ListContainers(after=after, all=True), timeout_s=30)
        found += len(page.containers)
        if not page.next:
            return found
        after = page.next


async def _stored(bus: Bus) -> int:
    bucket = await bus.transport.bucket(CONTAINERS_BUCKET)
    return sum([1 async for _ in bucket.entries()])


async def test_many_records(
    nats: NatsServer, connect_bus: Callable[[], Awaitable[Bus]], tmp_path: Path, figures: Figures
) -> None:
    count = scaled(10_000, 2_000)
    bus = await connect_bus()
    async with _metadata(nats, tmp_path):
        await _publish(bus, range(count))
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
