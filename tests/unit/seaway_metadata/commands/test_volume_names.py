"""A name is one volume's, whatever fails: the record that holds the claim decides."""

from pathlib import Path

import pytest
from tests.unit.seaway_metadata.commands.test_networks import refused
from tests.unit.seaway_metadata.commands.test_volumes import node as node
from tests.unit.seaway_metadata.commands.test_volumes import second as second
from tests.unit.seaway_metadata.commands.volume_node import (
    VolumeNode,
    a_copy,
    create,
    inspect,
    listed,
    remove,
    stored,
    wanted,
)

from seaway_bus.bus import Bus
from seaway_bus.transport import TransportError
from seaway_contracts.errors import Code, Reason
from seaway_contracts.volumes import VolumeRecord
from seaway_metadata.kinds.volumes import VOLUME_NAMES, VOLUMES
from seaway_metadata.service import Metadata
from seaway_metadata.store.stored import stamp
from seaway_testing.fake_transport import FakeServer

CLAIM = VOLUME_NAMES.claim("data")


async def store_without_name(copy: Metadata, record: VolumeRecord) -> None:
    """As if the names had been lost."""
    await copy.volumes.table.records.bucket.create(record.id, stamp(VOLUMES.json(record, b"")))


@pytest.mark.parametrize("failing", ["the name", "the record"])
async def test_a_create_that_the_bus_fails_leaves_no_record(
    node: VolumeNode,
    metadata: Metadata,
    fake_bus: Bus,
    fake_server: FakeServer,
    monkeypatch: pytest.MonkeyPatch,
    failing: str,
) -> None:
    async def away(*_: object) -> int:
        raise TransportError("no answer")

    records = metadata.volumes.table.records
    with monkeypatch.context() as patched:
        target, method = (records.claims, "reserve") if failing == "the name" else (records.bucket, "create")
        patched.setattr(target, method, away)
        assert (await refused(create(fake_bus, "data"))).code is Code.UNAVAILABLE
    assert stored(fake_server)[0] == 0 and node.volumes == {}
    assert (await create(fake_bus, "data")).name == "data", "the repeat of the same request succeeds"
    assert stored(fake_server) == (1, 1)


async def test_of_two_records_the_one_with_the_claim_is_meant(
    node: VolumeNode, second: VolumeNode, fake_bus: Bus, fake_server: FakeServer, tmp_path: Path, metadata: Metadata
) -> None:
    real = await create(fake_bus, "data", node="n1")
    ghost = wanted("data", id="0" * 64, node="n2", created_ns=1)
    await store_without_name(metadata, ghost)
    async with a_copy(fake_server, tmp_path / "2", node, second) as copy:
        table = copy.volumes.table
        for first, later in ((real, ghost), (ghost, real)):
            table.index.remove(real.id)
            table.index.remove(ghost.id)
            table.index.put(first)
            table.index.put(later)
            assert (await copy.volumes.book.stored("data")) == await copy.volumes.book.get("data") == real
        table.index.remove(real.id)
        assert await copy.volumes.book.stored("data") == real, "it is looked up"
        assert (await refused(second.register(1, "data"))).reason is Reason.OTHER_NODE
        await copy.volumes.sweeper.sweep()
        await table.behind.flush()
        assert list(table.index) == [real] and stored(fake_server) == (1, 1)
    assert node.removed == second.removed == [] and await listed(fake_bus) == ["data"]


async def test_one_whose_name_was_lost_gets_it_back(node: VolumeNode, metadata: Metadata, fake_bus: Bus) -> None:
    made = await create(fake_bus, "data")
    claims = metadata.volumes.table.records.claims
    await claims.release(CLAIM, made.id)
    assert (await node.register(1, "data")).volumes == (made,)
    assert await claims.holder(CLAIM) == made.id


async def test_one_whose_name_is_being_taken_is_not_used(
    node: VolumeNode, metadata: Metadata, fake_bus: Bus, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Until that comes to nothing."""
    made = await create(fake_bus, "data")
    claims = metadata.volumes.table.records.claims
    await claims.release(CLAIM, made.id)
    await claims.reserve(CLAIM, "f" * 64)
    assert await metadata.volumes.book.stored("data") is None
    await metadata.volumes.sweeper.sweep()
    assert await inspect(fake_bus, "data") == made, "it is kept"
    before = claims._now_ns
    claims._now_ns = lambda: before() + 31_000_000_000
    assert await metadata.volumes.book.stored("data") == made and await claims.holder(CLAIM) == made.id
    await remove(fake_bus, "data")
