"""A node is removed: its records, its containers' and their names go, by every copy and for good."""

from pathlib import Path

import pytest
from tests.unit.seaway_metadata.rig import Node, known, publish, ref, register, registered

from seaway_bus.bus import Bus, Command
from seaway_bus.events import Event, read_event
from seaway_contracts.base import Empty
from seaway_contracts.catalogue import (
    CONTAINERS_BUCKET,
    EVENT_STREAM,
    GET_CONTAINER,
    LIST_CONTAINERS,
    LIST_NODES,
    NAMES_BUCKET,
    NODES_BUCKET,
    REGISTER,
    REMOVE_NODE,
)
from seaway_contracts.containers import State
from seaway_contracts.errors import Code, SeawayError
from seaway_contracts.lifecycle import ContainerEvent, Envelope
from seaway_contracts.nodes import NodeEvent, RemoveNode
from seaway_contracts.records import ForgetContainer, ListContainers, RegisterContainer
from seaway_kit.tasks import Tasks
from seaway_metadata.service import Metadata, running
from seaway_metadata.settings import MetadataSettings
from seaway_testing.builders import container_id, spec, status
from seaway_testing.fake_transport import FakeServer, FakeTransport
from seaway_testing.waiting import until


async def nodes(bus: Bus) -> list[str]:
    return [record.node for record in (await bus.call(LIST_NODES, Empty())).nodes]


async def containers(bus: Bus) -> list[str]:
    return [one.id for one in (await bus.call(LIST_CONTAINERS, ListContainers(all=True))).containers]


def events(server: FakeServer, *actions: str) -> list[Event]:
    found = map(read_event, server.streams[EVENT_STREAM.name].messages)
    return [event for event in found if event is not None and event.envelope.action in actions]


def keys(server: FakeServer, bucket: str) -> set[str]:
    return {key for key in server.buckets[bucket].entries if not key.startswith("_")}


async def with_containers(metadata: Metadata, bus: Bus) -> tuple[Node, Node]:
    """Node n1 with container 1, node n2 with 2, which runs, and 3, which is registered."""
    first, second = await Node(bus).serve(), await Node(bus, "n2").serve()
    first.holds(1)
    second.holds(2)
    await publish(bus, "create", status(seq=1), 1)
    await publish(bus, "create", status(seq=1), 2, node="n2")
    await publish(bus, "start", status(State.RUNNING, 2), 2, node="n2")
    await bus.call(REGISTER, RegisterContainer(spec=spec(3), node="n2"))
    for node in (first, second):
        await node.beat()
    await known(metadata)
    await until(lambda: first.asked and second.asked)
    assert await nodes(bus) == ["n1", "n2"]
    return first, second


async def test_a_node_that_holds_containers_is_kept_without_force(
    metadata: Metadata, fake_bus: Bus, fake_server: FakeServer
) -> None:
    await with_containers(metadata, fake_bus)
    with pytest.raises(SeawayError, match="node n2 holds 2 containers: remove them first, or give --force") as caught:
        await fake_bus.call(REMOVE_NODE, RemoveNode(node="n2"))
    assert caught.value.code is Code.CONFLICT
    assert await nodes(fake_bus) == ["n1", "n2"]
    assert await containers(fake_bus) == [container_id(2), container_id(1)]
    assert (await fake_bus.call(GET_CONTAINER, ref("box3"))).node == "n2"
    assert events(fake_server, "remove", "destroy") == []


async def test_with_force_records_names_and_the_node_go(
    metadata: Metadata, fake_bus: Bus, fake_server: FakeServer
) -> None:
    await with_containers(metadata, fake_bus)
    await metadata.containers.behind.flush()
    removed = await fake_bus.call(REMOVE_NODE, RemoveNode(node="n2", force=True))
    assert removed.containers == 2
    assert await nodes(fake_bus) == ["n1"]
    assert await containers(fake_bus) == [container_id(1)]
    for seed in (2, 3):
        with pytest.raises(SeawayError, match="No such container"):
            await fake_bus.call(GET_CONTAINER, ref(f"box{seed}"))
    await metadata.containers.behind.flush()
    assert keys(fake_server, CONTAINERS_BUCKET.name) == {container_id(1)}
    assert keys(fake_server, NAMES_BUCKET.name) == {b"box1".hex()}
    await until(lambda: keys(fake_server, NODES_BUCKET.name) == {"n1"})
    for seed in (20, 30):
        await register(fake_bus, seed, name=f"box{seed // 10}")


