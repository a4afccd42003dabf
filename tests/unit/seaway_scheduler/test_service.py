"""The scheduler on the bus."""

import asyncio
import itertools

import pytest
from prometheus_client import REGISTRY

from seaway_bus.bus import Bus, Command
from seaway_contracts.base import Empty
from seaway_contracts.catalogue import (
    BEAT,
    CONTAINER_DESTROY,
    EXPLAIN_PLACE,
    GET_CONTAINER,
    LIST_CONTAINERS,
    LIST_NODES,
    NODE_REMOVE,
    PLACE,
    UNPLACED,
    event_channel,
)
from seaway_contracts.commands import ContainerId
from seaway_contracts.containers import ContainerRecord, ContainerSpec, PortBinding, Resources
from seaway_contracts.errors import Code, SeawayError, not_found
from seaway_contracts.lifecycle import Envelope, public_body
from seaway_contracts.nodes import NodeEvent, NodeList
from seaway_contracts.placement import Condition, PlaceRequest
from seaway_contracts.records import ContainerList, ListContainers, ResolveContainer
from seaway_kit.tasks import Tasks
from seaway_scheduler import node, service
from seaway_scheduler.holdings import Held
from seaway_scheduler.main import main
from seaway_scheduler.service import Scheduler
from seaway_testing.builders import GIB, beat, container_event, container_id, networking, node_record, spec, status
from seaway_testing.fake_transport import FakeServer, FakeTransport
from seaway_testing.waiting import until


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine that stops for a moment takes no node down."""
    monkeypatch.setattr(node, "LEAST_S", 3600.0)
    monkeypatch.setattr(service, "_FIRST_BEAT_S", 3600.0)
    monkeypatch.setattr(service, "_SETTINGS_S", 0.0)


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
        await fake_bus.publish(BEAT, beat(name), node=name)
    chosen = [(await fake_bus.call(PLACE, request(seed))).node for seed in range(6)]
    assert sorted(chosen) == ["n1", "n1", "n2", "n2", "n3", "n3"]
    again = [(await fake_bus.call(PLACE, request(seed))).node for seed in range(6)]
    assert again == chosen


async def publish(bus: Bus, action: str, seed: int, node: str = "n1") -> None:
    """An event as metadata publishes it: without the spec, so without the ports."""
    envelope, body = container_event(action, status(seq=1 if action == "create" else 9), seed=seed, node=node)
    channel = event_channel("container", action)
    public = channel.published(public_body("container", channel.encode(body)))
    await bus.transport.store(channel.subject(node, envelope.subject_id), public, envelope.headers())


class Records:
    """Metadata, as far as it is asked for single containers: each has one port, 1000 and its seed."""

    def __init__(self, *seeds: int) -> None:
        self._records = {
            container_id(seed): ContainerRecord(spec=with_ports(seed, 1000 + seed), node="n1") for seed in seeds
        }
        self.asked: list[str] = []

    async def get(self, request: ResolveContainer, command: Command) -> ContainerRecord:
        self.asked.append(request.ref)
        if request.ref not in self._records:
            raise not_found(f"no such container: {request.ref}")
        return self._records[request.ref]


def with_ports(seed: int, *ports: int) -> ContainerSpec:
    return spec(seed, network=networking(ports=tuple(PortBinding(container_port=80, host_port=str(p)) for p in ports)))


async def test_events_turn_promises_into_containers(fake_bus: Bus, tasks: Tasks) -> None:
    scheduler = Scheduler(fake_bus, tasks)
    await scheduler.start()
    await fake_bus.publish(BEAT, beat("n1"), node="n1")
    await fake_bus.publish(BEAT, beat("n2"), node="n2")
    assert (await fake_bus.call(PLACE, request(1))).node == "n1"
    await publish(fake_bus, "create", 1)
    await fake_bus.transport.flush()
    await scheduler._feed.current()
    await fake_bus.publish(BEAT, beat("n1"), node="n1")
    assert (await fake_bus.call(PLACE, request(2))).node == "n1", "the beat shows an idle node"


async def test_events_twice_and_in_any_order_come_to_the_same(
    fake_bus: Bus, fake_server: FakeServer, tasks: Tasks
) -> None:
    """Of each pair of containers, which another copy has placed, one is there in the end, with its port."""
    scheduler = Scheduler(fake_bus, tasks)
    await scheduler.start()
    await fake_bus.publish(BEAT, beat("n1"), node="n1")
    orders = list(itertools.permutations(("create stays", "create goes", "destroy goes")))
    records = Records(*range(2 * len(orders)))
    await fake_bus.serve(GET_CONTAINER, records.get)
    fake_server.deliver_twice = True
    for number, order in enumerate(orders):
        for word in order:
            action, _, which = word.partition(" ")
            await publish(fake_bus, action, 2 * number + (which == "goes"))
    fake_server.deliver_twice = False
    await fake_bus.transport.flush()
    await scheduler._feed.current()
    stays = {1000 + 2 * number for number in range(len(orders))}
    await until(lambda: set(scheduler._cluster.holdings.ports("n1")) == stays)
    await until(lambda: len(set(records.asked)) == 2 * len(orders))
    await fake_bus.transport.flush()
    assert set(scheduler._cluster.holdings.ports("n1")) == stays


async def test_ports_of_what_another_copy_has_placed_are_asked_of_metadata(
    fake_bus: Bus, fake_server: FakeServer, tasks: Tasks
) -> None:
    """The event has no spec. Who has placed the container knows its ports; the other copy asks for its record."""
    first, second = (Scheduler(Bus(FakeTransport(fake_server)), tasks) for _ in range(2))
    records = Records(1)
    await fake_bus.serve(GET_CONTAINER, records.get)
    for scheduler in (first, second):
        await scheduler.start()
    for name in ("n1", "n2"):
        await fake_bus.publish(BEAT, beat(name), node=name)
    await fake_bus.transport.flush()
    assert (await first.place(request(1, host_ports=(1001,)), Command.new())).node == "n1"
    await publish(fake_bus, "create", 1)
    await until(lambda: set(second._cluster.holdings.ports("n1")) == {1001})
    await fake_bus.publish(BEAT, beat("n1"), node="n1")  # an idle node, as before
    await fake_bus.transport.flush()
    assert set(first._cluster.holdings.ports("n1")) == {1001}
    assert records.asked == [container_id(1)], "only the copy that has not placed it asks"
    for scheduler in (first, second):
        assert (await scheduler.place(request(2, host_ports=(1001,)), Command.new())).node == "n2"
        assert (await scheduler.place(request(3, host_ports=(1002,)), Command.new())).node == "n1"


async def test_a_container_that_is_gone_when_its_ports_are_told_holds_none(fake_bus: Bus, tasks: Tasks) -> None:
    scheduler = Scheduler(fake_bus, tasks)
    await scheduler.start()
    records, let_go = Records(1), asyncio.Event()

    async def late(request: ResolveContainer, command: Command) -> ContainerRecord:
        found = await records.get(request, command)
        await let_go.wait()
        return found

    await fake_bus.serve(GET_CONTAINER, late)
    await fake_bus.publish(BEAT, beat("n1"), node="n1")
    await publish(fake_bus, "create", 1)
    await until(lambda: records.asked == [container_id(1)])
    await publish(fake_bus, "destroy", 1)
    await fake_bus.transport.flush()
    (learning,) = [task for task in asyncio.all_tasks() if "/learn-" in task.get_name()]
    let_go.set()
    await learning
    assert set(scheduler._cluster.holdings.ports("n1")) == set()


async def test_a_container_without_a_record_holds_no_port(fake_bus: Bus, tasks: Tasks) -> None:
    scheduler = Scheduler(fake_bus, tasks)
    await scheduler.start()
    records = Records()
    await fake_bus.serve(GET_CONTAINER, records.get)
    await fake_bus.publish(BEAT, beat("n1"), node="n1")
    await publish(fake_bus, "create", 1)
    await until(lambda: records.asked == [container_id(1)])
    assert (await fake_bus.call(PLACE, request(2, host_ports=(1001,)))).node == "n1"


async def test_nothing_is_placed_on_a_node_that_was_removed(fake_bus: Bus, tasks: Tasks) -> None:
    await Scheduler(fake_bus, tasks).start()
    for name in ("n1", "n2"):
        await fake_bus.publish(BEAT, beat(name), node=name)
    envelope = Envelope("node-n1-remove-x", "n1", NODE_REMOVE.noun, NODE_REMOVE.action, "n1", time_ns=1)
    body = NODE_REMOVE.encode(NodeEvent(node="n1"))
    await fake_bus.transport.store(NODE_REMOVE.subject("n1", "n1"), body, envelope.headers())
    await fake_bus.transport.flush()
    assert [(await fake_bus.call(PLACE, request(seed))).node for seed in range(2)] == ["n2", "n2"]
    with pytest.raises(SeawayError, match=r"^no node fits: 1 node: constraint node==n1 not met$"):
        await fake_bus.call(PLACE, request(3, constraints=(Condition(key="node", value="n1"),)))
    await fake_bus.publish(BEAT, beat("n1"), node="n1")  # its agent is not cut off yet
    assert (await fake_bus.call(PLACE, request(4))).node == "n2"
    await fake_bus.publish(BEAT, beat("n1", epoch="n1-epoch-2"), node="n1")
    assert (await fake_bus.call(PLACE, request(5))).node == "n1", "added again"


async def test_what_a_node_tells_is_not_heard(fake_bus: Bus, tasks: Tasks) -> None:
    """Only metadata judges that; the scheduler takes what it has published."""
    scheduler = Scheduler(fake_bus, tasks)
    await scheduler.start()
    records = Records(1)
    await fake_bus.serve(GET_CONTAINER, records.get)
    await fake_bus.publish(BEAT, beat("n1"), node="n1")
    await fake_bus.call(PLACE, request(1, host_ports=(1001,)))
    envelope, body = container_event("destroy", status(seq=9))
    told = CONTAINER_DESTROY.told_subject("n1", envelope.subject_id)
    await fake_bus.transport.publish(told, CONTAINER_DESTROY.encode(body), envelope.headers())
    await fake_bus.transport.flush()
    await scheduler._feed.current()
    assert set(scheduler._cluster.holdings.ports("n1")) == {1001}
    await publish(fake_bus, "destroy", 1)
    await until(lambda: set(scheduler._cluster.holdings.ports("n1")) == set())


async def test_a_placement_can_be_given_back(fake_bus: Bus, tasks: Tasks) -> None:
    """Each copy hears of it: whichever has placed it."""
    copies = [Scheduler(fake_bus, tasks) for _ in range(2)]
    for copy in copies:
        await copy.start()
    await fake_bus.publish(BEAT, beat("n1"), node="n1")
    await fake_bus.transport.flush()
    most = Resources(memory_reservation=8 * GIB)
    for copy in copies:
        await copy.place(request(1, resources=most), Command.new())
        with pytest.raises(SeawayError, match="not enough memory"):
            await copy.place(request(2, resources=most), Command.new())
    await fake_bus.publish(UNPLACED, ContainerId(id=container_id(1)))
    await fake_bus.transport.flush()
    for copy in copies:
        assert (await copy.place(request(2, resources=most), Command.new())).node == "n1"


async def test_a_container_that_another_copy_has_placed_elsewhere_takes_no_room_here(
    fake_bus: Bus, tasks: Tasks
) -> None:
    """Its first node refused it, and the other copy was asked for the next one."""
    copy = Scheduler(fake_bus, tasks)
    await copy.start()
    for name in ("n1", "n2"):
        await fake_bus.publish(BEAT, beat(name), node=name)
    await fake_bus.transport.flush()
    most = Resources(memory_reservation=8 * GIB)
    assert (await copy.place(request(1, resources=most), Command.new())).node == "n1"
    await publish(fake_bus, "create", 1, node="n2")
    await until(lambda: copy._cluster.placement(container_id(1)) is None)
    assert (await copy.place(request(2, resources=most), Command.new())).node == "n1"


async def test_ports_are_known_after_a_restart_and_after_a_lost_connection(
    fake_bus: Bus, fake_server: FakeServer, tasks: Tasks, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From the records, as soon as metadata can be asked, and by the events meanwhile."""
    monkeypatch.setattr(service, "_RETRY_S", 0.01)
    monkeypatch.setattr(service, "_ASK_S", 0.05)
    mine = FakeTransport(fake_server)
    scheduler = Scheduler(Bus(mine), tasks)
    await scheduler.start()
    for name in ("n1", "n2"):
        await fake_bus.publish(BEAT, beat(name), node=name)
    records = Records(1, 2, 3)
    await fake_bus.serve(GET_CONTAINER, records.get)
    await publish(fake_bus, "create", 1)
    await publish(fake_bus, "create", 2)
    await fake_bus.serve(LIST_NODES, nodes)
    await fake_bus.serve(LIST_CONTAINERS, listed)
    await until(lambda: set(scheduler._cluster.holdings.ports("n1")) == {80, 1001, 1002})
    mine.cut()
    await publish(fake_bus, "destroy", 1)
    await publish(fake_bus, "create", 3)
    mine.mend()
    await scheduler._feed.current()
    await until(lambda: set(scheduler._cluster.holdings.ports("n1")) == {80, 1002, 1003})


