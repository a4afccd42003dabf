"""What metadata makes of the volumes that nodes have, and of their events."""

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest
from tests.unit.seaway_metadata.commands.test_networks import refused
from tests.unit.seaway_metadata.commands.test_volumes import down
from tests.unit.seaway_metadata.commands.test_volumes import node as node
from tests.unit.seaway_metadata.commands.test_volumes import other as other
from tests.unit.seaway_metadata.commands.test_volumes import second as second
from tests.unit.seaway_metadata.commands.volume_node import (
    VolumeNode,
    a_copy,
    anonymous,
    create,
    inspect,
    listed,
    nameless,
    remove,
    stored,
    tell_volume,
    told,
    volume_id,
    wanted,
)
from tests.unit.seaway_metadata.rig import known

from seaway_bus.bus import Bus
from seaway_contracts.catalogue import REMOVE_NODE, VOLUMES_BUCKET
from seaway_contracts.errors import SeawayError, conflict, unavailable
from seaway_contracts.nodes import RemoveNode
from seaway_contracts.records import GONE
from seaway_contracts.volumes import VolumeEvent, VolumeRecord
from seaway_metadata.kinds import asked_nodes
from seaway_metadata.service import Metadata
from seaway_metadata.store.inventories import Inventory
from seaway_testing.fake_transport import FakeServer
from seaway_testing.waiting import GUARD_S, until

A, B = "a" * 64, "b" * 64


async def hears(copy: Metadata, node: VolumeNode, *volumes: VolumeRecord) -> None:
    """Until the node, in another life of its agent, has told that it has these, too."""
    node.volumes |= {volume.id: volume for volume in volumes}
    await node.anew(copy)


def names(copy: Metadata) -> list[str]:
    return sorted(one.name for one in copy.volumes.table.index)


@pytest.fixture
async def lone(fake_bus: Bus) -> VolumeNode:
    """A node, and no copy of metadata yet."""
    return await VolumeNode(fake_bus).serve()


# --- anonymous volumes


async def test_they_come_and_go_with_their_containers(
    node: VolumeNode, metadata: Metadata, fake_bus: Bus, fake_server: FakeServer
) -> None:
    await node.make(1, anonymous("a"), anonymous("b"))
    assert await listed(fake_bus, [1]) == [A, B]
    record = await inspect(fake_bus, A)
    assert (record.node, record.anonymous, record.labels) == ("n1", True, {})
    await until(lambda: stored(fake_server) == (2, 0), what="the records to be written behind")
    await node.destroy(1, volumes=True)
    assert await listed(fake_bus, basis={}) == []
    await until(lambda: stored(fake_server) == (0, 0), what="the records to be removed behind")
    assert told(fake_server) == [], "its node tells of them"


async def test_they_stay_with_their_containers_gone(node: VolumeNode, fake_bus: Bus) -> None:
    await node.make(1, anonymous("a"))
    await node.destroy(1)
    assert await listed(fake_bus) == [A]


@pytest.mark.parametrize("order", ["create destroy", "destroy create"])
async def test_every_event_twice_and_in_any_order(
    node: VolumeNode, metadata: Metadata, other: Metadata, order: str
) -> None:
    for action in order.split() * 2:
        await node.tell_volume(action, nameless("a"), twice=True)
    await node.tell_volume("create", nameless("b"))
    for copy in (metadata, other):
        await known(copy)
        assert names(copy) == [B]


async def test_a_reader_who_knows_the_container_knows_its_volumes(node: VolumeNode, fake_bus: Bus) -> None:
    """Though the event of their creation is late."""
    node.tells = False
    registered = await node.register(1, anonymous("a"))
    await node.create(registered, 1)
    await node.beat()
    assert await listed(fake_bus, [1]) == [A]
    assert (await inspect(fake_bus, A)).node == "n1"


async def test_a_container_that_is_gone_has_none(node: VolumeNode, fake_bus: Bus) -> None:
    await node.make(1, anonymous("a"))
    await node.destroy(1, volumes=True)
    assert await listed(fake_bus, basis={A: GONE}) == []


