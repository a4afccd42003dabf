"""Volumes are removed wholly or not at all, whatever is in use, down, or killed meanwhile."""

import asyncio
import time
from typing import Any

import pytest
from tests.unit.seaway_metadata.commands.test_mounts import Killed
from tests.unit.seaway_metadata.commands.test_networks import refused
from tests.unit.seaway_metadata.commands.test_volumes import down, up
from tests.unit.seaway_metadata.commands.test_volumes import node as node
from tests.unit.seaway_metadata.commands.test_volumes import other as other
from tests.unit.seaway_metadata.commands.volume_node import (
    VolumeNode,
    anonymous,
    create,
    inspect,
    listed,
    named,
    remove,
    stored,
    wanted,
)
from tests.unit.seaway_metadata.commands.volume_node import told as events

from seaway_bus.bus import Bus, Command
from seaway_contracts.catalogue import REMOVE_HELD_VOLUME
from seaway_contracts.docker_errors import volume_in_use
from seaway_contracts.errors import Code, SeawayError, bad_request, not_found, unavailable
from seaway_contracts.records import GONE, ForgetContainer, RegisterContainer
from seaway_contracts.volumes import CreateVolume, RemoveVolume
from seaway_kit.failpoints import Failpoint
from seaway_metadata.commands import volume_book, volume_removal, volume_sweep, volumes
from seaway_metadata.commands.volume_removal import _removed, _restored
from seaway_metadata.kinds.volumes import VOLUME_NAMES
from seaway_metadata.service import Metadata
from seaway_testing.builders import container_id, spec
from seaway_testing.fake_transport import FakeServer
from seaway_testing.waiting import until

ME = Command.new("test")


async def test_one_that_containers_mount_is_refused(node: VolumeNode, fake_bus: Bus) -> None:
    await node.make(1, "data")
    await node.register(2, "data")
    await node.make(3, anonymous("a"))
    for name, users in (("data", [1, 2]), ("a" * 64, [3])):
        error = await refused(remove(fake_bus, name, containers={container_id(3): 1}))
        ids = ", ".join(container_id(seed) for seed in users)
        assert (error.code, error.message) == (Code.CONFLICT, f"remove {name}: volume is in use - [{ids}]")
    assert node.removed == [] and await listed(fake_bus) == ["a" * 64, "data"]


async def test_only_the_volume_that_is_meant(node: VolumeNode, fake_bus: Bus, fake_server: FakeServer) -> None:
    made = await create(fake_bus, "data")
    error = await refused(remove(fake_bus, "data", id="f" * 64))
    assert (error.code, error.message) == (Code.NOT_FOUND, "get data: no such volume")
    assert await inspect(fake_bus, "data") == made and node.removed == []
    await remove(fake_bus, "data", id=made.id)
    assert stored(fake_server) == (0, 0)


async def test_the_node_has_the_last_word(node: VolumeNode, fake_bus: Bus, fake_server: FakeServer) -> None:
    """A container may have it of which nobody has heard yet."""
    made = await create(fake_bus, "data")
    node.has(7, made)
    error = await refused(remove(fake_bus, "data"))
    assert error.message == f"remove data: volume is in use - [{container_id(7)}]"
    kept = await inspect(fake_bus, "data")
    assert (kept.id, kept.removed) == (made.id, False) and stored(fake_server) == (1, 1)
    assert events(fake_server) == ["create"]


async def test_a_registration_that_another_copy_has_taken_back_is_no_user(
    node: VolumeNode, metadata: Metadata, other: Metadata, fake_bus: Bus
) -> None:
    await create(fake_bus, "data")
    asked = RegisterContainer(spec=spec(1, mounts=(named("data"),)), node="n1")
    await metadata.commands.register(asked, ME)
    assert (await refused(metadata.volumes.removal.remove(RemoveVolume(name="data"), ME))).code is Code.CONFLICT
    await other.commands.forget(ForgetContainer(id=container_id(1)), ME)
    await metadata.volumes.removal.remove(RemoveVolume(name="data"), ME)
    assert await listed(fake_bus) == []


