"""What the scheduler counts between two beats."""

from hypothesis import given
from hypothesis import strategies as st

from seaway_contracts.containers import Resources
from seaway_contracts.nodes import Capacity
from seaway_contracts.placement import PlaceRequest
from seaway_scheduler.snapshot import UNMADE_S, Cluster
from seaway_testing.builders import GIB, beat, container_id, node_record


def request(seed: int = 1, **fields: object) -> PlaceRequest:
    return PlaceRequest(container_id=container_id(seed), **fields)  # type: ignore[arg-type]


def test_silent_nodes_are_down() -> None:
    cluster = Cluster()
    cluster.beat(beat("n1"), 0.0)
    cluster.beat(beat("n2", interval_ns=5_000_000_000), 0.0)
    assert [view.up for view in cluster.snapshot(3.0)] == [True, True]
    assert [view.up for view in cluster.snapshot(3.1)] == [False, True]
    assert [view.up for view in cluster.snapshot(15.1)] == [False, False]
    cluster.beat(beat("n1"), 20.0)
    assert [view.up for view in cluster.snapshot(20.0)] == [True, False]


def test_a_node_that_leaves_is_down_until_it_beats_again() -> None:
    cluster = Cluster()
    cluster.beat(beat("n1"), 0.0)
    cluster.placed(request(), "n1", 0.0)
    cluster.beat(beat("n1", leaving=True), 0.1)
    assert [view.up for view in cluster.snapshot(0.1)] == [False]
    assert cluster.placement(container_id(1), 0.1) is None
    cluster.excuse(0.2)
    assert [view.up for view in cluster.snapshot(0.2)] == [False]
    cluster.beat(beat("n1", epoch="n1-epoch-2"), 0.3)
    assert [view.up for view in cluster.snapshot(0.3)] == [True]


def test_a_lost_connection_makes_no_dead_node_live() -> None:
    cluster = Cluster()
    for name in ("n1", "n2"):
        cluster.beat(beat(name), 0.0)
    cluster.beat(beat("n1"), 50.0)
    cluster.excuse(60.0)
    assert [view.up for view in cluster.snapshot(60.0)] == [True, False]


def test_metadata_knows_nodes_that_are_silent() -> None:
    cluster = Cluster()
    cluster.beat(beat("n1", running=7), 0.0)
    cluster.load([node_record("n1"), node_record("n2"), node_record("n3", up=False)], 0.0)
    views = cluster.snapshot(0.0)
    assert [(view.name, view.up, view.running) for view in views] == [
        ("n1", True, 7),
        ("n2", True, 0),
        ("n3", False, 0),
    ]
    cluster.excuse(100.0)
    assert [view.up for view in cluster.snapshot(100.0)] == [True, True, False]


def test_a_node_is_known_by_hearsay_until_it_beats() -> None:
    cluster = Cluster()
    cluster.beat(beat("n1"), 0.0)
    cluster.load([node_record("n1"), node_record("n2")], 0.0)
    assert [(view.up, view.heard) for view in cluster.snapshot(0.0)] == [(True, True), (True, False)]
    cluster.beat(beat("n2"), 1.0)
    assert [view.heard for view in cluster.snapshot(1.0)] == [True, True]


def test_a_placement_counts_until_a_beat_shows_it() -> None:
    cluster = Cluster()
    cluster.beat(beat("n1"), 0.0)
    cluster.placed(request(resources=Resources(memory=GIB, nano_cpus=500)), "n1", 0.0)
    promised = cluster.snapshot(0.0)[0]
    assert promised.free == Capacity(nano_cpus=4_000_000_000 - 500, memory=7 * GIB)
    assert (promised.running, promised.containers) == (1, 1)
    cluster.beat(beat("n1"), 1.0)
    assert cluster.snapshot(1.0)[0].running == 1, "not made yet, so this beat can't show it"
    assert cluster.made(container_id(1), "n1")
    assert cluster.snapshot(1.5)[0].running == 1
    cluster.beat(beat("n1", running=1), 2.0)
    assert cluster.snapshot(2.0)[0].running == 1


