"""Placement: what it must never do, and what it prefers."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seaway_contracts.containers import Resources
from seaway_contracts.errors import SeawayError
from seaway_contracts.nodes import Capacity
from seaway_contracts.placement import PlaceRequest
from seaway_scheduler.constraints import NodeTraits, parse
from seaway_scheduler.place import NodeView, Placed, Rejected, place
from seaway_testing.builders import GIB, container_id

CORE = 1_000_000_000


def node(name: str, *, up: bool = True, memory: int = 8 * GIB, cores: int = 4, **changes: object) -> NodeView:
    whole = Capacity(nano_cpus=cores * CORE, memory=memory)
    view = NodeView(NodeTraits(name), up, whole, whole)
    return replace(view, **changes)  # type: ignore[arg-type]


def request(**resources: int) -> PlaceRequest:
    return PlaceRequest(container_id=container_id(), resources=Resources(**resources))  # type: ignore[arg-type]


views = st.builds(
    lambda name, up, memory, free, cores, running: node(
        name,
        up=up,
        memory=memory,
        cores=cores,
        free=Capacity(nano_cpus=cores * CORE, memory=min(free, memory)),
        running=running,
        containers=running,
    ),
    st.sampled_from([f"n{number}" for number in range(6)]),
    st.booleans(),
    st.integers(GIB, 64 * GIB),
    st.integers(-GIB, 64 * GIB),
    st.integers(1, 64),
    st.integers(0, 100),
)
clusters = st.lists(views, max_size=6, unique_by=lambda view: view.name)
requests = st.builds(
    lambda reservation, limit, cpus: request(memory_reservation=reservation, memory=limit, nano_cpus=cpus * CORE),
    st.integers(0, 70 * GIB),
    st.integers(0, 70 * GIB),
    st.integers(0, 70),
)


@given(requests, clusters)
def test_never_on_a_node_that_cannot(wanted: PlaceRequest, cluster: list[NodeView]) -> None:
    found = place(wanted, cluster)
    able = {
        view.name
        for view in cluster
        if view.up
        and wanted.resources.memory_reservation <= max(0, view.free.memory)
        and wanted.resources.nano_cpus <= view.capacity.nano_cpus
    }
    if isinstance(found, Placed):
        assert found.node in able
    else:
        assert not able
        assert sum(found.reasons.values()) == len(cluster)


@given(requests, clusters, st.randoms())
def test_the_order_of_nodes_does_not_matter(wanted: PlaceRequest, cluster: list[NodeView], random: object) -> None:
    shuffled = list(cluster)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert place(wanted, shuffled) == place(wanted, cluster)


@given(st.integers(1, 8), st.integers(0, 60), st.integers(0, 1 << 28), st.integers(0, CORE))
def test_equal_containers_spread_evenly_over_equal_nodes(nodes: int, count: int, memory: int, cpus: int) -> None:
    cluster = {f"n{number}": node(f"n{number}", memory=64 * GIB, cores=64) for number in range(nodes)}
    for _ in range(count):
        found = place(request(memory=memory, nano_cpus=cpus), list(cluster.values()))
        assert isinstance(found, Placed)
        view = cluster[found.node]
        free = Capacity(nano_cpus=view.free.nano_cpus - cpus, memory=view.free.memory - memory)
        cluster[found.node] = replace(view, free=free, running=view.running + 1, containers=view.containers + 1)
    counts = [view.running for view in cluster.values()]
    assert max(counts) - min(counts) <= 1


def test_larger_nodes_take_more() -> None:
    cluster = {"big": node("big", cores=8), "small": node("small", cores=2)}
    for _ in range(50):
        found = place(request(), list(cluster.values()))
        assert isinstance(found, Placed)
        view = cluster[found.node]
        cluster[found.node] = replace(view, running=view.running + 1)
    assert (cluster["big"].running, cluster["small"].running) == (40, 10)


def test_limits_are_no_reservations() -> None:
    """Docker lets limits promise more memory than there is."""
    full = node("n1", free=Capacity(nano_cpus=0, memory=-GIB))
    assert place(request(memory=4 * GIB), [full]) == Placed("n1")
    assert isinstance(place(request(memory_reservation=1), [full]), Rejected)


def test_the_emptier_node_is_preferred() -> None:
    half = node("a", free=Capacity(nano_cpus=4 * CORE, memory=4 * GIB))
    assert place(request(), [half, node("b", running=50)]) == Placed("b")


def test_stopped_containers_weigh_last() -> None:
    assert place(request(), [node("a", containers=9), node("b")]) == Placed("b")
    assert place(request(), [node("a", containers=9), node("b", running=1, containers=1)]) == Placed("a")


def test_a_taken_port_sends_it_elsewhere_if_there_is_an_elsewhere() -> None:
    wanted = PlaceRequest(container_id=container_id(), host_ports=(80,))
    taken = node("a", host_ports=frozenset({80}))
    assert place(wanted, [taken, node("b", running=10)]) == Placed("b")
    assert place(wanted, [taken]) == Placed("a")


def test_a_node_that_has_been_heard_is_preferred_to_one_that_is_only_said_to_be_up() -> None:
    full, silent = node("full", running=90), replace(node("silent"), heard=False)
    assert place(request(), [full, silent]) == Placed("full")
    assert place(request(), [silent]) == Placed("silent")
    assert place(request(), [replace(full, up=False), silent]) == Placed("silent")


@pytest.mark.parametrize(
    ("constraint", "chosen"),
    [
        ("node.labels.disk==ssd", "b"),
        ("node.labels.disk!=ssd", "a"),
        ("node == b", "b"),
        ("node!=a", "b"),
        ("node.hostname==host-b", "b"),
        ("node.platform.arch==arm64", "b"),
    ],
)
def test_constraints(constraint: str, chosen: str) -> None:
    second = NodeTraits("b", "host-b", architecture="arm64", labels={"disk": "ssd"})
    cluster = [node("a"), node("b", traits=second, running=5)]
    wanted = PlaceRequest(container_id=container_id(), constraints=(constraint,))
    assert place(wanted, cluster) == Placed(chosen)


@pytest.mark.parametrize("text", ["", "node", "node=b", "node.labels.==x", "disk==ssd", "== x", "node>=3"])
def test_a_constraint_that_cannot_be_read(text: str) -> None:
    with pytest.raises(SeawayError, match=r"constraint") as caught:
        parse(text)
    assert caught.value.status == 400


def test_a_refusal_explains_itself_in_counts() -> None:
    cluster = [
        node("a", free=Capacity(nano_cpus=0, memory=0)),
        node("b", free=Capacity(nano_cpus=0, memory=0)),
        node("c", up=False),
        node("d", cores=1, free=Capacity(nano_cpus=0, memory=64 * GIB)),
    ]
    found = place(request(memory_reservation=GIB, nano_cpus=2 * CORE), cluster)
    assert str(found) == "no node can take it: 2 lack memory, 1 is down, 1 has too few CPUs"
    found = place(PlaceRequest(container_id=container_id(), constraints=("node==z",)), cluster[:2])
    assert str(found) == "no node can take it: 2 do not fit node==z"


def test_cpu_quota_counts_as_cpus() -> None:
    assert isinstance(place(request(cpu_quota=500_000, cpu_period=100_000), [node("a", cores=4)]), Rejected)
    assert place(request(cpu_quota=400_000), [node("a", cores=4)]) == Placed("a")


def on(name: str, **resources: int) -> PlaceRequest:
    return request(**resources).model_copy(update={"node": name})


def test_only_the_node_that_is_asked_for() -> None:
    cluster = [node("n1"), node("n2", running=50), node("n3")]
    assert place(on("n2"), cluster) == Placed("n2")


@pytest.mark.parametrize(
    ("wanted", "reasons"),
    [
        (on("n2"), "2 are not the node of its networks, 1 is down"),
        (on("n1", memory_reservation=9 * GIB), "2 are not the node of its networks, 1 lacks memory"),
        (on("n9"), "3 are not the node of its networks"),
    ],
)
def test_the_node_that_is_asked_for_must_be_able(wanted: PlaceRequest, reasons: str) -> None:
    found = place(wanted, [node("n1"), node("n2", up=False), node("n3")])
    assert str(found) == f"no node can take it: {reasons}"