async def listed(request: ListContainers, command: Command) -> ContainerList:
    """One container, page by page."""
    if not request.after:
        return ContainerList(next="5-x")
    network = networking(ports=(PortBinding(container_port=80, host_port="80"), PortBinding(container_port=81)))
    return ContainerList(containers=(ContainerRecord(spec=spec(9, network=network), node="n1"),))


async def test_learns_silent_nodes_from_metadata(fake_bus: Bus, tasks: Tasks) -> None:
    await fake_bus.serve(LIST_NODES, nodes)
    await fake_bus.serve(LIST_CONTAINERS, none)
    await Scheduler(fake_bus, tasks).start()
    assert (await fake_bus.call(PLACE, request(1))).node == "n1"
    with pytest.raises(SeawayError, match="1 node: constraint node==n2 not met; 1 node: down") as caught:
        await fake_bus.call(PLACE, request(2, constraints=(Condition(key="node", value="n2"),)))
    assert caught.value.code == Code.UNPLACEABLE


async def test_a_node_that_has_refused_a_container_is_not_asked_again(fake_bus: Bus, tasks: Tasks) -> None:
    await Scheduler(fake_bus, tasks).start()
    for name in ("n1", "n2"):
        await fake_bus.publish(BEAT, beat(name), node=name)
    first = (await fake_bus.call(PLACE, request(1))).node
    second = (await fake_bus.call(PLACE, request(1, excluded=(first,)))).node
    assert {first, second} == {"n1", "n2"}
    with pytest.raises(SeawayError, match="no node fits: 2 nodes: refused it already"):
        await fake_bus.call(PLACE, request(1, excluded=(first, second)))


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
    await fake_bus.publish(BEAT, beat("n1"), node="n1")
    assert (await asked).node == "n1"