async def test_it_waits_for_what_its_asker_knows(node: VolumeNode, fake_bus: Bus) -> None:
    await node.make(1, "data", anonymous("a"))
    assert "in use" in (await refused(remove(fake_bus, "data", containers={container_id(1): 1}))).message
    await node.destroy(1)
    await remove(fake_bus, "data", containers={container_id(1): GONE})
    await remove(fake_bus, "a" * 64)
    assert await listed(fake_bus) == [] and "a" * 64 in node.removed


async def test_an_anonymous_volume_is_removed_before_it_is_even_written(
    node: VolumeNode, fake_bus: Bus, fake_server: FakeServer
) -> None:
    await node.make(1, anonymous("a"))
    await node.destroy(1)
    await remove(fake_bus, "a" * 64, containers={container_id(1): GONE})
    assert await listed(fake_bus) == [] and stored(fake_server) == (0, 0) and node.volumes == {}
    await until(lambda: events(fake_server) == ["destroy"], what="the event")


@pytest.mark.parametrize("removed", ["a named one", "an anonymous one"])
async def test_of_two_removals_at_once_one_finds_no_volume(
    node: VolumeNode, other: Metadata, fake_bus: Bus, fake_server: FakeServer, removed: str
) -> None:
    name = "data" if removed == "a named one" else "a" * 64
    if name == "data":
        await create(fake_bus, name)
    else:
        await node.make(1, anonymous("a"))
        await node.destroy(1)
    outcomes = await asyncio.gather(
        *(remove(fake_bus, name, containers={container_id(1): GONE}) for _ in range(4)), return_exceptions=True
    )
    errors = [one for one in outcomes if isinstance(one, SeawayError)]
    assert [one.code for one in errors] == [Code.NOT_FOUND] * 3, errors
    await until(lambda: stored(fake_server) == (0, 0), what="nothing to be left")
    assert await listed(fake_bus) == []
    await until(lambda: events(fake_server)[-1:] == ["destroy"], what="the event")
    assert events(fake_server).count("destroy") == 1


# --- a node that is down


async def test_on_a_node_that_is_down_it_is_refused_without_force(
    node: VolumeNode, metadata: Metadata, fake_bus: Bus, fake_server: FakeServer
) -> None:
    made = await create(fake_bus, "data")
    await down(metadata, node)
    error = await refused(remove(fake_bus, "data"))
    assert error.code is Code.UNAVAILABLE and "remove data: node n1, which has the volume, is down" in error.message
    assert await inspect(fake_bus, "data") == made
    await remove(fake_bus, "data", force=True)
    assert await listed(fake_bus) == [] and stored(fake_server) == (1, 0), "name free, the record waits for the node"
    await until(lambda: events(fake_server) == ["create", "destroy"], what="its end")
    await metadata.volumes.sweeper.sweep()
    assert stored(fake_server) == (1, 0) and made.id in node.volumes
    await up(metadata, node)
    await until(lambda: stored(fake_server) == (0, 0), what="the sweep")
    assert node.removed == [made.id] and events(fake_server) == ["create", "destroy"]


async def test_one_that_waits_for_a_node_that_is_down_by_now_is_removed_with_force(
    node: VolumeNode, metadata: Metadata, fake_bus: Bus, fake_server: FakeServer
) -> None:
    """Its name is not freed before: a container of the node may have the volume."""
    made = await create(fake_bus, "data")
    node.refusal = unavailable("no answer")
    await refused(remove(fake_bus, "data"))
    await down(metadata, node)
    await metadata.volumes.sweeper.sweep()
    assert stored(fake_server) == (1, 1)
    assert (await refused(remove(fake_bus, "data"))).code is Code.NOT_FOUND
    assert (await refused(remove(fake_bus, "more", force=True))).code is Code.NOT_FOUND
    assert (await remove(fake_bus, "data", force=True)).id == made.id
    assert stored(fake_server) == (1, 0)
    await up(metadata, node)
    await until(lambda: stored(fake_server) == (0, 0), what="the sweep")
    assert node.removed == [made.id] and events(fake_server) == ["create", "destroy"]


