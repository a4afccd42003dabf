"""The scheduler on the bus."""

import asyncio
import itertools

import pytest

from seaway_bus.bus import Bus, Command
from seaway_contracts.base import Empty
from seaway_contracts.catalogue import BEAT, LIST_CONTAINERS, LIST_NODES, PLACE, UNPLACE, event_channel
from seaway_contracts.commands import ContainerId, ContainerList, ListContainers, PlaceRequest
from seaway_contracts.containers import ContainerRecord, NetworkSpec, PortBinding, Resources
from seaway_contracts.errors import Code, SeawayError
from seaway_contracts.lifecycle import ContainerEvent
from seaway_contracts.nodes import NodeList
from seaway_kit.tasks import Tasks
from seaway_scheduler import service, snapshot
from seaway_scheduler.main import main
from seaway_scheduler.service import Scheduler
from seaway_testing.builders import GIB, beat, container_event, container_id, node_record, spec, status
from seaway_testing.fake_transport import FakeServer, FakeTransport
from seaway_testing.waiting import until


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine that stops for a moment takes no node down."""
    monkeypatch.setattr(snapshot, "LEAST_S", 3600.0)
    monkeypatch.setattr(service, "_FIRST_BEAT_S", 3600.0)


def request(seed: int, **fields: object) -> PlaceRequest:
    return PlaceRequest(container_id=container_id(seed), **fields)  # type: ignore[arg-type]


async def nodes(request: Empty, command: Command) -> NodeList:
    return NodeList(nodes=(node_record("n1"), node_record("n2", up=False)))


async def none(request: ListContainers, command: Command) -> ContainerList:
    return ContainerList()


async def down(request: Empty, command: Command) -> NodeList:
    return NodeList(nodes=(node_record("n1", up=False),))


async def test_spreads_by_beats_and_own_placements(fake_bus: Bus, tasks: Tasks) -> None:
    await Scheduler(fake_bus, tasks).start()
    for name in ("n1", "n2", "n3"):
        await fake_bus.beat(BEAT, name, beat(name))
    chosen = [(await fake_bus.call(PLACE, request(seed))).node for seed in range(6)]
    assert sorted(chosen) == ["n1", "n1", "n2", "n2", "n3", "n3"]
    again = [(await fake_bus.call(PLACE, request(seed))).node for seed in range(6)]
    assert again == chosen


async def publish(bus: Bus, action: str, seed: int, *ports: int, node: str = "n1") -> None:
    """An event as an agent sends it; `create` tells of the ports."""
    envelope, _ = container_event(action, status(seq=1 if action == "create" else 9), seed=seed, node=node)
    network = NetworkSpec(ports=tuple(PortBinding(container_port=80, host_port=str(port)) for port in ports))
    body = ContainerEvent(status=status(), spec=spec(seed, network=network) if action == "create" else None)
    channel = event_channel("container", action)
    await bus.transport.store(channel.subject(node, envelope.subject_id), channel.encode(body), envelope.headers())


async def test_events_turn_promises_into_containers(fake_bus: Bus, tasks: Tasks) -> None:
    scheduler = Scheduler(fake_bus, tasks)
    await scheduler.start()
    await fake_bus.beat(BEAT, "n1", beat("n1"))
    await fake_bus.beat(BEAT, "n2", beat("n2"))
    assert (await fake_bus.call(PLACE, request(1))).node == "n1"
    await publish(fake_bus, "create", 1)
    await fake_bus.transport.flush()
    await scheduler._feed.current()
    await fake_bus.beat(BEAT, "n1", beat("n1"))
    assert (await fake_bus.call(PLACE, request(2))).node == "n1", "the beat shows an idle node"


async def test_events_twice_and_in_any_order_come_to_the_same(
    fake_bus: Bus, fake_server: FakeServer, tasks: Tasks
) -> None:
    """Of each pair of containers one is there in the end, with its port."""
    scheduler = Scheduler(fake_bus, tasks)
    await scheduler.start()
    await fake_bus.beat(BEAT, "n1", beat("n1"))
    fake_server.deliver_twice = True
    orders = list(itertools.permutations(("create stays", "create goes", "destroy goes")))
    for number, order in enumerate(orders):
        for word in order:
            action, _, which = word.partition(" ")
            ports = (1000 + number,) if which == "stays" else (2000 + number,)
            await publish(fake_bus, action, 2 * number + (which == "goes"), *ports)
    fake_server.deliver_twice = False
    await fake_bus.transport.flush()
    await scheduler._feed.current()
    (node,) = scheduler._cluster.snapshot(0)
    assert node.host_ports == {1000 + number for number in range(len(orders))}


async def test_a_placement_can_be_given_back(fake_bus: Bus, tasks: Tasks) -> None:
    await Scheduler(fake_bus, tasks).start()
    await fake_bus.beat(BEAT, "n1", beat("n1"))
    most = Resources(memory_reservation=8 * GIB)
    await fake_bus.call(PLACE, request(1, resources=most))
    with pytest.raises(SeawayError, match="lacks memory"):
        await fake_bus.call(PLACE, request(2, resources=most))
    await fake_bus.call(UNPLACE, ContainerId(id=container_id(1)))
    assert (await fake_bus.call(PLACE, request(2, resources=most))).node == "n1"


async def test_ports_are_known_after_a_restart_and_after_a_lost_connection(
    fake_bus: Bus, fake_server: FakeServer, tasks: Tasks, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From the records, as soon as metadata can be asked, and from the events meanwhile."""
    monkeypatch.setattr(service, "_RETRY_S", 0.01)
    monkeypatch.setattr(service, "_ASK_S", 0.05)
    mine = FakeTransport(fake_server)
    scheduler = Scheduler(Bus(mine), tasks)
    await scheduler.start()
    for name in ("n1", "n2"):
        await fake_bus.beat(BEAT, name, beat(name))
    await publish(fake_bus, "create", 1, 81)
    await publish(fake_bus, "create", 2, 82)
    await fake_bus.serve(LIST_NODES, nodes)
    await fake_bus.serve(LIST_CONTAINERS, listed)
    await until(lambda: scheduler._cluster.snapshot(0)[0].host_ports == {80, 81, 82})
    mine.cut()
    await publish(fake_bus, "destroy", 1)
    await publish(fake_bus, "create", 3, 83)
    mine.mend()
    await scheduler._feed.current()
    assert scheduler._cluster.snapshot(0)[0].host_ports == {80, 82, 83}