async def test_a_node_that_metadata_calls_down_may_be_about_to_beat(fake_bus: Bus, tasks: Tasks) -> None:
    await fake_bus.serve(LIST_NODES, down)
    await fake_bus.serve(LIST_CONTAINERS, none)
    await Scheduler(fake_bus, tasks).start()
    asked = asyncio.ensure_future(fake_bus.call(PLACE, request(1)))
    await fake_bus.transport.flush()
    await fake_bus.publish(BEAT, beat("n1"), node="n1")
    assert (await asked).node == "n1"


async def test_a_node_that_is_down_is_not_waited_for_again_and_again(
    fake_bus: Bus, tasks: Tasks, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service, "_FIRST_BEAT_S", 0.02)
    await fake_bus.serve(LIST_NODES, down)
    await fake_bus.serve(LIST_CONTAINERS, none)
    await Scheduler(fake_bus, tasks).start()
    for seed in (1, 2):
        with pytest.raises(SeawayError, match="1 node: down") as caught:
            await fake_bus.call(PLACE, request(seed))
        assert caught.value.code == Code.UNAVAILABLE


async def test_a_bad_constraint_is_the_callers_fault(fake_bus: Bus, tasks: Tasks) -> None:
    await Scheduler(fake_bus, tasks).start()
    await fake_bus.publish(BEAT, beat("n1"), node="n1")
    with pytest.raises(SeawayError) as caught:
        await fake_bus.call(PLACE, request(1, constraints=(Condition(key="disk", value="/(/"),)))
    assert caught.value.status == 400


