"""Records on their way into the bucket, while the bus is not well."""

import asyncio

import pytest
from tests.unit.seaway_metadata.rig import known, publish

from seaway_bus.bus import Bus
from seaway_bus.transport import NotConnected
from seaway_contracts.catalogue import CONTAINERS_BUCKET
from seaway_contracts.containers import State
from seaway_metadata.service import Metadata
from seaway_metadata.store import write_behind
from seaway_testing.builders import container_id, status
from seaway_testing.fake_transport import FakeServer
from seaway_testing.waiting import until

LATE, FAILING = container_id(1), container_id(2)


async def test_a_write_that_comes_late_brings_nothing_back(
    metadata: Metadata, fake_bus: Bus, fake_server: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of two writes one fails and the other hangs; before that goes on, its container is destroyed."""
    monkeypatch.setattr(write_behind, "_PAUSE_S", 1e9)  # only the test writes
    behind, bucket = metadata.containers.behind, metadata.containers.records.bucket
    kept = fake_server.buckets[CONTAINERS_BUCKET.name].entries
    for seed in (1, 2):
        await publish(fake_bus, "create", status(seq=1), seed)
    await known(metadata)
    await behind.flush()
    assert {LATE, FAILING} <= set(kept)

    update, hangs, goes_on = bucket.update, asyncio.Event(), asyncio.Event()

    async def unwell(key: str, value: bytes, revision: int) -> int:
        if key == FAILING and not goes_on.is_set():
            raise NotConnected("no connection")
        if key == LATE and not hangs.is_set():
            hangs.set()
            await goes_on.wait()
        return await update(key, value, revision)

    monkeypatch.setattr(bucket, "update", unwell)
    for seed in (1, 2):
        await publish(fake_bus, "start", status(State.RUNNING, 2), seed)
    await known(metadata)
    first = asyncio.ensure_future(behind.flush())
    await hangs.wait()
    await publish(fake_bus, "destroy", status(seq=3), 1)
    await known(metadata)
    done, _ = await asyncio.wait({first}, timeout=0.2)
    assert not done, "the next round would overtake what hangs"
    goes_on.set()
    with pytest.raises(NotConnected):
        await first
    await behind.flush()
    await until(lambda: LATE not in kept and FAILING in kept)


async def test_what_was_destroyed_is_not_written_anew(metadata: Metadata, fake_bus: Bus) -> None:
    """Another copy has deleted it, before this one came to write what it knew."""
    await publish(fake_bus, "create", status(seq=1))
    await known(metadata)
    record, body = metadata.containers.view.index.get(LATE), metadata.containers.view.index.json(LATE)
    assert record is not None
    await metadata.containers.behind.flush()
    await metadata.containers.records.delete(LATE)
    await publish(fake_bus, "destroy", status(seq=2))
    await known(metadata)
    assert await metadata.containers.records.write(record, body, 7) is None
    assert await metadata.containers.records.stored(LATE) is None