async def test_its_events_say_what_is_gone(metadata: Metadata, fake_bus: Bus, fake_server: FakeServer) -> None:
    await with_containers(metadata, fake_bus)
    agent = metadata._nodes.record("n2")
    assert agent is not None
    await fake_bus.call(REMOVE_NODE, RemoveNode(node="n2", force=True))
    await until(lambda: len(events(fake_server, "remove", "destroy")) == 2)
    gone = {event.envelope.subject_id: event for event in events(fake_server, "destroy")}
    assert gone.keys() == {container_id(2)}
    last = gone[container_id(2)]
    body = last.body()
    assert isinstance(body, ContainerEvent)
    assert (last.envelope.node, last.envelope.seq, body.status.seq) == ("n2", 3, 3)
    assert body.attributes == {"image": "busybox:latest", "name": "box2", "reason": "its node was removed"}
    assert body.spec is None
    (left,) = events(fake_server, "remove")
    assert (left.envelope.noun, left.envelope.node, left.envelope.subject_id) == ("node", "n2", "n2")
    assert left.body() == NodeEvent(node="n2", epoch=agent.beat.epoch, attributes={"name": "n2"})


async def test_a_beat_in_the_next_moment_brings_it_back_not(
    metadata: Metadata, fake_bus: Bus, fake_server: FakeServer
) -> None:
    """Its agent is cut off just then, and still speaks."""
    _, node = await with_containers(metadata, fake_bus)
    await fake_bus.call(REMOVE_NODE, RemoveNode(node="n2", force=True))
    asked = node.asked
    await node.beat()
    await publish(fake_bus, "die", status(State.EXITED, 3), 2, node="n2")
    await known(metadata)
    assert (await nodes(fake_bus), await containers(fake_bus)) == (["n1"], [container_id(1)])
    assert node.asked == asked
    await until(lambda: keys(fake_server, NODES_BUCKET.name) == {"n1"})


async def test_a_node_that_is_added_again_is_a_new_one(metadata: Metadata, fake_bus: Bus) -> None:
    _, node = await with_containers(metadata, fake_bus)
    await fake_bus.call(REMOVE_NODE, RemoveNode(node="n2", force=True))
    node.epoch = "e2"
    node.holds(4)
    await node.beat()
    await until(lambda: metadata.containers.view.index.get(container_id(4)))
    assert await nodes(fake_bus) == ["n1", "n2"]
    assert await containers(fake_bus) == [container_id(4), container_id(1)]


async def test_a_node_without_containers_needs_no_force(metadata: Metadata, fake_bus: Bus) -> None:
    node = await Node(fake_bus, "n2").serve()
    await node.beat()
    await until(lambda: node.asked)
    assert (await fake_bus.call(REMOVE_NODE, RemoveNode(node="n2"))).containers == 0
    assert await nodes(fake_bus) == []


async def test_containers_of_a_node_that_never_came_are_removed(metadata: Metadata, fake_bus: Bus) -> None:
    await fake_bus.call(REGISTER, RegisterContainer(spec=spec(3), node="n9"))
    assert (await fake_bus.call(REMOVE_NODE, RemoveNode(node="n9", force=True))).containers == 1
    await register(fake_bus, 30, name="box3")


@pytest.mark.parametrize("force", [True, False])
async def test_an_unknown_node_is_not_found(metadata: Metadata, fake_bus: Bus, force: bool) -> None:
    await with_containers(metadata, fake_bus)
    for node in ("n3", "", "n2 "):
        with pytest.raises(SeawayError, match=f"no such node: {node}") as caught:
            await fake_bus.call(REMOVE_NODE, RemoveNode(node=node, force=force))
        assert (caught.value.code, caught.value.status) == (Code.NOT_FOUND, 404)
    assert await nodes(fake_bus) == ["n1", "n2"]


# --- with another copy


