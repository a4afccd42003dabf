"""What operators set for a node: kept, listed by each copy, published, and gone with the node."""

from typing import Any

import pytest
from tests.unit.seaway_metadata.rig import Node, known

from seaway_bus.bus import Bus, Command
from seaway_bus.events import read_event
from seaway_contracts.base import Empty
from seaway_contracts.catalogue import (
    BEAT,
    EVENT_STREAM,
    LIST_NODES,
    NODE_CONFIG,
    NODE_SETTINGS_BUCKET,
    REMOVE_NODE,
    TO_NODES,
    UPDATE_NODE,
)
from seaway_contracts.errors import Code, SeawayError
from seaway_contracts.node_settings import NodeSettings, NodeUpdated, Reserved, ReservedChange, ToNodes, UpdateNode
from seaway_contracts.nodes import NodeFacts, NodeRecord, RemoveNode
from seaway_metadata.service import Metadata
from seaway_testing.builders import GIB, beat
from seaway_testing.fake_transport import FakeServer
from seaway_testing.waiting import until


async def listed(metadata: Metadata) -> NodeRecord:
    """The only node, as this copy lists it."""
    (record,) = (await metadata._nodes.list_nodes(Empty(), Command.new("test"))).nodes
    return record


async def heard(copy: Metadata, version: int) -> None:
    """Until this copy has the settings of that version."""

    def version_here() -> int:
        found = copy._node_settings.table.index.get("n1")
        return found.version if found is not None else 0

    await until(lambda: version_here() == version)


async def update(bus: Bus, **changes: Any) -> NodeSettings:
    return (await bus.call(UPDATE_NODE, UpdateNode(node="n1", **changes))).settings


def published(server: FakeServer) -> list[NodeUpdated]:
    found = map(read_event, server.streams[EVENT_STREAM.name].messages)
    bodies = [event.body() for event in found if event is not None]
    return [body for body in bodies if isinstance(body, NodeUpdated)]


async def joined(metadata: Metadata, bus: Bus) -> None:
    await Node(bus).serve()
    await bus.publish(BEAT, beat("n1", facts=NodeFacts(labels={"zone": "a", "disk": "hdd"})), node="n1")
    await known(metadata)
    await until(lambda: metadata._nodes.known("n1"))


async def test_settings_are_listed_and_published_by_each_copy(
    metadata: Metadata, other: Metadata, fake_bus: Bus, fake_server: FakeServer
) -> None:
    await joined(metadata, fake_bus)
    assert (await listed(metadata)).settings == NodeSettings(node="n1")
    settings = await update(fake_bus, labels={"disk": "ssd"}, reserved=ReservedChange(memory=GIB))
    settings = await update(fake_bus, availability="drain")
    assert (settings.labels, settings.availability) == ({"disk": "ssd"}, "drain")
    assert (settings.reserved, settings.version) == (Reserved(memory=GIB), 2)
    for copy in (metadata, other):
        await heard(copy, 2)
        record = await listed(copy)
        assert (record.settings, record.labels) == (settings, {"zone": "a", "disk": "ssd"})
    await until(lambda: len(published(fake_server)) == 2)
    first, second = published(fake_server)
    assert first.attributes == {"name": "n1", "label.disk": "ssd", "reserved.memory": str(GIB)}
    assert second.attributes == {"name": "n1", "availability.old": "active", "availability.new": "drain"}
    assert second.settings == settings


async def test_the_same_again_changes_and_publishes_nothing(
    metadata: Metadata, fake_bus: Bus, fake_server: FakeServer
) -> None:
    await joined(metadata, fake_bus)
    first = await update(fake_bus, availability="pause")
    assert await update(fake_bus, availability="pause", removed_labels=("none",)) == first
    assert (await update(fake_bus, availability="active")).version == 2
    await until(lambda: len(published(fake_server)) == 2)


async def test_a_command_that_comes_twice_is_published_once(
    metadata: Metadata, fake_bus: Bus, fake_server: FakeServer
) -> None:
    await joined(metadata, fake_bus)
    command = Command.new("test")
    for _ in range(2):
        await fake_bus.call(UPDATE_NODE, UpdateNode(node="n1", labels={"a": "1"}), command=command)
    await update(fake_bus, labels={"a": "2"})
    await until(lambda: published(fake_server)[-1:] and published(fake_server)[-1].settings.version == 2)
    assert [body.settings.version for body in published(fake_server)] == [1, 2]


async def test_settings_outlive_the_loss_of_their_bucket(
    metadata: Metadata, fake_bus: Bus, fake_server: FakeServer
) -> None:
    await joined(metadata, fake_bus)
    await update(fake_bus, labels={"disk": "ssd"})
    fake_server.buckets[NODE_SETTINGS_BUCKET.name].entries.clear()
    after = await update(fake_bus, availability="pause")
    assert (after.labels, after.availability, after.version) == ({"disk": "ssd"}, "pause", 2)


async def test_a_node_of_the_same_name_begins_without_settings(
    metadata: Metadata, other: Metadata, fake_bus: Bus
) -> None:
    await joined(metadata, fake_bus)
    await update(fake_bus, labels={"disk": "ssd"})
    await update(fake_bus, availability="drain")
    await fake_bus.call(REMOVE_NODE, RemoveNode(node="n1"))
    await until(lambda: not metadata._nodes.known("n1") and not other._nodes.known("n1"))
    await fake_bus.publish(BEAT, beat("n1", epoch="new"), node="n1")
    await until(lambda: metadata._nodes.known("n1") and other._nodes.known("n1"))
    for copy in (metadata, other):
        await heard(copy, 3)
        record = await listed(copy)
        assert (record.settings.labels, record.settings.availability) == ({}, "active")