@pytest.mark.parametrize(
    "body",
    [
        VolumeEvent(name="data", id=volume_id("data"), anonymous=True),
        VolumeEvent(name="data", id="x y", anonymous=False),
        VolumeEvent(name="../" + "a" * 61, anonymous=True),
        VolumeEvent(name=A.upper(), anonymous=True),
        VolumeEvent(name="", anonymous=True),
    ],
)
@pytest.mark.parametrize("action", ["create", "destroy"])
async def test_what_no_anonymous_volume_can_be(
    node: VolumeNode, metadata: Metadata, fake_bus: Bus, body: VolumeEvent, action: str
) -> None:
    made = await create(fake_bus, "data")
    await node.make(1, anonymous("a"))
    await tell_volume(fake_bus, "n1", action, body)
    await known(metadata)
    assert names(metadata) == [A, "data"] and await inspect(fake_bus, "data") == made


async def test_a_node_speaks_of_its_own_alone(
    node: VolumeNode, second: VolumeNode, metadata: Metadata, fake_bus: Bus
) -> None:
    made = await create(fake_bus, "c" * 64, node="n1")
    await node.make(1, anonymous("a"))
    for name in (A, "c" * 64, made.id):
        for action in ("create", "destroy"):
            await tell_volume(fake_bus, "n2", action, VolumeEvent(name=name, id=name, anonymous=True))
    await tell_volume(fake_bus, "n1", "destroy", VolumeEvent(name=A, id=A, anonymous=True), subject=volume_id("x"))
    await tell_volume(fake_bus, "n1", "destroy", VolumeEvent(name="c" * 64, id=made.id))
    await known(metadata)
    await hears(metadata, second, nameless("a", "n2"), made)
    assert {one.name: one.node for one in metadata.volumes.table.index} == {A: "n1", "c" * 64: "n1"}
    assert second.removed == []


async def test_a_node_ends_nothing_of_which_this_copy_has_not_heard(
    node: VolumeNode, second: VolumeNode, metadata: Metadata, fake_bus: Bus, fake_server: FakeServer
) -> None:
    """Neither what another node makes later, nor what another copy has written."""
    unknown = await create(fake_bus, "data", node="n1")
    await until(lambda: told(fake_server) == ["create"])
    await known(metadata)
    metadata.volumes.table.index.remove(unknown.id)
    for name in (A, unknown.id):
        await tell_volume(fake_bus, "n2", "destroy", VolumeEvent(name=name, id=name, anonymous=True))
    await second.tell_volume("create", nameless("a", "n2"))
    await known(metadata)
    assert A not in names(metadata)
    await node.make(1, anonymous("a"))
    await known(metadata)
    await metadata.volumes.table.behind.flush()
    assert A in names(metadata) and (await inspect(fake_bus, "data")).id == unknown.id
    assert stored(fake_server) == (2, 1)


async def test_a_node_has_so_many_at_most(node: VolumeNode, metadata: Metadata) -> None:
    volumes = metadata.volumes.anonymous
    volumes._most = 3
    assert [volumes.take(nameless(letter)) for letter in "abcde"] == [True, True, True, False, False]
    assert volumes.take(nameless("f", "n2")), "others have room"
    await node.tell_volume("destroy", nameless("a"))
    await known(metadata)
    assert [volumes.take(nameless(letter)) for letter in "de"] == [True, False]


async def test_other_copies_hear_of_what_a_container_was_made_with(
    node: VolumeNode, metadata: Metadata, other: Metadata, fake_bus: Bus
) -> None:
    await node.make(1, "data")
    await until(lambda: names(metadata) == names(other) == ["data"], what="both copies to know it")


# --- what an inventory says


async def test_what_was_made_while_nobody_heard(lone: VolumeNode, fake_server: FakeServer, tmp_path: Path) -> None:
    lone.volumes |= {A: nameless("a"), B: nameless("b")}
    async with a_copy(fake_server, tmp_path, lone) as copy:
        assert names(copy) == [A, B]


async def test_anonymous_ones_that_it_has_no_more(node: VolumeNode, metadata: Metadata, fake_bus: Bus) -> None:
    await create(fake_bus, "data")
    await hears(metadata, node, nameless("a"), nameless("b"))
    del node.volumes[A], node.volumes[volume_id("data")]
    await node.anew(metadata)
    assert names(metadata) == [B, "data"], "named ones are made again when they are used"
    await hears(metadata, node, nameless("a"))
    assert names(metadata) == [A, B, "data"], "it has its disk back"