def test_wrong_settings_end_in_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["--node", "a b"])
    assert caught.value.code == 2
    assert capsys.readouterr().err.count("\n") == 1


async def test_another_node_replaces_a_placement(fake_bus: Bus, tasks: Tasks) -> None:
    scheduler = Scheduler(fake_bus, tasks)
    await scheduler.start()
    for name in ("n1", "n2"):
        await fake_bus.publish(BEAT, beat(name), node=name)
    first = (await fake_bus.call(PLACE, request(1))).node
    (other,) = {"n1", "n2"} - {first}
    assert (await fake_bus.call(PLACE, request(1, node=other))).node == other
    assert (await fake_bus.call(PLACE, request(1))).node == other
    assert (await fake_bus.call(PLACE, request(2))).node == first


async def test_a_container_of_a_moment_ago_is_found_by_its_name(fake_bus: Bus, tasks: Tasks) -> None:
    """Metadata has its record before its event is stored. One that fails afterwards is forgotten."""
    await Scheduler(fake_bus, tasks).start()
    for name in ("n1", "n2", "n3"):
        await fake_bus.publish(BEAT, beat(name, running=int(name == "n1")), node=name)
    asked = []

    async def get(wanted: ResolveContainer, command: Command) -> ContainerRecord:
        asked.append(wanted.ref)
        if wanted.ref != "db":
            raise not_found(f"no such container: {wanted.ref}")
        return ContainerRecord(spec=spec(1, name="db"), node="n2")

    await fake_bus.serve(GET_CONTAINER, get)
    assert (await fake_bus.call(PLACE, request(1))).node == "n2"
    together, apart = Condition(key="container", value="db"), Condition(key="container", value="db", equal=False)
    assert (await fake_bus.call(PLACE, request(2, affinities=(together,)))).node == "n2"
    assert (await fake_bus.call(PLACE, request(3, affinities=(apart,)))).node == "n3"
    assert asked == ["db"]
    with pytest.raises(SeawayError, match=r"3 nodes: affinity container==cache not met"):
        await fake_bus.call(PLACE, request(4, affinities=(Condition(key="container", value="cache"),)))
    await fake_bus.publish(UNPLACED, ContainerId(id=container_id(1)))
    await fake_bus.call(PLACE, request(5, affinities=(apart,)))
    assert asked == ["db", "cache", "db"]


