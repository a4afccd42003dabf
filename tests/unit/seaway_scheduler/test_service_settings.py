"""Settings of nodes and of the cluster, as the scheduler learns and hears of them."""

import asyncio

import pytest
from tests.unit.seaway_scheduler.test_service import none, request
from tests.unit.seaway_scheduler.test_service import patient as patient

from seaway_bus.bus import Bus, Command
from seaway_contracts.base import Empty
from seaway_contracts.catalogue import (
    BEAT,
    CLUSTER_UPDATE,
    LIST_CONTAINERS,
    LIST_NODES,
    NODE_UPDATE,
    PLACE,
    UNPLACED,
)
from seaway_contracts.commands import ContainerId
from seaway_contracts.containers import Resources
from seaway_contracts.errors import SeawayError
from seaway_contracts.lifecycle import CLUSTER, Envelope
from seaway_contracts.node_settings import Availability, ClusterSettings, ClusterUpdated, NodeSettings, NodeUpdated
from seaway_contracts.nodes import NodeFacts, NodeList
from seaway_contracts.placement import Condition
from seaway_kit.tasks import Tasks
from seaway_scheduler import service
from seaway_scheduler.service import Scheduler
from seaway_testing.builders import GIB, beat, container_id, node_record
from seaway_testing.clock import START_NS


async def set_availability(bus: Bus, availability: Availability, version: int) -> None:
    """As metadata publishes it."""
    settings = NodeSettings(node="n1", availability=availability, version=version)
    envelope = Envelope(f"u{version}", "n1", "node", "update", "n1", START_NS)
    body = NODE_UPDATE.encode(NodeUpdated(settings=settings))
    await bus.transport.store(NODE_UPDATE.subject("n1", "n1"), body, envelope.headers())


@pytest.mark.parametrize(("availability", "word"), [("pause", "paused"), ("drain", "being drained")])
async def test_a_node_that_is_not_active_gets_nothing(
    fake_bus: Bus, tasks: Tasks, availability: Availability, word: str
) -> None:
    scheduler = Scheduler(fake_bus, tasks)
    await scheduler.start()
    await set_availability(fake_bus, availability, 2)
    await set_availability(fake_bus, "active", 1)  # an older one, which comes late
    await fake_bus.publish(BEAT, beat("n1"), node="n1")
    await scheduler._feed.current()
    with pytest.raises(SeawayError, match=f"1 node: {word}"):
        await fake_bus.call(PLACE, request(1))
    await set_availability(fake_bus, "active", 3)
    await scheduler._feed.current()
    assert (await fake_bus.call(PLACE, request(1))).node == "n1"


async def test_the_clusters_policy_is_learned_and_heard(fake_bus: Bus, tasks: Tasks) -> None:
    async def known(request: Empty, command: Command) -> NodeList:
        return NodeList(nodes=(node_record("n1"),), cluster=ClusterSettings(memory_overcommit=2.0, version=1))

    await fake_bus.serve(LIST_NODES, known)
    await fake_bus.serve(LIST_CONTAINERS, none)
    scheduler = Scheduler(fake_bus, tasks)
    await scheduler.start()
    most = Resources(memory_reservation=8 * GIB)
    for seed in (1, 2):
        await fake_bus.call(PLACE, request(seed, resources=most))
    with pytest.raises(SeawayError, match="not enough memory"):
        await fake_bus.call(PLACE, request(3, resources=most))
    body = ClusterUpdated(kind="cluster", settings=ClusterSettings(memory_overcommit=3.0, version=2))
    envelope = Envelope("c2", CLUSTER, "cluster", "update", "cluster", START_NS)
    subject = CLUSTER_UPDATE.subject(CLUSTER, "cluster")
    await fake_bus.transport.store(subject, CLUSTER_UPDATE.encode(body), envelope.headers())
    await scheduler._feed.current()
    assert (await fake_bus.call(PLACE, request(3, resources=most))).node == "n1"


async def test_settings_are_learned_from_metadata(fake_bus: Bus, tasks: Tasks) -> None:
    settings = NodeSettings(node="n1", labels={"disk": "ssd"}, version=1)

    async def labelled(request: Empty, command: Command) -> NodeList:
        agents_own = NodeFacts(labels={"disk": "hdd", "zone": "a"})
        first = node_record("n1", facts=agents_own).model_copy(update={"settings": settings})
        return NodeList(nodes=(first, node_record("n2", facts=agents_own)))

    await fake_bus.serve(LIST_NODES, labelled)
    await fake_bus.serve(LIST_CONTAINERS, none)
    await Scheduler(fake_bus, tasks).start()
    for disk, name in (("ssd", "n1"), ("hdd", "n2")):
        constraints = (Condition(key="node.labels.disk", value=disk), Condition(key="node.labels.zone", value="a"))
        assert (await fake_bus.call(PLACE, request(1, constraints=constraints))).node == name
        await fake_bus.publish(UNPLACED, ContainerId(id=container_id(1)))


async def test_a_placement_waits_for_the_settings_of_nodes(
    fake_bus: Bus, tasks: Tasks, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Metadata may start later than the scheduler: a drained node must not look active meanwhile."""
    monkeypatch.setattr(service, "_SETTINGS_S", 3600.0)
    monkeypatch.setattr(service, "_RETRY_S", 0.0)
    monkeypatch.setattr(service, "_ASK_S", 0.05)
    await Scheduler(fake_bus, tasks).start()
    await fake_bus.publish(BEAT, beat("n1"), node="n1")
    placing = asyncio.create_task(fake_bus.call(PLACE, request(1)))

    async def drained(request: Empty, command: Command) -> NodeList:
        record = node_record("n1")
        settings = NodeSettings(node="n1", availability="drain", version=1)
        return NodeList(nodes=(record.model_copy(update={"settings": settings}),))

    await fake_bus.serve(LIST_CONTAINERS, none)
    await fake_bus.serve(LIST_NODES, drained)
    with pytest.raises(SeawayError, match="being drained"):
        await placing
