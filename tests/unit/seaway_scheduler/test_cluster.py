"""What the scheduler counts between two beats."""

from collections.abc import Mapping

from hypothesis import given
from hypothesis import strategies as st

from seaway_contracts.containers import Resources
from seaway_contracts.nodes import Capacity, Reservation
from seaway_contracts.placement import PlaceRequest
from seaway_scheduler.cluster import UNMADE_S, Cluster
from seaway_scheduler.holdings import Held
from seaway_scheduler.node import NodeTerms, Policy
from seaway_testing.builders import GIB, beat, container_id, node_record


def request(seed: int = 1, **fields: object) -> PlaceRequest:
    return PlaceRequest(container_id=container_id(seed), **fields)  # type: ignore[arg-type]


def held(seed: int, node: str, *ports: int) -> Held:
    return Held(container_id(seed), node, f"c{seed}", host_ports=frozenset(ports))


def up(cluster: Cluster, now: float) -> Mapping[str, bool]:
    cluster.tick(now)
    states = {name: node.up for name, node in cluster.nodes.items()}
    assert cluster.up == sum(states.values())
    return states


def ports(cluster: Cluster, name: str = "n1") -> set[int]:
    return set(cluster.holdings.ports(name))


def test_silent_nodes_are_down() -> None:
    cluster = Cluster()
    cluster.beat(beat("n1"), 0.0)
    cluster.beat(beat("n2", interval_ns=5_000_000_000), 0.0)
    assert up(cluster, 3.0) == {"n1": True, "n2": True}
    assert up(cluster, 3.1) == {"n1": False, "n2": True}
    assert up(cluster, 15.1) == {"n1": False, "n2": False}
    cluster.beat(beat("n1"), 20.0)
    assert up(cluster, 20.0) == {"n1": True, "n2": False}
    cluster.beat(beat("n1"), 22.0)
    assert up(cluster, 24.9) == {"n1": True, "n2": False}


def test_a_shorter_interval_shortens_the_patience() -> None:
    cluster = Cluster()
    cluster.beat(beat("n1", interval_ns=20_000_000_000), 0.0)
    cluster.beat(beat("n1"), 1.0)
    assert up(cluster, 4.1) == {"n1": False}


def test_each_node_is_waited_for_once() -> None:
    """However often its agent restarts, or its interval changes."""
    cluster = Cluster()
    for number in range(20):
        cluster.beat(beat("n1", interval_ns=4_000_000_000), number)
        cluster.beat(beat("n1", leaving=number % 2 == 0), number)
        cluster.tick(number)
    assert up(cluster, 40.0) == {"n1": False}
    cluster.beat(beat("n1"), 50.0)
    cluster.tick(51.0)
    assert len(cluster._silent_at) == 1


def test_a_node_that_leaves_is_down_until_it_beats_again() -> None:
    cluster = Cluster()
    cluster.beat(beat("n1"), 0.0)
    cluster.placed(request(), "n1", 0.0)
    cluster.beat(beat("n1", leaving=True), 0.1)
    assert up(cluster, 0.1) == {"n1": False}
    assert cluster.placement(container_id(1)) is None
    cluster.excuse(0.2)
    assert up(cluster, 0.2) == {"n1": False}
    cluster.beat(beat("n1", epoch="n1-epoch-2"), 0.3)
    assert up(cluster, 0.3) == {"n1": True}


def test_a_lost_connection_makes_no_dead_node_live() -> None:
    cluster = Cluster()
    for name in ("n1", "n2"):
        cluster.beat(beat(name), 0.0)
    cluster.beat(beat("n1"), 50.0)
    cluster.excuse(60.0)
    assert up(cluster, 60.0) == {"n1": True, "n2": False}


def test_metadata_knows_nodes_that_are_silent() -> None:
    cluster = Cluster()
    cluster.beat(beat("n1", running=7), 0.0)
    cluster.load([node_record("n1"), node_record("n2"), node_record("n3", up=False)], 0.0)
    assert up(cluster, 0.0) == {"n1": True, "n2": True, "n3": False}
    assert {name: node.running for name, node in cluster.nodes.items()} == {"n1": 7, "n2": 0, "n3": 0}
    cluster.excuse(100.0)
    assert up(cluster, 100.0) == {"n1": True, "n2": True, "n3": False}


def test_a_node_is_known_by_hearsay_until_it_beats() -> None:
    cluster = Cluster()
    cluster.beat(beat("n1"), 0.0)
    cluster.load([node_record("n1"), node_record("n2")], 0.0)
    assert [(node.up, node.heard) for node in cluster.nodes.values()] == [(True, True), (True, False)]
    cluster.beat(beat("n2"), 1.0)
    assert [node.heard for node in cluster.nodes.values()] == [True, True]