async def test_a_node_that_has_refused_a_container_does_not_get_it_again(fake_bus: Bus, tasks: Tasks) -> None:
    await Scheduler(fake_bus, tasks).start()
    for name in ("n1", "n2"):
        await fake_bus.publish(BEAT, beat(name), node=name)
    assert (await fake_bus.call(PLACE, request(1))).node == "n1"
    assert (await fake_bus.call(PLACE, request(1, excluded=("n1",)))).node == "n2"
    with pytest.raises(SeawayError, match=r"^no node fits: 2 nodes: refused it already$") as caught:
        await fake_bus.call(PLACE, request(1, excluded=("n1", "n2")))
    assert caught.value.code is Code.UNPLACEABLE
    assert [(await fake_bus.call(PLACE, request(seed))).node for seed in (2, 3)] == ["n1", "n2"], (
        "nothing is left of it"
    )


async def test_an_affinity_follows_a_rename(fake_bus: Bus, tasks: Tasks) -> None:
    scheduler = Scheduler(fake_bus, tasks)
    await scheduler.start()
    for name in ("n1", "n2"):
        await fake_bus.publish(BEAT, beat(name), node=name)
    scheduler._cluster.holds(Held(container_id(1), "n2", "old"))
    envelope, body = container_event("rename", status(seq=9), seed=1, node="n2")
    renamed = body.model_copy(update={"attributes": {"name": "new", "oldName": "/old"}})
    channel = event_channel("container", "rename")
    public = channel.published(public_body("container", channel.encode(renamed)))
    await fake_bus.transport.store(channel.subject("n2", envelope.subject_id), public, envelope.headers())
    await fake_bus.transport.flush()
    await scheduler._feed.current()
    new = Condition(key="container", value="new*")
    assert (await fake_bus.call(PLACE, request(2, affinities=(new,)))).node == "n2"