async def test_one_that_is_made_while_the_node_is_asked_stays(
    node: VolumeNode, metadata: Metadata, fake_bus: Bus
) -> None:
    node.gate.clear()
    asked, node.epoch = node.asked, "e2"
    await node.beat()
    await until(lambda: node.asked > asked, what="the node to be asked")
    await node.tell_volume("create", nameless("a"))
    await known(metadata)
    node.gate.set()
    await node.heard(metadata)
    assert names(metadata) == [A]


async def test_an_agent_that_is_started_anew_while_it_is_asked(node: VolumeNode, metadata: Metadata) -> None:
    await hears(metadata, node, *(nameless(letter) for letter in "abcdef"))
    epochs, inventories = iter(["e5", "e6"]), metadata.volumes.inventories
    page = inventories._page

    async def restarted(where: str, after: str) -> Inventory[VolumeRecord]:
        held = await page(where, after)
        return replace(held, epoch=next(epochs))

    inventories._page = restarted  # type: ignore[method-assign]
    with pytest.raises(SeawayError, match="started anew"):
        await inventories._compare_all("n1")
    assert len(names(metadata)) == 6


async def test_a_removal_that_the_node_missed(
    node: VolumeNode, metadata: Metadata, other: Metadata, fake_bus: Bus
) -> None:
    made = await create(fake_bus, "data")
    await remove(fake_bus, "data")
    node.volumes[made.id] = made
    node.removed.clear()
    await node.anew(metadata)
    assert set(node.removed) == {made.id} and await listed(fake_bus) == []
    node.volumes[made.id] = made
    node.refusal = conflict("a container has it")
    await metadata.volumes.inventories._compare_one(made, "n1")
    assert made.id in node.volumes


async def test_what_no_volume_can_be_stops_nothing(node: VolumeNode, metadata: Metadata, fake_bus: Bus) -> None:
    metadata.volumes.inventories.doubt()
    wrong = (
        wanted("x"),
        wanted("a/b"),
        wanted("y" * 300),
        wanted("driver", driver="nope"),
        wanted("key", id="x y/../z"),
        wanted("old", id="old"),
        wanted("version", version=1 << 63),
        wanted("time", created_ns=-1),
        wanted("large", labels={"a": "x" * 100_000}),
        wanted("anonymous", anonymous=True),
    )
    await hears(metadata, node, *wrong, wanted("good"))
    assert await listed(fake_bus) == ["good"]


# --- lost records


async def test_nothing_is_lost_with_the_buckets(
    lone: VolumeNode, fake_bus: Bus, fake_server: FakeServer, tmp_path: Path
) -> None:
    """A copy that begins anew asks the nodes; names and volumes of removed ones are free."""
    async with a_copy(fake_server, tmp_path / "1", lone):
        await create(fake_bus, "data", labels={"a": "1"})
        await lone.make(1, "more", anonymous("a"))
        before = await inspect(fake_bus, "data")
    fake_server.wipe()
    async with a_copy(fake_server, tmp_path / "2", lone) as copy:
        assert await listed(fake_bus) == [A, "data", "more"]
        assert (await inspect(fake_bus, "data")) == before and not (await inspect(fake_bus, "more")).made_for
        assert lone.removed == [] and stored(fake_server)[1] == 2
        (volume,) = (await lone.register(2, "data")).volumes
        assert volume.id == before.id
        assert "in use" in (await refused(remove(fake_bus, "data"))).message
        assert copy.volumes.inventories._untold() is False


async def test_buckets_that_are_lost_under_a_copy(
    node: VolumeNode, metadata: Metadata, fake_bus: Bus, fake_server: FakeServer
) -> None:
    """Whatever is asked in that moment, no node is told to remove a volume."""
    made = await create(fake_bus, "data")
    await node.make(1, anonymous("a"))
    await until(lambda: stored(fake_server) == (2, 1))
    fake_server.buckets[VOLUMES_BUCKET.name].entries.clear()
    table = metadata.volumes.table
    await table.change(made.id, lambda one: one)
    assert names(metadata) == [A] and not await table.is_gone(made.id)
    metadata.volumes.inventories.doubt()
    metadata.store.doubt()
    await node.anew(metadata)
    await until(lambda: stored(fake_server) == (2, 1), what="the records to be there again")
    assert names(metadata) == [A, "data"] and (await inspect(fake_bus, "data")).id == made.id
    assert node.removed == []


