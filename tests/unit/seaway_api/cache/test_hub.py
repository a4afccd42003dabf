"""The hub, with events twice and out of order."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from prometheus_client import REGISTRY

from seaway_api.cache.hub import Hub
from seaway_bus.bus import Bus
from seaway_bus.down_nodes import DownNodes
from seaway_contracts.catalogue import event_channel
from seaway_contracts.containers import State
from seaway_contracts.errors import SeawayError
from seaway_contracts.lifecycle import CLUSTER, Envelope, volume_subject
from seaway_contracts.node_settings import NodeSettings, NodeUpdated
from seaway_contracts.nodes import NodeEvent
from seaway_contracts.records import GONE
from seaway_contracts.volumes import VolumeEvent
from seaway_kit.tasks import Tasks
from seaway_testing.builders import START_NS, container_event, container_id, status
from seaway_testing.fake_transport import FakeServer, FakeTransport

_MINUTE = 60_000_000_000


@pytest.fixture
def down_nodes() -> DownNodes:
    return DownNodes(0.02)


@pytest.fixture
async def hub(fake_bus: Bus, fake_server: FakeServer, tasks: Tasks, down_nodes: DownNodes) -> AsyncIterator[Hub]:
    fake_server.deliver_twice = True
    made = Hub(FakeTransport(fake_server), tasks, down_nodes)
    await made.start()
    yield made
    await made.close()


async def tell(bus: Bus, hub: Hub, action: str, time_ns: int) -> None:
    channel = event_channel("node", action)
    envelope = Envelope(f"node-{action}-{time_ns}", "n1", "node", action, "n1", time_ns)
    body = NodeUpdated(settings=NodeSettings(node="n1")) if action == "update" else NodeEvent(node="n1")
    await bus.transport.store(channel.subject("n1", "n1"), channel.encode(body), envelope.headers())
    await bus.transport.flush()
    await hub.current()


async def cut(down_nodes: DownNodes) -> bool:
    """Whether a call to the node is cut off."""
    try:
        async with down_nodes.call("n1"):
            await asyncio.sleep(0.1)
    except SeawayError:
        return True
    return False


async def test_a_down_that_comes_behind_its_up_is_past(hub: Hub, fake_bus: Bus, down_nodes: DownNodes) -> None:
    await tell(fake_bus, hub, "down", START_NS)
    assert await cut(down_nodes)
    await tell(fake_bus, hub, "up", START_NS + 2 * _MINUTE)
    await tell(fake_bus, hub, "down", START_NS + _MINUTE)
    assert not await cut(down_nodes)
    await tell(fake_bus, hub, "down", START_NS + 3 * _MINUTE)
    assert await cut(down_nodes)


@pytest.mark.parametrize("action", ["admit", "update"])
async def test_a_node_is_not_back_before_it_beats(hub: Hub, fake_bus: Bus, down_nodes: DownNodes, action: str) -> None:
    """A node that is down may be drained."""
    await tell(fake_bus, hub, "down", START_NS)
    await tell(fake_bus, hub, action, START_NS + _MINUTE)
    assert await cut(down_nodes)


async def test_a_clock_that_was_set_back_hides_no_down(hub: Hub, fake_bus: Bus, down_nodes: DownNodes) -> None:
    await tell(fake_bus, hub, "up", START_NS + 60 * _MINUTE)
    await tell(fake_bus, hub, "down", START_NS)
    assert await cut(down_nodes)


async def test_the_end_of_a_volume_with_a_name_is_metadatas_to_tell(hub: Hub, fake_bus: Bus) -> None:
    """A node could hide others' volumes."""
    for node, action in (("n2", "create"), ("n2", "destroy"), (CLUSTER, "destroy")):
        channel, subject = event_channel("volume", action), volume_subject("data")
        envelope = Envelope(f"{node}-{action}", node, "volume", action, subject, START_NS)
        body = channel.encode(VolumeEvent(name="data", id="d" * 64))
        await fake_bus.transport.store(channel.subject(node, subject), body, envelope.headers())
        await fake_bus.transport.flush()
        await hub.current()
        assert hub.volumes.basis() == {"d" * 64: GONE if node == CLUSTER else 1}


async def test_a_containers_events_twice_and_late(hub: Hub, fake_bus: Bus) -> None:
    """Each is handed on once; what comes behind the end changes nothing for those who have seen the end."""
    watch, reader = hub.watch(container_id()), hub.read()
    for action, seq in (("create", 1), ("die", 3), ("start", 2), ("destroy", 4), ("die", 3)):
        envelope, body = container_event(action, status(State.EXITED, seq))
        channel = event_channel("container", action)
        await fake_bus.transport.store(
            channel.subject("n1", envelope.subject_id), channel.encode(body), envelope.headers()
        )
    await fake_bus.transport.flush()
    await hub.current()
    assert [(await watch.next())[0] for _ in range(4)] == ["create", "die", "start", "destroy"]
    assert [event.facts.action for event in await reader.next(1)] == ["create", "die", "start", "destroy"]
    assert hub.place(container_id()) is None


async def test_events_subscribers_and_their_backlog_are_counted(hub: Hub, fake_bus: Bus) -> None:
    def value(name: str) -> float:
        return REGISTRY.get_sample_value(name) or 0.0

    logged, delivered = value("engine_daemon_events_total"), value("seaway_bus_feed_lag_seconds_count")
    reader = hub.read()
    assert value("engine_daemon_events_subscribers_total") == value("seaway_api_event_readers") == 1
    await tell(fake_bus, hub, "down", START_NS)
    await tell(fake_bus, hub, "up", START_NS + _MINUTE)
    assert value("seaway_bus_feed_lag_seconds_count") >= delivered + 2
    assert value("engine_daemon_events_total") == logged + 2
    assert value("seaway_api_event_readers_behind") == 2
    await reader.next()
    assert value("seaway_api_event_readers_behind") == 0
    hub.unread(reader)
    assert value("engine_daemon_events_subscribers_total") == 0
