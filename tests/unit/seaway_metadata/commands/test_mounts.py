"""Volumes that new containers mount by name: claimed for their node, and removed if the container is not made."""

import asyncio
import time
from pathlib import Path

import pytest
from tests.unit.seaway_metadata.commands.test_networks import refused
from tests.unit.seaway_metadata.commands.test_volumes import down, up
from tests.unit.seaway_metadata.commands.test_volumes import node as node
from tests.unit.seaway_metadata.commands.test_volumes import other as other
from tests.unit.seaway_metadata.commands.test_volumes import second as second
from tests.unit.seaway_metadata.commands.volume_node import (
    VolumeNode,
    a_copy,
    anonymous,
    create,
    forget,
    inspect,
    listed,
    named,
    nameless,
    remove,
    stored,
    told,
)

from seaway_bus.bus import Bus, Command
from seaway_contracts.catalogue import CREATE_NETWORK, REGISTER
from seaway_contracts.containers import EndpointSpec
from seaway_contracts.errors import Code, Reason, SeawayError, bad_request, unavailable
from seaway_contracts.networks import CreateNetwork, NetworkRecord
from seaway_contracts.records import ForgetContainer, RegisterContainer
from seaway_contracts.volumes import ListVolumes, VolumeList, VolumeRecord, VolumeRef
from seaway_metadata.commands import mounts, volume_sweep
from seaway_metadata.service import Metadata
from seaway_testing.builders import container_id, networking, spec
from seaway_testing.fake_transport import FakeServer
from seaway_testing.waiting import until


async def test_an_unknown_name_is_a_new_volume_on_the_containers_node(
    node: VolumeNode, metadata: Metadata, fake_bus: Bus, fake_server: FakeServer
) -> None:
    mount = named("data", volume_labels={"a": "1"}, volume_options={"type": "tmpfs", "device": "tmpfs"})
    registered = await node.make(1, mount, mount.model_copy(update={"target": "/again"}))
    (made,) = registered.volumes
    assert (made.name, made.node, made.made_for) == ("data", "n1", container_id(1))
    assert (made.labels, made.options) == ({"a": "1"}, {"type": "tmpfs", "device": "tmpfs"})
    assert (await inspect(fake_bus, "data")).id == made.id and stored(fake_server) == (1, 1)
    assert told(fake_server) == [], "its node tells of it"
    await until(lambda: not metadata.volumes.table.index[made.id].made_for, what="it to be a volume like any other")
    again = await node.make(2, "data")
    assert [one.id for one in again.volumes] == [made.id]


async def test_the_same_registration_twice_is_one_volume(
    node: VolumeNode, fake_bus: Bus, fake_server: FakeServer
) -> None:
    first, second = [await node.register(1, "data") for _ in range(2)]
    assert first == second and stored(fake_server) == (1, 1)
    assert first.volumes[0].made_for == container_id(1)


async def test_a_volume_without_node_goes_to_the_first_container(
    node: VolumeNode, second: VolumeNode, fake_bus: Bus
) -> None:
    made = await create(fake_bus, "data")
    registered = await second.register(1, "data")
    assert [(one.id, one.node) for one in registered.volumes] == [(made.id, "n2")]
    error = await refused(node.register(2, "data"))
    assert (error.code, error.reason) == (Code.CONFLICT, Reason.OTHER_NODE)
    assert error.facts == {"node": "n2", "thing": "volume data"}
    assert error.message == "volume data is on node n2: containers that mount it can't be on node n1"


async def test_another_copy_sees_where_it_is(
    node: VolumeNode, second: VolumeNode, metadata: Metadata, fake_bus: Bus, fake_server: FakeServer, tmp_path: Path
) -> None:
    """By whatever is asked: inspect, or a listing by someone who knows the container. Or a moment later."""
    await create(fake_bus, "data")
    async with a_copy(fake_server, tmp_path / "2", node, second) as other:
        copies = (metadata, other)
        registered = await second.make(1, "data")
        me, identifier = Command.new("test"), registered.volumes[0].id
        unbound = registered.volumes[0].model_copy(update={"node": ""})
        await until(lambda: all(len(copy.containers.index) for copy in copies))
        for copy in copies:
            for ask in (
                lambda copy=copy: copy.volumes.commands.get(VolumeRef(name="data"), me),
                lambda copy=copy: copy.volumes.commands.list_volumes(ListVolumes(containers={container_id(1): 1}), me),
                lambda copy=copy: copy.volumes.sweeper.sweep(),
            ):
                copy.volumes.table.index.put(unbound)
                await ask()
                assert copy.volumes.table.index[identifier].node == "n2"