async def test_every_copy_forgets_it(
    metadata: Metadata, other: Metadata, fake_bus: Bus, fake_server: FakeServer
) -> None:
    _, node = await with_containers(metadata, fake_bus)
    await until(lambda: other._nodes.known("n2"))
    await known(other)
    await fake_bus.call(REMOVE_NODE, RemoveNode(node="n2", force=True))
    await until(lambda: len(events(fake_server, "remove", "destroy")) == 2)
    await node.beat()
    for copy in (metadata, other):
        await known(copy)
        assert (copy._nodes.known("n2"), copy.containers.view.of_node("n2")) == (False, [])
        await copy.containers.behind.flush()
    await until(lambda: keys(fake_server, NODES_BUCKET.name) == {"n1"})
    assert keys(fake_server, CONTAINERS_BUCKET.name) == {container_id(1)}
    assert keys(fake_server, NAMES_BUCKET.name) == {b"box1".hex()}


async def test_what_was_registered_by_another_copy_goes_with_the_node(
    metadata: Metadata, other: Metadata, fake_bus: Bus, fake_server: FakeServer
) -> None:
    node = await Node(fake_bus, "n2").serve()
    await node.beat()
    await until(lambda: other._nodes.known("n2") and metadata._nodes.known("n2"))
    for seed, copy in ((1, metadata), (2, other)):
        await copy.commands.register(RegisterContainer(spec=spec(seed), node="n2"), Command.new())
    assert [len(copy.containers.view.of_node("n2")) for copy in (metadata, other)] == [1, 1]
    await fake_bus.call(REMOVE_NODE, RemoveNode(node="n2", force=True))
    await until(lambda: not metadata.containers.view.of_node("n2") and not other.containers.view.of_node("n2"))
    for copy in (metadata, other):
        await copy.containers.behind.flush()
    assert keys(fake_server, CONTAINERS_BUCKET.name) == keys(fake_server, NAMES_BUCKET.name) == set()


async def test_a_registration_that_another_copy_has_taken_back_does_not_count(
    metadata: Metadata, other: Metadata, fake_bus: Bus
) -> None:
    node = await Node(fake_bus, "n2").serve()
    await node.beat()
    await until(lambda: other._nodes.known("n2") and metadata._nodes.known("n2"))
    await metadata.commands.register(RegisterContainer(spec=spec(1), node="n2"), Command.new())
    await other.commands.forget(ForgetContainer(id=container_id(1), name="box1"), Command.new())
    assert len(metadata.containers.view.of_node("n2")) == 1
    removed = await metadata._removal.remove(RemoveNode(node="n2"), Command.new())
    assert removed.containers == 0


async def test_an_old_removal_takes_nothing_from_who_came_since(metadata: Metadata, fake_bus: Bus) -> None:
    """As a copy that starts reads it from the stream."""
    await with_containers(metadata, fake_bus)
    record = metadata._nodes._table.records["n2"]
    before = Envelope("node-n2-remove-x", "n2", "node", "remove", "n2", min(record.since_ns, spec(3).created_ns) - 1)
    metadata._removal.heard(before)
    assert await nodes(fake_bus) == ["n1", "n2"]
    assert len(metadata.containers.view.of_node("n2")) == 2


async def test_no_agent_removes_a_node(metadata: Metadata, fake_bus: Bus) -> None:
    """It tells the event as if it were its own."""
    await with_containers(metadata, fake_bus)
    envelope = Envelope("0" * 24, "n2", "node", "remove", "n2", 1 << 62)
    body = NodeEvent(node="n2").model_dump_json().encode()
    fake_bus.transport.send("seaway.v1.node.n2.tell.event.node.remove.n2", body, envelope.headers())
    await known(metadata)
    assert await nodes(fake_bus) == ["n1", "n2"]


async def test_a_copy_that_starts_later_knows_nothing_of_it(
    metadata: Metadata, fake_bus: Bus, fake_server: FakeServer, tmp_path: Path
) -> None:
    await with_containers(metadata, fake_bus)
    await registered(fake_bus, 8, "n1")
    await fake_bus.call(REMOVE_NODE, RemoveNode(node="n2", force=True))
    await until(lambda: keys(fake_server, NODES_BUCKET.name) == {"n1"})
    await until(lambda: len(events(fake_server, "remove", "destroy")) == 2)
    bus = Bus(FakeTransport(fake_server))
    async with running(bus, Tasks("late"), MetadataSettings(root=tmp_path / "late")) as late:
        assert late.containers.view.of_node("n2") == [] and not late._nodes.known("n2")
        assert len(late.containers.view.of_node("n1")) == 2
    await bus.close()
