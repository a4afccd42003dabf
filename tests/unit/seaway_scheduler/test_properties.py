"""What holds of every placement, whatever the nodes and the containers."""

from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.seaway_scheduler.clusters import CORE, add, request

from seaway_contracts.containers import DeviceRequest, Resources
from seaway_contracts.nodes import GPU_KIND, Capacity, Reservation, reservation, total
from seaway_contracts.placement import Condition, PlaceRequest
from seaway_scheduler.cluster import Cluster
from seaway_scheduler.node import NodeTerms, Policy
from seaway_scheduler.place import Placed, place
from seaway_testing.builders import GIB, beat, container_id

WHOLE = Capacity(nano_cpus=4 * CORE, memory=8 * GIB)
shares = st.builds(
    Reservation, nano_cpus=st.sampled_from([0, CORE]), memory=st.sampled_from([0, GIB, 9 * GIB]), devices=st.just({})
)
policies = st.builds(
    Policy,
    st.sampled_from(["spread", "binpack", "random"]),
    st.sampled_from([0.5, 1.0, 1.5]),
    st.sampled_from([0.5, 1.0, 2.0]),
)
wanted = st.builds(
    lambda memory, cpus, gpus: Resources(
        memory_reservation=memory,
        cpu_reservation=cpus,
        device_requests=(DeviceRequest(count=gpus, capabilities=(("gpu",),)),) if gpus else (),
    ),
    st.sampled_from([0, -GIB, 1, GIB // 3, 3 * GIB, 20 * GIB]),
    st.sampled_from([0, -CORE, 1, CORE // 3, 2 * CORE, 9 * CORE]),
    st.sampled_from([0, 0, 1, 2]),
)


@given(st.lists(shares, min_size=1, max_size=4), policies, st.lists(wanted, max_size=40), st.integers(0, 99))
def test_no_node_reserves_more_than_it_may(
    kept_free: list[Reservation], policy: Policy, asked: list[Resources], seed: int
) -> None:
    """And none is refused as long as one node may reserve it. Beats come in between, and count what was made."""
    cluster = Cluster(policy)
    held: dict[str, list[Reservation]] = {}
    for number, share in enumerate(kept_free):
        name = f"n{number}"
        add(cluster, name, devices={GPU_KIND: 3}, reserved=Reservation())
        cluster.set_terms(name, NodeTerms(reserved=share))
        held[name] = []

    def fits(name: str, more: Reservation) -> bool:
        node, share = total((*held[name], more)), cluster.nodes[name].terms.reserved
        return (
            (not more.memory or node.memory <= int(WHOLE.memory * policy.memory_overcommit) - share.memory)
            and (not more.nano_cpus or node.nano_cpus <= int(WHOLE.nano_cpus * policy.cpu_overcommit) - share.nano_cpus)
            and node.devices.get(GPU_KIND, 0) <= 3
        )

    for number, resources in enumerate(asked):
        one = request(number, resources=resources)
        found, more = place(one, cluster, seed + number), reservation(resources)
        if not isinstance(found, Placed):
            assert not any(fits(name, more) for name in held)
            continue
        assert fits(found.node, more)
        held[found.node].append(more)
        cluster.placed(one, found.node, 0.0)
        if number % 3 == 0:
            cluster.made(one.container_id, found.node)
        if number % 7 == 0:
            _beat(cluster, found.node, held[found.node])


def _beat(cluster: Cluster, name: str, held: list[Reservation]) -> None:
    """The node's beat, with all that is made; what is not made yet stays a promise."""
    node = cluster.nodes[name]
    promised = [promise.reserved for promise in node.promises.values() if not promise.made]
    for one in promised:
        held = [*held[: held.index(one)], *held[held.index(one) + 1 :]]
    facts = node.beat.facts
    cluster.beat(beat(name, capacity=WHOLE, free=WHOLE, reserved=total(held), facts=facts), 0.0)


@given(
    st.permutations([f"n{number}" for number in range(6)]),
    st.permutations([f"n{number}" for number in range(6)]),
    policies,
    st.lists(st.tuples(wanted, st.booleans()), max_size=12),
    st.integers(0, 1 << 64),
)
@settings(max_examples=50)
def test_the_same_nodes_and_seed_give_the_same_choices(
    one: list[str], other: list[str], policy: Policy, asked: list[tuple[Resources, bool]], seed: int
) -> None:
    """In whatever order the nodes were heard."""
    clusters = [_joined(names, policy) for names in (one, other)]
    for number, (resources, picky) in enumerate(asked):
        wish = (Condition(key="disk", value="ssd", soft=True),) if picky else ()
        each = request(number, resources=resources, constraints=wish)
        first, second = (place(each, cluster, seed) for cluster in clusters)
        assert str(first) == str(second)
        if isinstance(first, Placed):
            for cluster in clusters:
                cluster.placed(each, first.node, 0.0)


def _joined(names: list[str], policy: Policy) -> Cluster:
    cluster = Cluster(policy)
    for name in names:
        add(cluster, name, labels={"disk": "ssd"} if name in ("n1", "n4") else {}, memory=(8 + int(name[1])) * GIB)
    return cluster


@given(st.integers(1, 6), st.integers(0, 6), st.lists(st.sampled_from(["beat", "stop", ""]), max_size=50))
def test_spread_within_one_whatever_comes_in_between(fit: int, others: int, between: list[str]) -> None:
    """Over the nodes that meet a constraint, with beats that come late, and containers that are not made."""
    cluster = Cluster()
    for number in range(fit + others):
        add(cluster, f"n{number}", labels={"disk": "ssd"} if number < fit else {})
    asked = PlaceRequest(container_id="", constraints=(Condition(key="disk", value="ssd"),))
    made: dict[str, int] = {f"n{number}": 0 for number in range(fit)}
    for number, what in enumerate(between):
        one = asked.model_copy(update={"container_id": container_id(number)})
        found = place(one, cluster)
        assert isinstance(found, Placed)
        cluster.placed(one, found.node, 0.0)
        if what == "stop":
            cluster.unplaced(one.container_id)
            continue
        cluster.made(one.container_id, found.node)
        made[found.node] += 1
        if what == "beat":
            count = made[found.node]
            facts = cluster.nodes[found.node].beat.facts
            cluster.beat(
                beat(found.node, capacity=WHOLE, free=WHOLE, running=count, containers=count, facts=facts), 0.0
            )
        assert max(made.values()) - min(made.values()) <= 1