async def test_what_is_elsewhere_is_refused_before_anything_is_made(
    node: VolumeNode, second: VolumeNode, fake_bus: Bus, fake_server: FakeServer
) -> None:
    """The network would be bound to this node, and then the container could be on no node."""
    await second.make(1, "data")
    await fake_bus.call(CREATE_NETWORK, CreateNetwork(network=NetworkRecord(id="a" * 64, name="web", created_ns=1)))
    assert (await refused(node.register(2, "new", "data"))).reason is Reason.OTHER_NODE
    assert stored(fake_server) == (1, 1)
    asked = spec(3, mounts=(named("data"),), network=networking(endpoints=(EndpointSpec(network="web"),)))
    with pytest.raises(SeawayError, match="volume data is on node n2"):
        await fake_bus.call(REGISTER, RegisterContainer(spec=asked, node="n1"))
    registered = await fake_bus.call(REGISTER, RegisterContainer(spec=asked, node="n2"))
    assert registered.networks[0].nodes == ("n2",)


@pytest.mark.parametrize("copies", [1, 2])
async def test_of_two_first_uses_at_once_one_is_on_the_wrong_node(
    node: VolumeNode,
    second: VolumeNode,
    metadata: Metadata,
    fake_bus: Bus,
    fake_server: FakeServer,
    tmp_path: Path,
    copies: int,
) -> None:
    async with a_copy(fake_server, tmp_path / "2", node, second):
        for round_ in range(5):
            name = f"data{round_}"
            tries = [one.register(10 * round_ + seed, name) for seed, one in enumerate([node, second] * 2)]
            outcomes = await asyncio.gather(*tries, return_exceptions=True)
            errors = [one for one in outcomes if isinstance(one, SeawayError)]
            (home,) = {one.volumes[0].node for one in outcomes if not isinstance(one, BaseException)}
            assert [one.facts["node"] for one in errors] == [home, home]
            assert stored(fake_server) == (round_ + 1, round_ + 1)


# --- nothing comes of it


async def test_a_refused_registration_leaves_no_volume(
    node: VolumeNode, fake_bus: Bus, fake_server: FakeServer, metadata: Metadata
) -> None:
    await node.make(1)
    error = await refused(node.register(2, "data", name="box1"))
    assert error.code is Code.CONFLICT and stored(fake_server) == (0, 0)
    assert told(fake_server) == [] and await listed(fake_bus) == []


async def test_a_refused_name_of_a_volume_leaves_no_other(node: VolumeNode, fake_server: FakeServer) -> None:
    for name, code in (("x", Code.BAD_REQUEST), ("a/../../b", Code.BAD_REQUEST), ("x" * 300, Code.BAD_REQUEST)):
        assert (await refused(node.register(1, "data", name))).code is code
        assert stored(fake_server) == (0, 0)
    large = named("data2", volume_labels={"a": "x" * 60_000})
    assert (await refused(node.register(1, "data", large))).code is Code.TOO_LARGE
    assert stored(fake_server) == (0, 0)