@pytest.mark.parametrize(
    ("changes", "code", "sentence"),
    [
        ({"labels": {"": "x"}}, Code.BAD_REQUEST, "'' is no label of a node"),
        ({"labels": {"a b": "x"}}, Code.BAD_REQUEST, "'a b' is no label of a node"),
        ({"labels": {"-a": "x"}}, Code.BAD_REQUEST, "'-a' is no label of a node"),
        ({"labels": {"a" * 129: "x"}}, Code.BAD_REQUEST, "is no label of a node"),
        ({"labels": {"a": "x" * 257}}, Code.BAD_REQUEST, "the value of label 'a' must be printable"),
        ({"labels": {"a": "x\n"}}, Code.BAD_REQUEST, "the value of label 'a' must be printable"),
        ({"labels": {"a": "x"}, "removed_labels": ("a",)}, Code.BAD_REQUEST, "can't be set and removed at once"),
        ({"labels": {f"k{n}": "" for n in range(129)}}, Code.BAD_REQUEST, "would have 129 labels: it may have 128"),
        ({"removed_labels": ("zone",)}, Code.CONFLICT, "label 'zone' is given by the agent of node n1"),
        ({"reserved": ReservedChange(memory=-1)}, Code.BAD_REQUEST, "a reserved share can't be negative"),
        ({"reserved": ReservedChange(memory=9 * GIB)}, Code.BAD_REQUEST, "node n1 can't keep 9663676416 bytes free"),
        ({"reserved": ReservedChange(nano_cpus=5 * 10**9)}, Code.BAD_REQUEST, "node n1 can't keep 5 or more CPUs free"),
    ],
)
async def test_a_bad_change_leaves_nothing(
    metadata: Metadata,
    fake_bus: Bus,
    fake_server: FakeServer,
    changes: dict[str, Any],
    code: Code,
    sentence: str,
) -> None:
    await joined(metadata, fake_bus)
    with pytest.raises(SeawayError, match=sentence) as caught:
        await update(fake_bus, **changes)
    assert caught.value.code is code
    assert (await fake_bus.call(LIST_NODES, Empty())).nodes[0].settings.version == 0
    assert published(fake_server) == []


async def test_a_node_that_is_not_there_has_no_settings(metadata: Metadata, fake_bus: Bus) -> None:
    with pytest.raises(SeawayError, match="no such node: n1") as caught:
        await update(fake_bus, availability="pause")
    assert caught.value.code is Code.NOT_FOUND


async def test_an_agent_is_told_of_its_settings_and_asks_for_them(metadata: Metadata, fake_bus: Bus) -> None:
    told: list[ToNodes] = []
    await fake_bus.on_message(TO_NODES, told.append)
    await joined(metadata, fake_bus)
    assert (await fake_bus.call(NODE_CONFIG, Empty(), node="n1")).settings == NodeSettings(node="n1")
    settings = await update(fake_bus, reserved=ReservedChange(memory=GIB))
    await until(lambda: [one.changed.node for one in told if one.changed] == ["n1"])
    assert (await fake_bus.call(NODE_CONFIG, Empty(), node="n1")).settings == settings


async def test_all_agents_are_told_a_longer_interval_as_nodes_join(metadata: Metadata, fake_bus: Bus) -> None:
    told: list[ToNodes] = []
    await fake_bus.on_message(TO_NODES, told.append)
    for number in range(101):
        await fake_bus.publish(BEAT, beat(f"n{number}"), node=f"n{number}")
    await until(lambda: len(metadata._nodes.all_up()) == 101)
    await metadata._node_configs.publish_changes()
    await metadata._node_configs.publish_changes()
    await until(lambda: told and told[-1].beat_interval_ns)
    assert [one.beat_interval_ns for one in told if one.beat_interval_ns] == [2_500_000_000]
    assert (await fake_bus.call(NODE_CONFIG, Empty(), node="n1")).to_nodes.beat_interval_ns == 2_500_000_000


async def test_the_rest_of_a_share_stays(metadata: Metadata, fake_bus: Bus) -> None:
    await joined(metadata, fake_bus)
    await update(fake_bus, reserved=ReservedChange(memory=GIB))
    settings = await update(fake_bus, reserved=ReservedChange(nano_cpus=10**9))
    assert settings.reserved == Reserved(memory=GIB, nano_cpus=10**9)
    settings = await update(fake_bus, reserved=ReservedChange(memory=0))
    assert settings.reserved == Reserved(nano_cpus=10**9)


async def test_a_copy_publishes_at_its_start_what_all_agents_must_know(metadata: Metadata, fake_bus: Bus) -> None:
    """The number of nodes may have fallen since its last life: agents would keep a long interval."""
    told: list[ToNodes] = []
    await fake_bus.on_message(TO_NODES, told.append)
    await metadata._node_configs.publish_changes()
    await until(lambda: told == [ToNodes()])
    await metadata._node_configs.publish_changes()
    await fake_bus.transport.flush()
    assert told == [ToNodes()]


async def test_a_listed_node_has_its_facts_though_its_beats_have_none(metadata: Metadata, fake_bus: Bus) -> None:
    await fake_bus.publish(BEAT, beat("n1", facts_id="a", facts=NodeFacts(hostname="h")), node="n1")
    await fake_bus.publish(BEAT, beat("n1", facts_id="a", facts=NodeFacts(), has_facts=False, running=7), node="n1")
    await until(lambda: (found := metadata._nodes.record("n1")) is not None and found.beat.running == 7)
    assert (await listed(metadata)).beat.facts.hostname == "h"