def test_a_placement_that_comes_to_nothing_is_forgotten() -> None:
    cluster = Cluster()
    cluster.beat(beat("n1"), 0.0)
    cluster.placed(request(1), "n1", 0.0)
    cluster.placed(request(2), "n1", 0.0)
    cluster.gone(container_id(2))
    assert cluster.snapshot(0.0)[0].running == 1
    cluster.beat(beat("n1"), UNMADE_S)
    assert cluster.snapshot(UNMADE_S)[0].running == 0


def test_asked_again_the_answer_is_the_same() -> None:
    cluster = Cluster()
    cluster.beat(beat("n1"), 0.0)
    assert cluster.placement(container_id(1), 0.0) is None
    cluster.placed(request(1), "n1", 0.0)
    assert cluster.placement(container_id(1), 1.0) == "n1"
    assert cluster.placement(container_id(1), 99.0) is None, "the node is down"


def test_ports_stay_taken_until_the_container_is_destroyed() -> None:
    cluster = Cluster()
    cluster.beat(beat("n1"), 0.0)
    cluster.placed(request(1, host_ports=(80, 443)), "n1", 0.0)
    assert cluster.snapshot(0.0)[0].host_ports == {80, 443}
    assert cluster.made(container_id(1), "n1")
    cluster.beat(beat("n1"), 1.0)
    assert cluster.snapshot(1.0)[0].host_ports == {80, 443}
    cluster.gone(container_id(1))
    assert cluster.snapshot(1.0)[0].host_ports == frozenset()


def test_a_placement_that_comes_to_nothing_leaves_no_port_taken() -> None:
    cluster = Cluster()
    cluster.beat(beat("n1"), 0.0)
    cluster.placed(request(1, host_ports=(80,), resources=Resources(memory=GIB)), "n1", 0.0)
    cluster.unplaced(container_id(1))
    view = cluster.snapshot(0.0)[0]
    assert (view.host_ports, view.free.memory, view.running) == (frozenset(), 8 * GIB, 0)
    cluster.placed(request(2, host_ports=(81,)), "n1", 0.0)
    cluster.beat(beat("n1"), UNMADE_S)
    assert cluster.snapshot(UNMADE_S)[0].host_ports == frozenset(), "nobody has said what became of it"


def test_ports_of_what_was_placed_elsewhere_are_not_known_by_its_being_made() -> None:
    cluster = Cluster()
    assert not cluster.made(container_id(1), "n1"), "a node that has not been heard"
    for name in ("n1", "n2"):
        cluster.beat(beat(name), 0.0)
    cluster.placed(request(1, host_ports=(80,)), "n1", 0.0)
    assert not cluster.made(container_id(1), "n2"), "not where it was placed"
    assert not cluster.made(container_id(2), "n1")
    assert [view.host_ports for view in cluster.snapshot(0.0)] == [{80}, frozenset()]
    cluster.holds(container_id(2), "n2", (81, 82))
    assert [view.host_ports for view in cluster.snapshot(0.0)] == [{80}, {81, 82}]
    cluster.gone(container_id(2))
    cluster.holds(container_id(2), "n2", (81, 82))
    assert cluster.snapshot(0.0)[1].host_ports == frozenset(), "told after its end"


@given(st.data())
def test_events_and_records_twice_and_in_any_order_end_the_same(data: st.DataObject) -> None:
    """Containers 0 to 5 were made, of which 0, 1 and 4 are gone. 4 and 5 were placed by another copy: their ports are
    known by their records alone.
    """
    placed = [("made", seed) for seed in range(4)]
    elsewhere = [(kind, seed) for kind in ("made", "holds") for seed in (4, 5)]
    told = (placed + elsewhere) * 2 + [("gone", 0), ("gone", 1), ("gone", 4)] * 2
    cluster = Cluster()
    cluster.beat(beat("n1"), 0.0)
    for seed in range(4):
        cluster.placed(request(seed, host_ports=(seed + 1,)), "n1", 0.0)
    for kind, seed in data.draw(st.permutations(told)):
        if kind == "made":
            cluster.made(container_id(seed), "n1")
        elif kind == "holds":
            cluster.holds(container_id(seed), "n1", (seed + 1,))
        else:
            cluster.gone(container_id(seed))
    cluster.beat(beat("n1", running=3), 1.0)
    view = cluster.snapshot(1.0)[0]
    assert (view.host_ports, view.running) == ({3, 4, 6}, 3)
