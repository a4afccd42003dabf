"""What is said about a choice: it is the choice that `place` makes, and nothing is changed by it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.seaway_scheduler.clusters import CORE, add, named, request
from tests.unit.seaway_scheduler.test_any_events import beats, requests, terms

from seaway_contracts.containers import Resources
from seaway_contracts.nodes import Capacity
from seaway_contracts.placement import Condition, PlaceRequest
from seaway_scheduler import explain as explaining
from seaway_scheduler.cluster import Cluster
from seaway_scheduler.explain import explain
from seaway_scheduler.holdings import Held
from seaway_scheduler.node import NodeTerms, Policy
from seaway_scheduler.place import Placed, place
from seaway_testing.builders import GIB, beat, container_id


def test_each_node_has_its_filter_and_sentence_or_its_rank() -> None:
    cluster = named("a", "b")
    add(cluster, "c", labels={"disk": "ssd"}, running=2, containers=3)
    add(cluster, "d", labels={"disk": "ssd"}, free=Capacity(nano_cpus=CORE, memory=8 * GIB), running=1, containers=1)
    add(cluster, "e", labels={"disk": "ssd"}, leaving=True)
    cluster.holds(Held(container_id(9), "c", "web", "busybox", host_ports=frozenset({80})))
    cluster.set_terms("b", NodeTerms("drain"))
    asked = request(
        constraints=(Condition(key="node.labels.disk", value="ssd"),), host_ports=(80,), image_ref="busybox"
    )
    found = explain(asked, cluster)
    assert (found.node, found.refusal, found.strategy, found.left_out) == ("d", "", "spread", 0)
    d, c, a, b, e = found.verdicts
    assert (d.node, d.rank, d.full, d.running, d.containers, d.unmet, d.has_image) == ("d", 1, 0.75, 1, 1, (), False)
    assert (c.node, c.rank, c.full, c.running, c.unmet, c.has_image) == ("c", 2, 0.0, 2, ("host port",), True)
    assert (a.node, a.filter, a.reason) == ("a", "constraint", "constraint node.labels.disk==ssd not met")
    assert (b.node, b.filter, b.reason, b.rank) == ("b", "availability", "being drained", 0)
    assert (e.node, e.filter, e.reason) == ("e", "up", "down")


def test_where_none_fits_the_refusal_counts() -> None:
    found = explain(request(resources=Resources(memory_reservation=9 * GIB)), named("a", "b"))
    assert (found.node, found.refusal) == ("", "no node fits: 2 nodes: not enough memory")
    assert [(one.node, one.filter) for one in found.verdicts] == [("a", "resources"), ("b", "resources")]


def test_a_packed_cluster_prefers_nodes_that_have_what_limits_promise() -> None:
    cluster = named("a")
    add(cluster, "b", free=Capacity(nano_cpus=CORE, memory=GIB))
    cluster.set_policy(Policy("binpack"))
    found = explain(request(resources=Resources(memory=2 * GIB)), cluster)
    assert [(one.node, one.unmet) for one in found.verdicts] == [("a", ()), ("b", ("limits",))]


def test_a_large_cluster_is_not_listed_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(explaining, "MOST_VERDICTS", 2)
    found = explain(request(), named("a", "b", "c"))
    assert ([one.node for one in found.verdicts], found.left_out) == (["a", "b"], 1)


@given(
    st.lists(beats, min_size=1, max_size=6),
    st.dictionaries(st.sampled_from(["n0", "n1", "n2", "n3"]), terms),
    requests,
    st.sampled_from(["spread", "binpack", "random"]),
    st.integers(0, 99),
)
def test_the_choice_is_the_one_that_is_made(
    heard: list[object], set_terms: dict[str, NodeTerms], asked: PlaceRequest, strategy: str, seed: int
) -> None:
    cluster = Cluster(Policy(strategy))  # type: ignore[arg-type]
    for one in heard:
        cluster.beat(one, 0.0)  # type: ignore[arg-type]
    for name, each in set_terms.items():
        cluster.set_terms(name, each)
    found = explain(asked, cluster, seed)
    assert found == explain(asked, cluster, seed), "nothing changes"
    chosen = place(asked, cluster, seed)
    assert found.node == (chosen.node if isinstance(chosen, Placed) else "")
    assert found.refusal == ("" if isinstance(chosen, Placed) else str(chosen))
    assert sorted(one.node for one in found.verdicts) == sorted(cluster.nodes)
    ranks = [one.rank for one in found.verdicts if not one.filter]
    assert ranks == list(range(1, len(ranks) + 1))
    if found.node:
        assert (found.verdicts[0].node, found.verdicts[0].rank) == (found.node, 1)


def test_the_largest_answer_fits_into_a_message() -> None:
    cluster = Cluster()
    for number in range(explaining.MOST_VERDICTS):
        cluster.beat(beat(f"node-{number:05}".ljust(128, "x")), 0.0)
    asked = request(constraints=(Condition(key="x" * 256, value="x" * 256),))
    assert len(explain(asked, cluster).model_dump_json()) < 1 << 20