async def test_a_node_that_does_not_answer(
    node: VolumeNode, metadata: Metadata, fake_bus: Bus, fake_server: FakeServer
) -> None:
    """With force it is as if it were down; without, the removal goes on as soon as the node answers."""
    await create(fake_bus, "data")
    await create(fake_bus, "more")
    node.refusal = unavailable("busy")
    await remove(fake_bus, "more", force=True)
    assert (await refused(remove(fake_bus, "data"))).message == "busy"
    assert await listed(fake_bus) == [] and len(node.volumes) == 2 and stored(fake_server) == (2, 1)
    node.refusal = None
    await until(lambda: stored(fake_server) == (0, 0), what="the sweep")
    assert node.volumes == {}
    await until(lambda: events(fake_server).count("destroy") == 2, what="both ends")


async def test_a_node_that_was_removed_from_the_cluster_is_not_waited_for(
    node: VolumeNode, metadata: Metadata, fake_bus: Bus, fake_server: FakeServer
) -> None:
    await create(fake_bus, "data")
    metadata._nodes.remove("n1")
    await remove(fake_bus, "data")
    assert stored(fake_server) == (0, 0) and node.removed == []


@pytest.mark.parametrize("code", [Code.BAD_REQUEST, Code.NOT_FOUND])
async def test_what_a_node_says(node: VolumeNode, fake_bus: Bus, fake_server: FakeServer, code: Code) -> None:
    """What it can't do is undone; what it doesn't have is removed."""
    await create(fake_bus, "data")
    node.refusal = not_found("never heard of it") if code is Code.NOT_FOUND else bad_request("no")
    if code is Code.NOT_FOUND:
        await remove(fake_bus, "data")
        assert stored(fake_server) == (0, 0)
    else:
        assert (await refused(remove(fake_bus, "data"))).message == "no"
        assert await listed(fake_bus) == ["data"]


# --- copies that are killed


@pytest.mark.parametrize("point", [Failpoint.VOLUME_RECORDED, Failpoint.VOLUME_NODE_MADE])
async def test_a_create_that_was_cut_short_is_finished_by_its_repeat(
    node: VolumeNode,
    metadata: Metadata,
    other: Metadata,
    fake_server: FakeServer,
    monkeypatch: pytest.MonkeyPatch,
    point: Failpoint,
) -> None:
    asked = CreateVolume(volume=wanted("data"))
    with monkeypatch.context() as patched:
        patched.setattr(volumes, "reach", killed_at(point))
        with pytest.raises(Killed):
            await metadata.volumes.commands.create(asked, ME)
    assert stored(fake_server) == (1, 1) and events(fake_server) == []
    made = (await other.volumes.commands.create(asked, ME)).volume
    assert node.volumes == {made.id: made} and stored(fake_server) == (1, 1)
    await until(lambda: events(fake_server) == ["create"], what="the event")