def test_a_placement_counts_until_a_beat_shows_it() -> None:
    cluster = Cluster()
    cluster.beat(beat("n1"), 0.0)
    node = cluster.nodes["n1"]
    resources = Resources(memory=GIB, memory_reservation=GIB // 2, nano_cpus=500, cpu_reservation=100)
    cluster.placed(request(resources=resources), "n1", 0.0)
    assert (node.free_cpus, node.free_memory) == (4_000_000_000 - 500, 8 * GIB - GIB // 2)
    assert (node.room_cpus, node.room_memory) == (4_000_000_000 - 100, 8 * GIB - GIB // 2)
    assert (node.running, node.containers) == (1, 1)
    cluster.beat(beat("n1"), 1.0)
    assert node.running == 1, "not made yet, so this beat can't show it"
    assert cluster.made(container_id(1), "n1")
    assert node.running == 1
    cluster.beat(beat("n1", running=1), 2.0)
    assert node.running == 1


def test_the_same_container_gets_the_same_node_while_that_is_up() -> None:
    cluster = Cluster()
    cluster.beat(beat("n1"), 0.0)
    assert cluster.placement(container_id(1)) is None
    cluster.placed(request(1), "n1", 0.0)
    cluster.tick(1.0)
    assert cluster.placement(container_id(1)) == "n1"
    cluster.tick(99.0)
    assert cluster.placement(container_id(1)) is None, "the node is down"


def test_ports_stay_taken_until_the_container_is_destroyed() -> None:
    cluster = Cluster()
    cluster.beat(beat("n1"), 0.0)
    cluster.placed(request(1, host_ports=(80, 443)), "n1", 0.0)
    assert ports(cluster) == {80, 443}
    assert cluster.made(container_id(1), "n1")
    cluster.beat(beat("n1"), 1.0)
    assert ports(cluster) == {80, 443}
    cluster.gone(container_id(1))
    assert ports(cluster) == set()


def test_a_placement_that_comes_to_nothing_leaves_nothing_taken() -> None:
    cluster = Cluster()
    cluster.beat(beat("n1"), 0.0)
    node = cluster.nodes["n1"]
    cluster.placed(request(1, host_ports=(80,), resources=Resources(memory=GIB, memory_reservation=1)), "n1", 0.0)
    cluster.unplaced(container_id(1))
    assert (ports(cluster), node.free_memory, node.room_memory, node.running) == (set(), 8 * GIB, 8 * GIB, 0)
    cluster.placed(request(2, host_ports=(81,)), "n1", 0.0)
    cluster.beat(beat("n1"), UNMADE_S)
    assert ports(cluster) == set(), "nobody has said what became of it"


def test_a_container_of_a_record_stays_when_its_promise_ends() -> None:
    cluster = Cluster()
    cluster.beat(beat("n1"), 0.0)
    cluster.placed(request(1, host_ports=(80,)), "n1", 0.0)
    cluster.holds(held(1, "n1", 80))
    cluster.beat(beat("n1", running=1), UNMADE_S)
    assert ports(cluster) == {80}


def test_ports_of_what_was_placed_elsewhere_are_not_known_by_its_being_made() -> None:
    cluster = Cluster()
    assert not cluster.made(container_id(1), "n1"), "a node that has not been heard"
    for name in ("n1", "n2"):
        cluster.beat(beat(name), 0.0)
    cluster.placed(request(1, host_ports=(80,)), "n1", 0.0)
    assert not cluster.made(container_id(2), "n1")
    assert (ports(cluster), ports(cluster, "n2")) == ({80}, set())
    cluster.holds(held(2, "n2", 81, 82))
    assert (ports(cluster), ports(cluster, "n2")) == ({80}, {81, 82})
    cluster.gone(container_id(2))
    cluster.holds(held(2, "n2", 81, 82))
    assert ports(cluster, "n2") == set(), "told after its end"


def test_a_removed_node_takes_its_containers_along() -> None:
    cluster = Cluster()
    cluster.beat(beat("n1"), 0.0)
    cluster.placed(request(1, host_ports=(80,)), "n1", 0.0)
    cluster.holds(held(2, "n1", 81))
    cluster.removed("n1")
    assert (len(cluster), len(cluster.holdings), ports(cluster), cluster.up) == (0, 0, set(), 0)
    assert cluster.placement(container_id(1)) is None
    cluster.beat(beat("n1"), 1.0)
    assert len(cluster) == 0, "its agent is not cut off yet"
    cluster.beat(beat("n1", epoch="later"), 1.0)
    assert up(cluster, 1.0) == {"n1": True}


def test_a_later_agent_of_a_removed_node_stays() -> None:
    """Beats may be faster than the event of the removal."""
    cluster = Cluster()
    cluster.set_terms("n1", NodeTerms("drain", {"disk": "ssd"}, version=1))
    cluster.beat(beat("n1"), 0.0)
    cluster.beat(beat("n1", epoch="n1-epoch-2"), 0.0)
    cluster.removed("n1", beat("n1").epoch)
    assert up(cluster, 0.0) == {"n1": True}
    assert (cluster.nodes["n1"].availability, cluster.nodes["n1"].traits.labels) == ("active", {})
    cluster.removed("n1", "n1-epoch-2")
    cluster.beat(beat("n1", epoch="n1-epoch-2"), 1.0)
    assert not cluster.nodes


def test_a_list_from_before_a_removal_brings_no_node_back() -> None:
    cluster = Cluster()
    cluster.removed("n1", beat("n1").epoch)
    cluster.load([node_record("n1"), node_record("n2")], 0.0)
    assert set(cluster.nodes) == {"n2"}


def test_a_container_that_is_made_elsewhere_frees_its_first_node() -> None:
    """That has refused it, and another scheduler has placed it then."""
    cluster = Cluster()
    for name in ("n1", "n2"):
        cluster.beat(beat(name), 0.0)
    before = cluster.nodes["n1"].room_memory
    cluster.placed(request(host_ports=(1,), resources=Resources(memory_reservation=GIB)), "n1", 0.0)
    assert not cluster.made(container_id(1), "n2")
    assert (cluster.nodes["n1"].room_memory, ports(cluster)) == (before, set())
    cluster.holds(held(1, "n2", 1))
    assert (ports(cluster), ports(cluster, "n2")) == (set(), {1})


def test_reservations_fit_into_what_terms_and_overcommit_leave() -> None:
    """Of 4 cores and 8 GiB, a quarter is kept, and 2 GiB are held."""
    share = Reservation(nano_cpus=1_000_000_000, memory=2 * GIB)
    cluster = Cluster(Policy(memory_overcommit=1.5))
    cluster.set_terms("n1", NodeTerms(reserved=share))
    cluster.beat(beat("n1", reserved=Reservation(memory=2 * GIB), free=Capacity(nano_cpus=0, memory=0)), 0.0)
    node = cluster.nodes["n1"]
    assert (node.room_cpus, node.room_memory) == (3_000_000_000, 8 * GIB)
    cluster.set_policy(Policy(cpu_overcommit=2.0))
    assert (node.room_cpus, node.room_memory) == (7_000_000_000, 4 * GIB)
    cluster.set_terms("n1", NodeTerms())
    assert (node.room_cpus, node.room_memory) == (8_000_000_000, 6 * GIB)


def test_labels_that_operators_have_set_replace_the_agents() -> None:
    cluster = Cluster()
    facts = beat().facts.model_copy(update={"labels": {"disk": "hdd", "rack": "1"}})
    cluster.beat(beat("n1", facts=facts), 0.0)
    cluster.set_terms("n1", NodeTerms(labels={"disk": "ssd"}))
    assert cluster.nodes["n1"].traits.labels == {"disk": "ssd", "rack": "1"}
    cluster.beat(beat("n1", facts=facts.model_copy(update={"labels": {"rack": "2"}})), 1.0)
    assert cluster.nodes["n1"].traits.labels == {"disk": "ssd", "rack": "2"}


def test_what_any_node_offers_is_known() -> None:
    cluster = Cluster()
    plain = beat().facts
    for name in ("n1", "n2"):
        facts = plain.model_copy(update={"runtimes": {"runsc": "/x"}, "devices": {"nvidia.com/gpu": 2}})
        cluster.beat(beat(name, facts=facts), 0.0)
    cluster.removed("n1")
    assert cluster.has_runtime("runsc") and cluster.has_device("nvidia.com/gpu")
    cluster.beat(beat("n2", facts=plain.model_copy(update={"runtimes": {"crun": "/x"}})), 1.0)
    assert cluster.has_runtime("crun")
    assert not cluster.has_runtime("runsc") and not cluster.has_device("nvidia.com/gpu")


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
            cluster.holds(held(seed, "n1", seed + 1))
        else:
            cluster.gone(container_id(seed))
    cluster.beat(beat("n1", running=3), 1.0)
    assert (ports(cluster), cluster.nodes["n1"].running) == ({3, 4, 6}, 3)