@pytest.mark.parametrize("failure", ["a taken name", "forgotten", "killed", "unheard"])
async def test_a_volume_stays_bound_to_no_node_by_a_container_that_was_not_made(
    node: VolumeNode,
    second: VolumeNode,
    metadata: Metadata,
    fake_bus: Bus,
    monkeypatch: pytest.MonkeyPatch,
    failure: str,
) -> None:
    made = await create(fake_bus, "data")
    if failure == "a taken name":
        await node.register(1, name="taken")
        assert (await refused(node.register(2, "data", name="taken"))).code is Code.CONFLICT
    elif failure == "killed":
        await metadata.volumes.mounts.take({"data": made}, spec(2, mounts=(named("data"),)), "n1")
    else:
        await node.register(2, "data")
        await forget(fake_bus, 2, unheard=failure == "unheard")
    if failure in ("killed", "unheard"):
        await metadata.registrations.sweep(lambda _: True)
        assert (await inspect(fake_bus, "data")).node == "n1", "its container may be made any moment"
        sweeper = metadata.volumes.sweeper
        await sweeper.sweep()
        sweeper.now_ns = lambda: time.time_ns() + volume_sweep.MADE_NS
        await sweeper.sweep()
    assert (await inspect(fake_bus, "data")).node == ""
    (volume,) = (await second.register(3, "data")).volumes
    assert (volume.id, volume.node) == (made.id, "n2") and node.removed == []


@pytest.mark.parametrize("use", ["its container", "another container", "its user", "its node"])
async def test_a_volume_that_is_used_stays_bound(
    node: VolumeNode, second: VolumeNode, metadata: Metadata, fake_bus: Bus, use: str
) -> None:
    made = await create(fake_bus, "data")
    registered = await node.register(1, "data")
    if use == "its container":
        await node.create(registered, 1)
        await until(lambda: metadata.containers.index.get(container_id(1)))
        await metadata.volumes.sweeper.sweep()
        await node.destroy(1)
    elif use == "another container":
        await node.register(2, "data")
        await forget(fake_bus, 1)
    elif use == "its user":
        await create(fake_bus, "data", node="n1")
        await forget(fake_bus, 1)
    else:
        node.volumes[made.id] = registered.volumes[0]
        await forget(fake_bus, 1, unheard=True)
        await metadata.registrations.sweep(lambda _: True)
        await metadata.volumes.sweeper.sweep()
        metadata.volumes.sweeper.now_ns = lambda: time.time_ns() + volume_sweep.MADE_NS
        await metadata.volumes.sweeper.sweep()
    kept = await metadata.volumes.book.stored("data")
    assert kept is not None and (kept.node, kept.bound_for) == ("n1", "")
    assert (await refused(second.register(3, "data"))).reason is Reason.OTHER_NODE


async def test_a_repeat_that_is_refused_leaves_what_the_first_one_made(
    node: VolumeNode, fake_bus: Bus, fake_server: FakeServer
) -> None:
    await node.register(1, "data")
    assert (await refused(node.register(1, "data", name="other"))).code is Code.CONFLICT
    assert (await refused(node.register(1, "data", "x"))).code is Code.BAD_REQUEST
    assert stored(fake_server) == (1, 1)


async def test_a_forgotten_registration_leaves_no_volume(
    node: VolumeNode, other: Metadata, fake_bus: Bus, fake_server: FakeServer
) -> None:
    """Whichever copy is asked to forget it."""
    for seed in range(1, 9):
        registered = await node.register(seed, "data")
        await forget(fake_bus, seed, unheard=seed % 2 == 0)
        assert stored(fake_server)[1] == 0
        assert registered.volumes[0].id in node.removed, "the node makes it no more"
        await until(lambda: stored(fake_server) == (0, 0))
    assert told(fake_server) == []


@pytest.mark.parametrize("asked", ["list", "get"])
async def test_what_was_taken_back_is_shown_by_no_copy(
    node: VolumeNode, metadata: Metadata, other: Metadata, fake_server: FakeServer, asked: str
) -> None:
    """No event tells of it, as nobody was told that it was made."""
    me = Command.new("test")
    request = RegisterContainer(spec=spec(1, mounts=(named("data"),)), node="n1")
    await metadata.commands.register(request, me)
    assert await other.volumes.book.stored("data") is not None
    await metadata.commands.forget(ForgetContainer(id=container_id(1)), me)
    assert stored(fake_server) == (0, 0) and len(other.volumes.table.index) == 1
    if asked == "get":
        with pytest.raises(SeawayError, match="no such volume"):
            await other.volumes.commands.get(VolumeRef(name="data"), me)
    else:
        page = await other.volumes.commands.list_volumes(ListVolumes(), me)
        assert VolumeList.model_validate_json(page.data).volumes == ()