@pytest.mark.parametrize(("point", "left"), [(Failpoint.VOLUME_RECORDED, 0), (Failpoint.VOLUME_NODE_MADE, 1)])
async def test_a_create_that_was_cut_short_and_is_not_repeated(
    node: VolumeNode,
    metadata: Metadata,
    fake_server: FakeServer,
    monkeypatch: pytest.MonkeyPatch,
    point: Failpoint,
    left: int,
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(volumes, "reach", killed_at(point))
        with pytest.raises(Killed):
            await metadata.volumes.commands.create(CreateVolume(volume=wanted("data")), ME)
    metadata.volumes.sweeper.now_ns = lambda: time.time_ns() + volume_sweep.MADE_NS
    await metadata.volumes.sweeper.sweep()
    assert stored(fake_server) == (left, left) and len(node.volumes) == left


@pytest.mark.parametrize("point", [Failpoint.VOLUME_MARKED, Failpoint.VOLUME_NODE_REMOVED])
async def test_a_removal_that_was_cut_short_is_finished_by_any_copy(
    node: VolumeNode,
    metadata: Metadata,
    other: Metadata,
    fake_bus: Bus,
    fake_server: FakeServer,
    monkeypatch: pytest.MonkeyPatch,
    point: Failpoint,
) -> None:
    made = await create(fake_bus, "data")
    await until(lambda: len(other.volumes.table.index) == 1)
    with monkeypatch.context() as patched:
        patched.setattr(volume_removal, "reach", killed_at(point))
        with pytest.raises(Killed):
            await metadata.volumes.removal.remove(RemoveVolume(name="data"), ME)
    assert (await refused(other.volumes.removal.remove(RemoveVolume(name="data"), ME))).code is Code.NOT_FOUND
    await other.volumes.sweeper.sweep()
    assert stored(fake_server) == (0, 0) and node.volumes == {} and made.id in node.removed
    await until(lambda: events(fake_server) == ["create", "destroy"], what="its end")


async def test_a_removal_that_was_cut_short_is_undone_where_a_container_has_the_volume(
    node: VolumeNode, metadata: Metadata, fake_bus: Bus
) -> None:
    made = await create(fake_bus, "data")
    await metadata.volumes.table.change(made.id, _removed)
    node.has(7, made)
    await metadata.volumes.sweeper.sweep()
    assert await listed(fake_bus) == ["data"]


@pytest.mark.parametrize(
    ("meanwhile", "told", "ends"),
    [
        ("restored", False, False),
        ("restored", True, True),
        ("restored and marked again", True, False),
        ("finished", True, True),
    ],
)
async def test_a_removal_that_another_copy_has_undone(
    node: VolumeNode,
    metadata: Metadata,
    other: Metadata,
    fake_bus: Bus,
    fake_server: FakeServer,
    meanwhile: str,
    told: bool,
    ends: bool,
) -> None:
    """It ends where the node has removed the volume: the node has the last word."""
    made = await create(fake_bus, "data")
    marked = await metadata.volumes.table.change(made.id, _removed)
    assert marked is not None
    if meanwhile == "finished":
        await other.volumes.removal.finish(marked, ME, told=True)
    else:
        await other.volumes.table.change(made.id, _restored)
    if meanwhile == "restored and marked again":
        await other.volumes.table.change(made.id, _removed)
    await metadata.volumes.removal.finish(marked, ME, told=told)
    assert stored(fake_server) == ((0, 0) if ends else (1, 1))
    if ends:
        await until(lambda: events(fake_server) == ["create", "destroy"], what="its end, once")
    assert events(fake_server) == (["create", "destroy"] if ends else ["create"])


async def test_the_sweep_leaves_a_removal_of_its_own_copy_alone(
    node: VolumeNode, metadata: Metadata, fake_bus: Bus, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else the removal could be undone, as the node has refused it, while the sweep has the volume removed."""
    made = await create(fake_bus, "data")
    asked, answer = asyncio.Event(), asyncio.Event()
    call, removal = fake_bus.call, metadata.volumes.removal

    async def refuse(channel: Any, request: Any, **options: Any) -> Any:
        if channel is not REMOVE_HELD_VOLUME:
            return await call(channel, request, **options)
        asked.set()
        await answer.wait()
        raise volume_in_use("data", ["c1"])

    with monkeypatch.context() as patched:
        patched.setattr(removal._bus, "call", refuse)
        removing = asyncio.ensure_future(removal.remove(RemoveVolume(name="data"), ME))
        await asked.wait()
        patched.undo()
    await metadata.volumes.sweeper.sweep()
    assert node.removed == []
    answer.set()
    assert (await refused(removing)).code is Code.CONFLICT
    assert (await inspect(fake_bus, "data")).id == made.id and node.volumes.keys() == {made.id}
    assert not removal._under_way


async def test_a_name_whose_volume_never_came_to_be(
    node: VolumeNode, metadata: Metadata, fake_bus: Bus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(volume_book, "_PAUSE_S", 0.0)
    claims = metadata.volumes.table.records.claims
    await claims.reserve(VOLUME_NAMES.claim("data"), "f" * 64)
    error = await refused(create(fake_bus, "data"))
    assert error.code is Code.UNAVAILABLE and "volume data is being made, or removed, by somebody else" in error.message
    before = claims._now_ns
    claims._now_ns = lambda: before() + 31_000_000_000
    assert (await create(fake_bus, "data")).name == "data"


def killed_at(point: Failpoint) -> Any:
    def reach(reached: Failpoint) -> None:
        if reached is point:
            raise Killed

    return reach