async def listed(request: ListContainers, command: Command) -> ContainerList:
    """One container, page by page."""
    if not request.after:
        return ContainerList(next="5-x")
    network = NetworkSpec(ports=(PortBinding(container_port=80, host_port="80"), PortBinding(container_port=81)))
    return ContainerList(containers=(ContainerRecord(spec=spec(9, network=network), node="n1"),))


async def test_learns_silent_nodes_from_metadata(fake_bus: Bus, tasks: Tasks) -> None:
    await fake_bus.serve(LIST_NODES, nodes)
    await fake_bus.serve(LIST_CONTAINERS, none)
    await Scheduler(fake_bus, tasks).start()
    assert (await fake_bus.call(PLACE, request(1))).node == "n1"
    with pytest.raises(SeawayError, match="1 is down, 1 does not fit node==n2") as caught:
        await fake_bus.call(PLACE, request(2, constraints=("node==n2",)))
    assert caught.value.code == Code.UNPLACEABLE


async def test_no_node_yet(fake_bus: Bus, tasks: Tasks, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service, "_FIRST_BEAT_S", 0.02)
    await Scheduler(fake_bus, tasks).start()
    with pytest.raises(SeawayError, match="no node has joined") as caught:
        await fake_bus.call(PLACE, request(1))
    assert caught.value.code == Code.UNAVAILABLE


async def test_waits_for_the_first_beat(fake_bus: Bus, tasks: Tasks) -> None:
    await Scheduler(fake_bus, tasks).start()
    asked = asyncio.ensure_future(fake_bus.call(PLACE, request(1)))
    await fake_bus.transport.flush()
    await fake_bus.beat(BEAT, "n1", beat("n1"))
    assert (await asked).node == "n1"


async def test_a_node_that_metadata_calls_down_may_be_about_to_beat(fake_bus: Bus, tasks: Tasks) -> None:
    await fake_bus.serve(LIST_NODES, down)
    await fake_bus.serve(LIST_CONTAINERS, none)
    await Scheduler(fake_bus, tasks).start()
    asked = asyncio.ensure_future(fake_bus.call(PLACE, request(1)))
    await fake_bus.transport.flush()
    await fake_bus.beat(BEAT, "n1", beat("n1"))
    assert (await asked).node == "n1"


async def test_a_node_that_is_down_is_not_waited_for_again_and_again(
    fake_bus: Bus, tasks: Tasks, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service, "_FIRST_BEAT_S", 0.02)
    await fake_bus.serve(LIST_NODES, down)
    await fake_bus.serve(LIST_CONTAINERS, none)
    await Scheduler(fake_bus, tasks).start()
    for seed in (1, 2):
        with pytest.raises(SeawayError, match="1 is down") as caught:
            await fake_bus.call(PLACE, request(seed))
        assert caught.value.code == Code.UNAVAILABLE


async def test_a_bad_constraint_is_the_callers_fault(fake_bus: Bus, tasks: Tasks) -> None:
    await Scheduler(fake_bus, tasks).start()
    await fake_bus.beat(BEAT, "n1", beat("n1"))
    with pytest.raises(SeawayError) as caught:
        await fake_bus.call(PLACE, request(1, constraints=("disk=ssd",)))
    assert caught.value.status == 400


def test_wrong_settings_end_in_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["--node", "a b"])
    assert caught.value.code == 2
    assert capsys.readouterr().err.count("\n") == 1