async def test_what_another_container_uses_since_is_kept(
    node: VolumeNode, fake_bus: Bus, fake_server: FakeServer
) -> None:
    first = await node.register(1, "data")
    later = await node.register(2, "data")
    assert [one.id for one in first.volumes] == [one.id for one in later.volumes] and not later.volumes[0].made_for
    await forget(fake_bus, 1)
    assert stored(fake_server) == (1, 1)
    await forget(fake_bus, 2)
    assert await listed(fake_bus) == ["data"]


async def test_what_the_node_holds_on_to_is_kept(node: VolumeNode, fake_bus: Bus, fake_server: FakeServer) -> None:
    """A container of the node has it by then, of which nobody has heard."""
    registered = await node.register(1, "data")
    node.has(7, *registered.volumes)
    await forget(fake_bus, 1)
    assert (await inspect(fake_bus, "data")).id == registered.volumes[0].id and stored(fake_server) == (1, 1)


async def test_a_node_that_cannot_be_told_is_told_when_it_is_back(
    node: VolumeNode, metadata: Metadata, fake_bus: Bus, fake_server: FakeServer
) -> None:
    registered = await node.register(1, "data")
    node.refusal = unavailable("busy")
    await forget(fake_bus, 1, unheard=True)
    assert stored(fake_server) == (1, 1), "the name, too, waits for the node"
    await until(lambda: metadata.volumes.table.given_up)
    await metadata.volumes.sweeper.sweep()
    assert stored(fake_server) == (1, 1)
    node.refusal = None
    await metadata.volumes.sweeper.sweep()
    assert stored(fake_server) == (0, 0) and node.removed == [registered.volumes[0].id]
    assert told(fake_server) == []


async def test_a_node_that_is_down_keeps_no_name_of_what_was_not_made(
    node: VolumeNode, metadata: Metadata, fake_bus: Bus, fake_server: FakeServer
) -> None:
    registered = await node.register(1, "data")
    await down(metadata, node)
    await forget(fake_bus, 1, unheard=True)
    assert stored(fake_server) == (1, 0), "the name is free"
    await up(metadata, node)
    await until(lambda: stored(fake_server) == (0, 0), what="the sweep")
    assert node.removed == [registered.volumes[0].id]


class Killed(BaseException):
    """The copy was killed."""