async def test_a_name_waits_until_the_nodes_have_told(
    lone: VolumeNode,
    fake_bus: Bus,
    fake_server: FakeServer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A container that is made just after a loss gets the volume that is there."""
    monkeypatch.setattr(asked_nodes, "_TOLD_S", GUARD_S)
    async with a_copy(fake_server, tmp_path / "1", lone):
        before = await create(fake_bus, "data")
    fake_server.wipe()
    async with a_copy(fake_server, tmp_path / "2") as copy:
        lone.gate.clear()
        await lone.beat()
        await until(lambda: copy._nodes.up("n1"))
        made = asyncio.ensure_future(create(fake_bus, "data", id="f" * 64))
        registered = asyncio.ensure_future(lone.register(1, "data"))
        await until(lambda: copy.volumes.inventories._asking)
        lone.gate.set()
        assert (await made).id == before.id and [one.id for one in (await registered).volumes] == [before.id]


async def test_a_node_that_never_tells_is_not_waited_for(
    lone: VolumeNode, fake_bus: Bus, fake_server: FakeServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(asked_nodes, "_TOLD_S", 0.01)
    fake_server.wipe()
    async with a_copy(fake_server, tmp_path / "2") as copy:
        lone.refusal = unavailable("busy")
        await lone.beat()
        await until(lambda: copy._nodes.up("n1"))
        lone.refusal = None
        lone.gate.clear()
        assert (await create(fake_bus, "data")).node == "n1"
        lone.gate.set()


async def test_a_node_makes_up_no_volumes(node: VolumeNode, metadata: Metadata, fake_bus: Bus) -> None:
    """It is heard once after records may have been lost."""
    metadata.volumes.inventories.doubt()
    await hears(metadata, node)
    await hears(metadata, node, wanted("late"))
    assert await listed(fake_bus) == []
    metadata.volumes.inventories.doubt()
    await node.anew(metadata)
    assert await listed(fake_bus) == ["late"]


async def test_a_node_gets_no_more_than_so_many_back(
    node: VolumeNode, metadata: Metadata, fake_bus: Bus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(type(metadata.volumes.inventories), "most_restored", 2)
    metadata.volumes.inventories.doubt()
    await hears(metadata, node, *(wanted(f"v{number}") for number in range(5)))
    assert len(await listed(fake_bus)) == 2


async def test_what_has_the_name_by_now_keeps_it(node: VolumeNode, metadata: Metadata, fake_bus: Bus) -> None:
    made = await create(fake_bus, "data")
    metadata.volumes.inventories.doubt()
    await hears(metadata, node, wanted("old").model_copy(update={"name": "data"}))
    assert (await inspect(fake_bus, "data")).id == made.id and node.volumes.keys() == {made.id, volume_id("old")}
    assert node.removed == [], "its data stay where they are"


async def test_one_that_has_no_node_is_where_it_is_found(
    node: VolumeNode, second: VolumeNode, metadata: Metadata, fake_bus: Bus
) -> None:
    made = await create(fake_bus, "data")
    await hears(metadata, second, made)
    assert (await inspect(fake_bus, "data")).node == "n2"


# --- a node that leaves


async def test_a_node_that_is_removed_and_comes_back(
    node: VolumeNode, metadata: Metadata, other: Metadata, fake_bus: Bus
) -> None:
    """Nobody else has its volumes. A named one keeps its place until somebody removes it."""
    await create(fake_bus, "data")
    await hears(metadata, node, nameless("a"))
    await until(lambda: A in names(other))
    await down(metadata, node)
    await fake_bus.call(REMOVE_NODE, RemoveNode(node="n1", force=True))
    await until(lambda: names(metadata) == names(other) == ["data"], what="both copies to know")
    node.refusal = None
    await node.anew(metadata)
    assert names(metadata) == [A, "data"]
