"""Whatever happens to a cluster: its counters are those of one that is made anew, and its placements are safe."""

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from tests.unit.seaway_scheduler.clusters import CORE, best_by_looking_at_all, can_take

from seaway_contracts.containers import DeviceRequest, Resources
from seaway_contracts.nodes import GPU_KIND, Capacity, NodeFacts, Reservation
from seaway_contracts.placement import Condition, PlaceRequest
from seaway_scheduler.cluster import Cluster
from seaway_scheduler.conditions import matcher
from seaway_scheduler.holdings import Held, Holdings
from seaway_scheduler.node import NodeTerms, Policy
from seaway_scheduler.order import Order
from seaway_scheduler.place import Placed, place
from seaway_scheduler.rank import level
from seaway_testing.builders import GIB, beat, container_id, node_record

NAMES = tuple(f"n{number}" for number in range(4))
names = st.sampled_from(NAMES)
seeds = st.integers(0, 12)
sizes = st.sampled_from([0, 0, -3 * GIB, 1, GIB // 3, GIB, 3 * GIB, 9 * GIB])
cpus = st.sampled_from([0, 0, 1, CORE // 2, 2 * CORE, 5 * CORE])
WEB, BACK = Condition(key="tier", value="web"), Condition(key="tier", value="ba*")
affinities = st.sampled_from(
    [
        (),
        (),
        (WEB,),
        (BACK.model_copy(update={"equal": False}),),
        (WEB.model_copy(update={"soft": True}),),
        (Condition(key="container", value="c3", equal=False),),
    ]
)
constraints = st.sampled_from(
    [(), (), (Condition(key="disk", value="ssd"),), (Condition(key="node", value="/n[12]/", soft=True),)]
)
requests = st.builds(
    lambda seed, excluded, ports, tier, conditions, nodes, gpus, **resources: PlaceRequest(
        container_id=container_id(seed),
        excluded=excluded,
        host_ports=ports,
        labels={"tier": tier},
        affinities=conditions,
        constraints=nodes,
        resources=Resources(**resources, device_requests=gpus),
    ),
    seeds,
    st.lists(names, max_size=3, unique=True).map(tuple),
    st.sampled_from([(), (), (80,), (80, 81)]),
    st.sampled_from(["web", "back", "batch"]),
    affinities,
    constraints,
    st.sampled_from([(), (), (DeviceRequest(count=1, capabilities=(("gpu",),)),)]),
    memory=sizes,
    memory_reservation=sizes,
    nano_cpus=cpus,
    cpu_reservation=cpus,
)
beats = st.builds(
    lambda name, free, reserved, running, stopped, memory, leaving, gpus, epoch: beat(
        name,
        epoch=epoch,
        facts=NodeFacts(devices={GPU_KIND: gpus} if gpus else {}, runtimes={f"r{gpus}": "/r"}, os=f"os{gpus}"),
        capacity=Capacity(nano_cpus=4 * CORE, memory=memory),
        free=Capacity(nano_cpus=free * CORE, memory=memory * free // 4),
        reserved=Reservation(memory=reserved, nano_cpus=CORE // 2, devices={GPU_KIND: 1} if gpus else {}),
        running=running,
        containers=running + stopped,
        leaving=leaving,
    ),
    names,
    st.sampled_from([4, 4, 4, 2, 0]),
    st.sampled_from([0, 0, 0, GIB, 8 * GIB, 9 * GIB]),
    st.integers(0, 3),
    st.integers(0, 2),
    st.sampled_from([8 * GIB, 8 * GIB, 8 * GIB, 8 * GIB + 4096, 16 * GIB]),
    st.sampled_from([False] * 9 + [True]),
    st.sampled_from([0, 0, 1, 3]),
    st.sampled_from(["e1", "e1", "e2"]),
)
terms = st.builds(
    NodeTerms,
    st.sampled_from(["active", "active", "active", "pause", "drain"]),
    st.sampled_from([{}, {"disk": "ssd"}]),
    st.sampled_from([Reservation(), Reservation(memory=GIB, nano_cpus=CORE)]),
)


class AnyEvents(RuleBasedStateMachine):
    """Events in any order. What must hold of a cluster is looked at after each of them."""

    def __init__(self) -> None:
        super().__init__()
        self.cluster = Cluster()
        self.now = 0.0

    @rule(beat=beats)
    def beat_comes(self, beat: object) -> None:
        self.cluster.beat(beat, self.now)  # type: ignore[arg-type]

    @rule(seconds=st.sampled_from([0.5, 1.0, 30.0]))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds
        self.cluster.tick(self.now)

    @rule(several=st.lists(requests, min_size=1, max_size=6), seed=st.integers(0, 99))
    def placed(self, several: list[PlaceRequest], seed: int) -> None:
        for request in several:
            self._place(request, seed)

    def _place(self, request: PlaceRequest, seed: int) -> None:
        self.cluster.unplaced(request.container_id)
        expected = best_by_looking_at_all(request, self.cluster)
        found = place(request, self.cluster, seed)
        assert found == place(request, self.cluster, seed), "deterministic"
        if self.cluster.policy.strategy != "random":
            assert (found.node if isinstance(found, Placed) else None) == expected
        assert isinstance(found, Placed) == (expected is not None)
        if isinstance(found, Placed):
            assert found.node not in request.excluded
            assert self.cluster.nodes[found.node].terms.availability == "active"
            assert can_take(self.cluster.nodes[found.node], request, self.cluster.policy)
            self.cluster.placed(request, found.node, self.now)
        else:
            assert sum(found.reasons.values()) == len(self.cluster)

    @rule(seed=seeds, name=names)
    def made(self, seed: int, name: str) -> None:
        if self.cluster.made(container_id(seed), name):
            self.cluster.named(container_id(seed), f"c{seed}")

    @rule(seed=seeds, name=names, port=st.sampled_from([80, 81, 82]), tier=st.sampled_from(["web", "back"]))
    def record_comes(self, seed: int, name: str, port: int, tier: str) -> None:
        labels = {"tier": tier}
        self.cluster.holds(Held(container_id(seed), name, f"c{seed}", "busybox", "", labels, frozenset({port})))

    @rule(seed=seeds)
    def unplaced(self, seed: int) -> None:
        self.cluster.unplaced(container_id(seed))

    @rule(seed=seeds)
    def gone(self, seed: int) -> None:
        self.cluster.gone(container_id(seed))

    @rule(name=names, epoch=st.sampled_from(["", "e1", "e2"]))
    def removed(self, name: str, epoch: str) -> None:
        self.cluster.removed(name, epoch)
        assert name not in self.cluster.nodes or epoch not in ("", self.cluster.nodes[name].beat.epoch)

    @rule(name=names, terms=terms)
    def terms_are_set(self, name: str, terms: NodeTerms) -> None:
        self.cluster.set_terms(name, terms)

    @rule(strategy=st.sampled_from(["spread", "binpack", "random"]), overcommit=st.sampled_from([0.5, 1.0, 1.0, 1.5]))
    def policy_is_set(self, strategy: str, overcommit: float) -> None:
        self.cluster.set_policy(Policy(strategy, overcommit, overcommit))  # type: ignore[arg-type]

    @rule()
    def could_not_hear(self) -> None:
        self.cluster.excuse(self.now)

    @rule()
    def metadata_is_asked(self) -> None:
        self.cluster.load([node_record(name) for name in NAMES[:3]], self.now)

    @invariant()
    def counts_are_those_of_a_rebuilt_cluster(self) -> None:
        for node in self.cluster.nodes.values():
            counters = (node.free_cpus, node.free_memory, node.room_cpus, node.room_memory, node.running)
            node.count(self.cluster.policy)
            assert counters == (node.free_cpus, node.free_memory, node.room_cpus, node.room_memory, node.running)
            assert set(node.promises) == {one for one, name in self.cluster._placed.items() if name == node.name}
        assert self.cluster.up == sum(node.up for node in self.cluster.nodes.values())
        assert set(self.cluster._placed.values()) <= self.cluster.nodes.keys()

    @invariant()
    def offers_are_those_of_a_rebuilt_cluster(self) -> None:
        facts = [node.beat.facts for node in self.cluster.nodes.values()]
        assert self.cluster.has_device(GPU_KIND) == any(GPU_KIND in one.devices for one in facts)
        for name in ("r0", "r1", "r3"):
            assert self.cluster.has_runtime(name) == any(name in one.runtimes for one in facts)
        assert set(self.cluster.platforms) == {(one.os, one.architecture) for one in facts}

    @invariant()
    def each_node_that_is_up_is_looked_at_in_time(self) -> None:
        queue = self.cluster._silent_at
        for node in self.cluster.nodes.values():
            if node.up:
                assert [entry for entry in queue if entry == (node.due, node.name)]
                assert node.due <= node.silent_at

    @invariant()
    def the_order_is_that_of_a_rebuilt_cluster(self) -> None:
        rebuilt = Order(self.cluster.order.ranking)
        for node in self.cluster.nodes.values():
            if node.up:
                rebuilt.put(node)
        assert self.cluster.order.groups() == rebuilt.groups()

    @invariant()
    def holdings_are_those_of_a_rebuilt_cluster(self) -> None:
        rebuilt = Holdings()
        for held in self.cluster.holdings:
            rebuilt.add(held)
        for name in NAMES:
            assert set(self.cluster.holdings.ports(name)) == set(rebuilt.ports(name))
        assert self.cluster.holdings.with_image("busybox") == rebuilt.with_image("busybox")
        for condition in (WEB, BACK, Condition(key="container", value="c3")):
            asked = matcher(condition)
            assert set(self.cluster.holdings.matching(asked)) == set(rebuilt.matching(asked))


TestAnyEvents = AnyEvents.TestCase
TestAnyEvents.settings = settings(max_examples=80, stateful_step_count=40, deadline=None)


@given(st.integers(-5, 1 << 50), st.integers(-5, 1 << 50))
def test_levels_grow_with_the_number(one: int, other: int) -> None:
    """So no group is passed over that has a node with enough room."""
    assert (level(one) <= level(other)) or one > other