async def test_a_copy_that_was_killed_before_the_container_was_registered(
    node: VolumeNode, metadata: Metadata, fake_bus: Bus, fake_server: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    await _cut_short(metadata, monkeypatch)
    assert stored(fake_server) == (1, 1)
    sweeper = metadata.volumes.sweeper
    await sweeper.sweep()
    assert stored(fake_server) == (1, 1), "its registration may be stored any moment"
    sweeper.now_ns = lambda: time.time_ns() + volume_sweep.MADE_NS
    node.refusal = bad_request("it can't say")
    await sweeper.sweep()
    node.refusal = None
    await sweeper.sweep()
    assert stored(fake_server) == (0, 0) and told(fake_server) == []


async def test_what_the_node_has_made_is_kept_though_its_container_is_gone(
    node: VolumeNode, metadata: Metadata, fake_bus: Bus, fake_server: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    await _cut_short(metadata, monkeypatch)
    (volume,) = metadata.volumes.table.index
    node.volumes[volume.id] = volume
    metadata.volumes.sweeper.now_ns = lambda: time.time_ns() + volume_sweep.MADE_NS
    await metadata.volumes.sweeper.sweep()
    assert not (await inspect(fake_bus, "data")).made_for and node.removed == []


async def test_a_node_that_is_down_is_asked_when_it_is_back(
    node: VolumeNode, metadata: Metadata, fake_server: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may have made the volume."""
    await _cut_short(metadata, monkeypatch)
    metadata.volumes.sweeper.now_ns = lambda: time.time_ns() + volume_sweep.MADE_NS
    await down(metadata, node)
    asked = node.asked
    await metadata.volumes.sweeper.sweep()
    assert stored(fake_server) == (1, 1) and node.asked == asked
    await up(metadata, node)
    await metadata.volumes.sweeper.sweep()
    assert stored(fake_server) == (0, 0)


async def _cut_short(metadata: Metadata, monkeypatch: pytest.MonkeyPatch) -> None:
    """A registration that ends with its new volume."""

    def kill(point: object) -> None:
        raise Killed

    with monkeypatch.context() as patched:
        patched.setattr(mounts, "reach", kill)
        asked = spec(1, mounts=(named("data"),))
        with pytest.raises(Killed):
            await metadata.volumes.mounts.take({"data": None}, asked, "n1")


# --- races with removals


async def test_a_volume_that_is_being_removed_is_made_anew(
    node: VolumeNode, other: Metadata, metadata: Metadata, fake_bus: Bus, fake_server: FakeServer
) -> None:
    made = await create(fake_bus, "data")
    removal = asyncio.ensure_future(remove(fake_bus, "data"))
    registered = await node.register(1, "data")
    assert (await asyncio.gather(removal, return_exceptions=True))[0] is not None
    (volume,) = registered.volumes
    assert volume.id == (await inspect(fake_bus, "data")).id
    assert (volume.id == made.id) == (made.id not in node.removed)
    assert stored(fake_server) == (1, 1)


async def test_a_volume_that_is_taken_away_again_and_again(
    node: VolumeNode, metadata: Metadata, fake_bus: Bus, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = await create(fake_bus, "data", node="n1")

    async def gone(name: str, _: object) -> VolumeRecord:
        return made.model_copy(update={"removed": True})

    monkeypatch.setattr(metadata.volumes.book, "stored", lambda name: gone(name, None))
    monkeypatch.setattr(metadata.volumes.book, "find_or_make", gone)
    error = await refused(node.register(1, "data"))
    assert error.code is Code.UNAVAILABLE and "volume data is made and removed by others" in error.message


# --- anonymous volumes


async def test_an_anonymous_volume_is_nobodys_business_before_its_node_has_made_it(
    node: VolumeNode, fake_bus: Bus, fake_server: FakeServer
) -> None:
    registered = await node.register(1, anonymous("a"))
    assert registered.volumes == () and stored(fake_server) == (0, 0)


@pytest.mark.parametrize("tells", [True, False])
async def test_an_anonymous_volume_with_labels_and_options(
    node: VolumeNode, metadata: Metadata, fake_bus: Bus, tells: bool
) -> None:
    """Also where the event of its creation comes late."""
    node.tells = tells
    mount = anonymous("a").model_copy(update={"volume_labels": {"a": "b"}, "volume_options": {"type": "tmpfs"}})
    registered = await node.register(1, mount)
    record = nameless("a").model_copy(update={"labels": {"a": "b"}, "options": {"type": "tmpfs"}})
    node.volumes[record.id] = record
    await node.tell_volume("create", record)
    node.tells = True
    await node.create(registered, 1)
    assert await listed(fake_bus, [1]) == [record.name]
    known = metadata.volumes.table.index.get(record.id)
    assert known is not None
    assert (known.labels, known.options) == ({"a": "b"}, {"type": "tmpfs"})


async def test_an_anonymous_volume_that_is_mounted_by_its_name(
    node: VolumeNode, second: VolumeNode, metadata: Metadata, fake_bus: Bus
) -> None:
    """As compose does when it makes a container anew."""
    await node.make(1, anonymous("a"))
    registered = await node.register(2, named("a" * 64))
    assert [(one.id, one.node, one.anonymous) for one in registered.volumes] == [("a" * 64, "n1", True)]
    assert (await refused(second.register(3, named("a" * 64)))).facts["node"] == "n1"
    metadata.volumes.table.drop("a" * 64, for_good=False)
    await metadata.volumes.table.behind.flush()
    again = await node.register(4, named("a" * 64))
    assert [one.id for one in again.volumes] == ["a" * 64], "a container says that it is there"


async def test_a_container_that_was_forgotten_in_a_reboot_gets_its_volumes(
    node: VolumeNode, metadata: Metadata, fake_bus: Bus
) -> None:
    registered = await node.make(1, "data", anonymous("a"))
    await listed(fake_bus, [1])
    node.lost_memory = True
    await node.anew(metadata)
    await until(lambda: node.containers.made, what="the container to be made again")
    assert [one.id for one in node.containers.made[0].volumes] == [registered.volumes[0].id], "those with a name"