async def test_explains_a_choice_and_places_nothing(fake_bus: Bus, tasks: Tasks) -> None:
    scheduler = Scheduler(fake_bus, tasks)
    await scheduler.start()
    for name in ("n1", "n2"):
        await fake_bus.publish(BEAT, beat(name), node=name)
    for _ in range(2):
        found = await fake_bus.call(EXPLAIN_PLACE, request(1, constraints=(Condition(key="node", value="n2"),)))
        assert found.node == "n2"
        assert [(one.node, one.rank, one.filter) for one in found.verdicts] == [("n2", 1, ""), ("n1", 0, "constraint")]
    assert scheduler._cluster.placement(container_id(1)) is None
    with pytest.raises(SeawayError, match=r"^constraint node.role==manager is not valid: use node, ") as caught:
        await fake_bus.call(EXPLAIN_PLACE, request(1, constraints=(Condition(key="node.role", value="manager"),)))
    assert caught.value.code is Code.BAD_REQUEST


def counted(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(name, labels) or 0.0


async def test_placements_and_refusals_are_counted(fake_bus: Bus, tasks: Tasks) -> None:
    await Scheduler(fake_bus, tasks).start()
    for name in ("n1", "n2"):
        await fake_bus.publish(BEAT, beat(name), node=name)
    placed, refused = (counted("seaway_scheduler_placements_total", outcome=one) for one in ("placed", "refused"))
    by_filter = counted("seaway_scheduler_refusals_total", filter="constraint")
    sought = counted("seaway_scheduler_placement_seconds_count")
    await fake_bus.call(PLACE, request(1))
    await fake_bus.call(PLACE, request(1))
    with pytest.raises(SeawayError):
        await fake_bus.call(
            PLACE, request(2, constraints=(Condition(key="node.labels.disk", operator="==", value="no"),))
        )
    assert counted("seaway_scheduler_placements_total", outcome="placed") == placed + 1
    assert counted("seaway_scheduler_placements_total", outcome="refused") == refused + 1
    assert counted("seaway_scheduler_refusals_total", filter="constraint") == by_filter + 2, "by each of two nodes"
    assert counted("seaway_scheduler_placement_seconds_count") == sought + 2, "not for the one that has its node"
