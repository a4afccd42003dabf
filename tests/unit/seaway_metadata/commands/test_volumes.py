"""Volumes on the in-memory bus: created, found, listed and removed by commands."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.unit.seaway_metadata.commands.test_networks import refused
from tests.unit.seaway_metadata.commands.volume_node import (
    VolumeNode,
    a_copy,
    create,
    inspect,
    listed,
    remove,
    stored,
    told,
    volume_id,
    wanted,
)

from seaway_bus.bus import Bus, Command
from seaway_contracts.catalogue import CREATE_VOLUME, VOLUMES_BUCKET
from seaway_contracts.errors import Code, bad_request, unavailable
from seaway_contracts.records import GONE
from seaway_contracts.volumes import CreateVolume, ListVolumes, VolumeList, VolumeRecord
from seaway_metadata.service import Metadata
from seaway_testing.fake_transport import FakeServer
from seaway_testing.waiting import until


@pytest.fixture
async def node(metadata: Metadata, fake_bus: Bus) -> VolumeNode:
    found = await VolumeNode(fake_bus).serve()
    await until(lambda: metadata._nodes.known("n1"), what="the node to be known")
    await until(lambda: "n1" in metadata.volumes.inventories._epochs, what="its volumes to be heard")
    return found


@pytest.fixture
async def second(metadata: Metadata, node: VolumeNode, fake_bus: Bus) -> VolumeNode:
    found = await VolumeNode(fake_bus, "n2").serve()
    await until(lambda: metadata._nodes.known("n2"), what="the second node to be known")
    await until(lambda: "n2" in metadata.volumes.inventories._epochs, what="its volumes to be heard")
    return found


@pytest.fixture
async def other(fake_server: FakeServer, tmp_path: Path, node: VolumeNode) -> AsyncIterator[Metadata]:
    """A second copy."""
    async with a_copy(fake_server, tmp_path / "other", node) as copy:
        yield copy


async def down(metadata: Metadata, node: VolumeNode) -> None:
    """A node that stops: it answers nothing, and metadata knows it."""
    table = metadata._nodes._table
    table.records.put(table.records[node.name].model_copy(update={"state": "down"}))
    table.up.discard(node.name)
    node.refusal = unavailable("the node is down")


async def up(metadata: Metadata, node: VolumeNode) -> None:
    node.refusal = None
    await node.beat()
    await until(lambda: metadata._nodes.up(node.name), what="the node to be up")


async def test_created_found_listed_and_removed(node: VolumeNode, fake_bus: Bus, fake_server: FakeServer) -> None:
    made = await create(fake_bus, "data", labels={"a": "1"}, options={"type": "tmpfs", "device": "tmpfs"})
    assert (made.node, made.labels, made.id) == ("n1", {"a": "1"}, volume_id("data"))
    assert node.volumes == {made.id: made}
    assert await inspect(fake_bus, "data") == made and await listed(fake_bus) == ["data"]
    for ref in (made.id, made.id[:12], "dat", "", "x" * 999):
        error = await refused(inspect(fake_bus, ref))
        message = f"get {ref}: no such volume" if ref else "get: no such volume"
        assert (error.code, error.message) == (Code.NOT_FOUND, message), "only names find volumes"
    assert await remove(fake_bus, "data") == made
    assert node.removed == [made.id] and node.volumes == {}
    assert await listed(fake_bus) == [] and stored(fake_server) == (0, 0)
    error = await refused(remove(fake_bus, "data"))
    assert (error.code, error.message) == (Code.NOT_FOUND, "get data: no such volume")
    await until(lambda: told(fake_server) == ["create", "destroy"], what="both events")
    assert (await create(fake_bus, "data", id="f" * 64)).id == "f" * 64, "the name is free again"


async def test_the_name_of_one_that_is_there_gives_that_one(
    node: VolumeNode, fake_bus: Bus, fake_server: FakeServer
) -> None:
    made = await create(fake_bus, "data", labels={"a": "1"})
    node.refusal = bad_request("it is not asked")
    again = await create(fake_bus, "data", id="f" * 64, labels={"b": "2"}, options={"type": "nonsense"})
    assert again == made and stored(fake_server) == (1, 1)
    await until(lambda: told(fake_server) == ["create"], what="one event")


async def test_the_same_command_twice_is_one_volume(node: VolumeNode, fake_bus: Bus, fake_server: FakeServer) -> None:
    command = Command.new("me")
    asked = CreateVolume(volume=wanted("data"))
    replies = [await fake_bus.call(CREATE_VOLUME, asked, command=command) for _ in range(2)]
    assert replies[0] == replies[1] and await listed(fake_bus) == ["data"]
    await until(lambda: told(fake_server) == ["create"], what="one event")


async def test_a_name_is_one_volume_s_whoever_asks(
    node: VolumeNode, other: Metadata, fake_bus: Bus, fake_server: FakeServer
) -> None:
    tries = [create(fake_bus, "data", id=volume_id(str(number))) for number in range(8)]
    made = await asyncio.gather(*tries)
    assert len({one.id for one in made}) == 1 and {one.name for one in made} == {"data"}
    assert stored(fake_server) == (1, 1) and node.volumes.keys() == {made[0].id}


async def test_with_several_nodes_it_waits_for_the_first_container(
    node: VolumeNode, second: VolumeNode, fake_bus: Bus
) -> None:
    assert (await create(fake_bus, "data")).node == ""
    assert node.volumes == second.volumes == {}
    assert (await create(fake_bus, "there", node="n2")).node == "n2"
    assert [one.node for one in second.volumes.values()] == ["n2"]
    bound = await create(fake_bus, "data", id="f" * 64, node="n2")
    assert (bound.id, bound.node) == (volume_id("data"), "n2"), "one without node is bound to the one that is asked for"
    assert second.volumes[bound.id] == bound
    error = await refused(create(fake_bus, "data", id="e" * 64, node="n1"))
    text = "create data: the volume is on node n2 already, and can't be on node n1 too"
    assert (error.code, error.message) == (Code.CONFLICT, text)
    for name in ("data", "there"):
        await remove(fake_bus, name)
    assert second.volumes == {}


async def test_one_without_node_is_removed_with_its_record_alone(
    node: VolumeNode, second: VolumeNode, fake_bus: Bus, fake_server: FakeServer
) -> None:
    await create(fake_bus, "data")
    await remove(fake_bus, "data")
    assert stored(fake_server) == (0, 0) and node.removed == second.removed == []


async def test_without_any_node_a_volume_waits_for_one(metadata: Metadata, fake_bus: Bus) -> None:
    assert (await create(fake_bus, "data")).node == ""


@pytest.mark.parametrize(
    ("volume", "code", "text"),
    [
        (wanted("x"), Code.BAD_REQUEST, "create x: volume name is too short"),
        (wanted("a/../b"), Code.BAD_REQUEST, 'create a/../b: "a/../b" includes invalid characters for a local volume'),
        (wanted("x" * 256), Code.BAD_REQUEST, "volume name is too long"),
        (wanted("data", driver="foo"), Code.NOT_FOUND, 'create data: error looking up volume plugin foo: plugin "foo"'),
        (wanted("data", id="x"), Code.BAD_REQUEST, "'x' is no volume id"),
        (wanted("data", created_ns=-5), Code.BAD_REQUEST, "-5 is no time of creation"),
        (wanted("data", labels={"a": "x" * 60_000}), Code.TOO_LARGE, "volume data is described by"),
        (wanted("data", node="n9"), Code.NOT_FOUND, "create data: no such node: n9"),
    ],
)
async def test_what_is_refused_leaves_nothing(
    node: VolumeNode, fake_bus: Bus, fake_server: FakeServer, volume: VolumeRecord, code: Code, text: str
) -> None:
    error = await refused(fake_bus.call(CREATE_VOLUME, CreateVolume(volume=volume)))
    assert error.code is code and text in error.message
    assert stored(fake_server) == (0, 0) and node.volumes == {}


async def test_what_a_user_can_not_say_is_not_taken(node: VolumeNode, fake_bus: Bus) -> None:
    made = await create(fake_bus, "data", anonymous=True, made_for="c" * 64, removed=True, version=7)
    assert made == wanted("data", node="n1", version=2)


async def test_what_the_node_refuses_is_undone(node: VolumeNode, fake_bus: Bus, fake_server: FakeServer) -> None:
    node.make_refusal = bad_request("create data: the node does not like it")
    assert (await refused(create(fake_bus, "data"))).message == "create data: the node does not like it"
    assert stored(fake_server) == (0, 0) and node.removed == [volume_id("data")]
    assert await listed(fake_bus) == [] and told(fake_server) == []
    node.make_refusal = None
    assert (await create(fake_bus, "data", id="f" * 64)).id == "f" * 64, "the name is free at once"


async def test_what_a_node_did_not_answer_to_is_undone_when_it_does(
    node: VolumeNode, metadata: Metadata, fake_bus: Bus, fake_server: FakeServer
) -> None:
    node.refusal = unavailable("busy")
    assert (await refused(create(fake_bus, "data"))).message == "busy"
    assert await listed(fake_bus) == [] and stored(fake_server) == (1, 1), "its node may have made it"
    await metadata.volumes.sweeper.sweep()
    assert stored(fake_server) == (1, 1)
    node.refusal = None
    await metadata.volumes.sweeper.sweep()
    assert stored(fake_server) == (0, 0) and node.removed == [volume_id("data")]
    assert told(fake_server) == [], "nobody heard of it"


@pytest.mark.parametrize("user", ["a container", "another create"])
async def test_what_somebody_uses_is_not_undone(
    node: VolumeNode, metadata: Metadata, fake_bus: Bus, fake_server: FakeServer, user: str
) -> None:
    """A container that was registered while the node was asked keeps its volume."""
    node.make_gate.clear()
    creating = asyncio.ensure_future(create(fake_bus, "data"))
    await until(lambda: node.making, what="the node to be asked")
    if user == "a container":
        await node.make(1, "data")
    else:
        await create(fake_bus, "data", id="f" * 64)
    node.refusal = unavailable("no answer")
    node.make_gate.set()
    assert (await refused(creating)).message == "no answer"
    node.refusal = None
    await metadata.volumes.sweeper.sweep()
    assert await listed(fake_bus) == ["data"] and stored(fake_server) == (1, 1)
    assert [one.id for one in (await node.register(2, "data")).volumes] == [volume_id("data")] and not node.removed


async def test_a_volume_that_is_removed_while_it_is_made(
    node: VolumeNode, fake_bus: Bus, fake_server: FakeServer
) -> None:
    node.make_gate.clear()
    creating = asyncio.ensure_future(create(fake_bus, "data"))
    await until(lambda: node.making, what="the node to be asked")
    await remove(fake_bus, "data")
    node.make_gate.set()
    assert (await refused(creating)).message == "create data: the volume was removed just now; try again"
    assert await listed(fake_bus) == [] and stored(fake_server) == (0, 0)


async def test_on_a_node_that_is_down_nothing_is_created(
    node: VolumeNode, metadata: Metadata, fake_bus: Bus, fake_server: FakeServer
) -> None:
    made = await create(fake_bus, "there")
    await down(metadata, node)
    error = await refused(create(fake_bus, "data"))
    assert (error.code, error.message) == (
        Code.UNAVAILABLE,
        "create data: node n1 is down; start it, or choose another one",
    )
    assert await create(fake_bus, "there", id="f" * 64) == made and stored(fake_server) == (1, 1)


# --- what a copy has not heard yet


async def test_whoever_knows_more_is_answered_by_it(node: VolumeNode, metadata: Metadata, other: Metadata) -> None:
    """Each copy is asked by itself."""
    me = Command.new("test")

    async def shown(copy: Metadata, basis: dict[str, int]) -> list[str]:
        page = await copy.volumes.commands.list_volumes(ListVolumes(basis=basis), me)
        return [one.name for one in VolumeList.model_validate_json(page.data).volumes]

    made = (await metadata.volumes.commands.create(CreateVolume(volume=wanted("data")), me)).volume
    assert await shown(other, {made.id: 1}) == ["data"]
    await until(lambda: len(other.volumes.table.index) == 1)
    other.volumes.table.index.remove(made.id)
    assert (await other.volumes.book.get("data")).id == made.id, "found by its name in the bucket"
    marked = await metadata.volumes.table.change(made.id, lambda one: one.model_copy(update={"removed": True}))
    assert marked is not None and await shown(other, {made.id: GONE}) == []


async def test_other_copies_hear_of_it(node: VolumeNode, metadata: Metadata, other: Metadata, fake_bus: Bus) -> None:
    await create(fake_bus, "data")
    copies = (metadata, other)
    await until(lambda: [len(one.volumes.table.index) for one in copies] == [1, 1], what="both copies to know it")
    await remove(fake_bus, "data")
    await until(lambda: [len(one.volumes.table.index) for one in copies] == [0, 0], what="both copies to know its end")
    ends = [one.volumes.table._source.destroyed for one in copies]
    await until(lambda: all(ended(volume_id("data")) for ended in ends), what="both to know that it is gone for good")


async def test_more_than_a_message_holds_are_all_listed(node: VolumeNode, fake_bus: Bus) -> None:
    names = [f"v{number:02}" for number in range(30)]
    for name in names:
        await create(fake_bus, name, labels={"a": "x" * 50_000})
    assert await listed(fake_bus) == names


async def test_a_record_that_cannot_be_read_is_left_alone(
    node: VolumeNode, metadata: Metadata, fake_bus: Bus, fake_server: FakeServer, tmp_path: Path
) -> None:
    await create(fake_bus, "data")
    await (await fake_bus.transport.bucket(VOLUMES_BUCKET)).create("a" * 64, b"unreadable")
    async with a_copy(fake_server, tmp_path / "late") as late:
        assert [one.name for one in late.volumes.table.index] == ["data"]
