"""Placement: what it must never do, and what it prefers."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.seaway_scheduler.clusters import CORE, add, named, request

from seaway_contracts.containers import DeviceRequest, Resources
from seaway_contracts.errors import SeawayError
from seaway_contracts.nodes import Capacity, Reservation
from seaway_contracts.placement import FILTERS, Condition, PlaceRequest
from seaway_scheduler import filters
from seaway_scheduler.cluster import Cluster
from seaway_scheduler.holdings import Held
from seaway_scheduler.node import NodeTerms, Policy
from seaway_scheduler.place import Placed, Rejected, place
from seaway_testing.builders import GIB, container_id, node_record


def asking(**resources: object) -> PlaceRequest:
    return request(resources=Resources(**resources))  # type: ignore[arg-type]


def fill(cluster: Cluster, wanted: PlaceRequest, count: int, seed: int = 0) -> None:
    """Place the same container again and again."""
    for number in range(count):
        one = wanted.model_copy(update={"container_id": container_id(1000 + number)})
        found = place(one, cluster, seed + number)
        assert isinstance(found, Placed)
        cluster.placed(one, found.node, 0.0)


def counts(cluster: Cluster) -> list[int]:
    return [node.running for node in cluster.nodes.values()]


@given(
    st.integers(1, 8),
    st.integers(0, 60),
    st.integers(0, 1 << 28),
    st.integers(0, 1 << 28),
    st.integers(0, CORE),
)
def test_equal_containers_spread_evenly_over_equal_nodes(
    nodes: int, count: int, memory: int, reserved: int, cpus: int
) -> None:
    cluster = Cluster()
    for number in range(nodes):
        add(cluster, f"n{number}", memory=64 * GIB, cores=64)
    fill(cluster, asking(memory=memory, memory_reservation=reserved, nano_cpus=cpus), count)
    assert max(counts(cluster)) - min(counts(cluster)) <= 1


def test_larger_nodes_take_more() -> None:
    cluster = Cluster()
    add(cluster, "big", cores=8)
    add(cluster, "small", cores=2)
    fill(cluster, request(), 50)
    assert counts(cluster) == [40, 10]


def test_limits_are_no_reservations() -> None:
    """Docker lets limits promise more memory than there is."""
    cluster = Cluster()
    add(cluster, "n1", free=Capacity(nano_cpus=0, memory=0), reserved=Reservation(memory=8 * GIB))
    assert place(asking(memory=100 * GIB), cluster) == Placed("n1")
    assert isinstance(place(asking(memory_reservation=1), cluster), Rejected)


def test_the_emptier_node_is_preferred() -> None:
    cluster = Cluster()
    add(cluster, "a", free=Capacity(nano_cpus=4 * CORE, memory=4 * GIB))
    add(cluster, "b", running=50)
    assert place(request(), cluster) == Placed("b")


def test_a_large_container_goes_to_a_large_node() -> None:
    """Also if that one is not as empty as a small one."""
    cluster = Cluster()
    add(cluster, "large", memory=64 * GIB, running=5, containers=5)
    add(cluster, "small", memory=2 * GIB)
    assert place(asking(memory=4 * GIB), cluster) == Placed("large")
    assert place(request(), cluster) == Placed("small")


def test_stopped_containers_weigh_last() -> None:
    cluster = Cluster()
    add(cluster, "a", containers=9)
    add(cluster, "b")
    assert place(request(), cluster) == Placed("b")
    add(cluster, "b", running=1, containers=1)
    assert place(request(), cluster) == Placed("a")


def test_a_taken_port_sends_it_elsewhere_if_there_is_an_elsewhere() -> None:
    cluster = named("a")
    cluster.holds(Held(container_id(9), "a", "web", host_ports=frozenset({80})))
    assert place(request(host_ports=(80,)), cluster) == Placed("a")
    add(cluster, "b", running=10)
    assert place(request(host_ports=(80,)), cluster) == Placed("b")
    assert place(request(host_ports=(81,)), cluster) == Placed("a")


def test_a_node_that_has_been_heard_is_preferred_to_one_that_is_only_said_to_be_up() -> None:
    cluster = Cluster()
    cluster.load([node_record("silent")], 0.0)
    assert place(request(), cluster) == Placed("silent")
    add(cluster, "full", running=90)
    assert place(request(), cluster) == Placed("full")
    add(cluster, "full", leaving=True)
    assert place(request(), cluster) == Placed("silent")


def test_a_wish_weighs_more_than_having_been_heard() -> None:
    cluster = named("heard")
    cluster.load([node_record("silent")], 0.0)
    wish = Condition(key="node", value="silent", soft=True)
    assert place(request(constraints=(wish,)), cluster) == Placed("silent")


@pytest.mark.parametrize(
    ("condition", "chosen"),
    [
        (Condition(key="node.labels.disk", value="ssd"), "b"),
        (Condition(key="disk", value="s*"), "b"),
        (Condition(key="engine.labels.disk", value="/^s+d$/"), "b"),
        (Condition(key="disk", value="ss?", equal=False), "a"),
        (Condition(key="node.labels.disk", value="ssd", equal=False), "a"),
        (Condition(key="node", value="b"), "b"),
        (Condition(key="node.id", value="a", equal=False), "b"),
        (Condition(key="node.hostname", value="host-b"), "b"),
        (Condition(key="node.platform.arch", value="arm64"), "b"),
        (Condition(key="node.platform.arch", value="aarch64"), "b"),
        (Condition(key="node.platform.arch", value="amd64"), "a"),
        (Condition(key="node.platform.os", value="linux"), "a"),
        (Condition(key="operatingsystem", value="Debian*"), "b"),
        (Condition(key="storagedriver", value="overlay2"), "a"),
        (Condition(key="kernelversion", value="/^6[.]/"), "b"),
        (Condition(key="disk", value="ssd", soft=True), "b"),
        (Condition(key="disk", value="nvme", soft=True), "a"),
    ],
)
def test_constraints(condition: Condition, chosen: str) -> None:
    cluster = named("a")
    facts = {"operating_system": "Debian GNU/Linux 13 (trixie)", "kernel_version": "6.12.0", "labels": {"disk": "ssd"}}
    add(cluster, "b", architecture="aarch64", running=5, **facts)
    assert place(request(constraints=(condition,)), cluster) == Placed(chosen)


@pytest.mark.parametrize(
    "condition",
    [
        Condition(key="", value="x"),
        Condition(key="node.labels.", value="x"),
        Condition(key="node.role", value="manager"),
        Condition(key="disk", value="/(/"),
    ],
    ids=str,
)
def test_a_constraint_that_cannot_be_asked(condition: Condition) -> None:
    with pytest.raises(SeawayError) as caught:
        place(request(constraints=(condition,)), named("a"))
    assert caught.value.status == 400
    assert str(condition) in caught.value.message


WEB = Held(container_id(50), "b", "web-1", "shop/web:2", "sha256:aa", {"tier": "front"})
DB = Held(container_id(51), "c", "db-1", "host:5000/db", "sha256:bb", {"tier": "back"})


@pytest.mark.parametrize(
    ("key", "value", "with_web"),
    [
        ("container", "web-1", True),
        ("container", container_id(50), True),
        ("container", "web*", True),
        ("container", "/^web-[0-9]$/", True),
        ("container", "w", False),
        ("image", "shop/web:2", True),
        ("image", "shop/web", True),
        ("image", "sha256:aa", True),
        ("image", "shop*", True),
        ("image", "shop", False),
        ("label", "tier=front", True),
        ("label", "tier=fr*", True),
        ("label", "front", False),
        ("tier", "front", True),
        ("tier", "f?ont", True),
    ],
)
def test_affinities(key: str, value: str, with_web: bool) -> None:
    cluster = named("a", "b", "c")
    cluster.holds(DB)
    together, apart = Condition(key=key, value=value), Condition(key=key, value=value, equal=False)
    for _ in range(2):
        cluster.holds(WEB)  # the second time, the answer for it is known already
        found = place(request(affinities=(together,)), cluster)
        assert found == Placed("b") if with_web else isinstance(found, Rejected)
        add(cluster, "a", running=5)
        add(cluster, "c", running=5)
        assert place(request(affinities=(apart,)), cluster) == Placed("a" if with_web else "b")
        cluster.holdings.remove(WEB.id)
        assert isinstance(place(request(affinities=(together,)), cluster), Rejected)


def test_a_soft_affinity_is_dropped_where_nothing_fits() -> None:
    cluster = named("a", "b")
    cluster.holds(WEB)
    soft = Condition(key="container", value="web-1", soft=True)
    assert place(request(affinities=(soft,)), cluster) == Placed("b")
    cluster.gone(WEB.id)
    assert place(request(affinities=(soft,)), cluster) == Placed("a")


def test_an_affinity_follows_a_new_name() -> None:
    cluster = named("a", "b")
    cluster.holds(WEB)
    cluster.named(WEB.id, "shop")
    assert place(request(affinities=(Condition(key="container", value="shop"),)), cluster) == Placed("b")
    assert isinstance(place(request(affinities=(Condition(key="container", value="web-1"),)), cluster), Rejected)


def test_placements_that_are_not_made_yet_keep_apart() -> None:
    cluster = named("a", "b", "c")
    apart = Condition(key="tier", value="front", equal=False)
    fill(cluster, request(labels={"tier": "front"}, affinities=(apart,)), 3)
    assert counts(cluster) == [1, 1, 1]
    found = place(request(affinities=(apart,)), cluster)
    assert str(found) == "no node fits: 3 nodes: affinity tier!=front not met"


def test_the_image_decides_between_equals_alone() -> None:
    cluster = named("a", "b", "c")
    cluster.holds(Held(container_id(9), "b", "x", "busybox"))
    assert place(request(image_ref="busybox"), cluster) == Placed("b")
    assert place(request(image_ref="alpine"), cluster) == Placed("a")
    add(cluster, "b", running=1)
    assert place(request(image_ref="busybox"), cluster) == Placed("a")


def test_the_image_decides_between_nodes_of_different_sizes() -> None:
    cluster = named("a")
    add(cluster, "b", memory=64 * GIB)
    cluster.holds(Held(container_id(9), "b", "x", "busybox"))
    assert place(request(image_ref="busybox"), cluster) == Placed("b")


def test_a_node_that_has_refused_it_is_not_asked_again() -> None:
    cluster = named("a", "b")
    assert place(request(excluded=("a",)), cluster) == Placed("b")
    found = place(request(excluded=("a", "b"), node="a"), cluster)
    assert str(found) == "no node fits: 1 node: refused it already; 1 node: what it is bound to is on another node"


def test_operators_keep_nodes_free() -> None:
    cluster = named("a", "b", "c")
    cluster.set_terms("a", NodeTerms("pause"))
    cluster.set_terms("b", NodeTerms("drain"))
    assert place(request(), cluster) == Placed("c")
    cluster.set_terms("c", NodeTerms("drain"))
    assert str(place(request(), cluster)) == "no node fits: 2 nodes: being drained; 1 node: paused"
    cluster.set_terms("a", NodeTerms())
    assert place(request(), cluster) == Placed("a")


@pytest.mark.parametrize(
    ("platform", "chosen"),
    [
        ("linux/arm64/v8", "b"),
        ("arm64", "b"),
        ("linux/aarch64", "b"),
        ("linux/amd64", "a"),
        ("linux", "a"),
        ("x86_64", "a"),
        ("", "a"),
    ],
)
def test_platforms(platform: str, chosen: str) -> None:
    cluster = named("a")
    add(cluster, "b", architecture="aarch64", running=5)
    assert place(request(platform=platform), cluster) == Placed(chosen)


def test_a_platform_that_no_node_has_may_be_emulated_anywhere() -> None:
    cluster = named("a")
    assert place(request(platform="linux/s390x"), cluster) == Placed("a")
    add(cluster, "b", architecture="s390x", leaving=True)
    found = place(request(platform="linux/s390x"), cluster)
    assert str(found) == "no node fits: 1 node: down; 1 node: not of platform linux/s390x"


def test_a_runtime_that_only_some_have() -> None:
    cluster = Cluster()
    add(cluster, "a", runtimes={"crun": "/usr/bin/crun"})
    add(cluster, "b", runtimes={"runsc": "/usr/bin/runsc"}, memory=GIB)
    assert place(request(runtime="runsc"), cluster) == Placed("b")
    found = place(request(runtime="runsc", resources=Resources(memory_reservation=2 * GIB)), cluster)
    assert str(found) == "no node fits: 1 node: no runtime runsc; 1 node: not enough memory"
    assert place(request(runtime="nope"), cluster) == Placed("a"), "which refuses it in Docker's words"


def gpus(count: int, *ids: str) -> PlaceRequest:
    return asking(device_requests=(DeviceRequest(count=count, ids=ids, capabilities=(("gpu",),)),))


def test_devices_are_reserved_by_number() -> None:
    cluster = named("a")
    assert place(gpus(1), cluster) == Placed("a"), "which refuses it in Docker's words"
    add(cluster, "b", devices={"nvidia.com/gpu": 3}, reserved=Reservation(devices={"nvidia.com/gpu": 1}))
    fill(cluster, gpus(1), 2)
    assert counts(cluster) == [0, 2]
    assert str(place(gpus(1), cluster)) == "no node fits: 2 nodes: not enough devices nvidia.com/gpu"
    for shared in (gpus(-1), gpus(0, "0")):
        assert isinstance(place(shared, cluster), Placed), "all of them, and named ones, are shared as in Docker"
    cluster.unplaced(container_id(1000))
    assert place(gpus(1), cluster) == Placed("b")


def test_cpus_can_be_reserved() -> None:
    cluster = named("a")
    fill(cluster, asking(cpu_reservation=CORE), 4)
    assert str(place(asking(cpu_reservation=1), cluster)) == "no node fits: 1 node: not enough CPUs"
    assert place(asking(nano_cpus=4 * CORE), cluster) == Placed("a"), "a limit"


def test_a_node_under_pressure_takes_nothing() -> None:
    cluster = named("b")
    add(cluster, "a", pressure=("disk", "memory"))
    assert place(request(), cluster) == Placed("b")
    add(cluster, "b", pressure=("disk",))
    found = place(request(), cluster)
    assert str(found) == "no node fits: 1 node: running out of disk; 1 node: running out of disk and memory"


def test_a_refusal_explains_itself_in_counts() -> None:
    cluster = Cluster()
    full = Reservation(memory=8 * GIB)
    add(cluster, "a", reserved=full)
    add(cluster, "b", reserved=full)
    add(cluster, "c", leaving=True)
    add(cluster, "d", cores=1)
    found = place(asking(memory_reservation=GIB, nano_cpus=2 * CORE), cluster)
    assert str(found) == "no node fits: 2 nodes: not enough memory; 1 node: down; 1 node: fewer CPUs than its limit"
    cluster.removed("c")
    found = place(request(constraints=(Condition(key="node", value="z"),)), cluster)
    assert str(found) == "no node fits: 3 nodes: constraint node==z not met"


def test_cpu_quota_counts_as_cpus() -> None:
    cluster = named("a")
    assert isinstance(place(asking(cpu_quota=500_000, cpu_period=100_000), cluster), Rejected)
    assert place(asking(cpu_quota=400_000), cluster) == Placed("a")


def test_only_the_node_that_is_asked_for() -> None:
    cluster = named("n1", "n3")
    add(cluster, "n2", running=50)
    assert place(request(node="n2"), cluster) == Placed("n2")


@pytest.mark.parametrize(
    ("wanted", "reasons"),
    [
        (request(node="n2"), "2 nodes: what it is bound to is on another node; 1 node: down"),
        (
            request(node="n1", resources=Resources(memory_reservation=9 * GIB)),
            "2 nodes: what it is bound to is on another node; 1 node: not enough memory",
        ),
        (request(node="n9"), "3 nodes: what it is bound to is on another node"),
    ],
)
def test_the_node_that_is_asked_for_must_be_able(wanted: PlaceRequest, reasons: str) -> None:
    cluster = named("n1", "n3")
    add(cluster, "n2", leaving=True)
    assert str(place(wanted, cluster)) == f"no node fits: {reasons}"


def test_binpack_fills_one_node_after_the_other() -> None:
    cluster = Cluster(Policy("binpack"))
    for name in "abc":
        add(cluster, name)
    fill(cluster, asking(memory_reservation=3 * GIB), 3)
    assert counts(cluster) == [2, 1, 0]


def test_binpack_promises_by_limits_what_is_there_before_it_promises_more() -> None:
    cluster = Cluster(Policy("binpack"))
    for name in "abc":
        add(cluster, name)
    fill(cluster, asking(memory=4 * GIB), 6)
    assert counts(cluster) == [2, 2, 2]
    assert isinstance(place(asking(memory=6 * GIB), cluster), Placed)


def test_binpack_keeps_nodes_apart_that_lack_cpus() -> None:
    """Else a placement with a CPU limit looks at each full node before it finds one that is not."""
    cluster = Cluster(Policy("binpack"))
    for number in range(20):
        add(cluster, f"full{number:02}")
    add(cluster, "idle")
    fill(cluster, asking(nano_cpus=4 * CORE), 20)
    free = [node for node in cluster.nodes.values() if not node.running]
    assert [len(entries) for _, entries in cluster.order.groups()] == [20, 1]
    assert place(asking(nano_cpus=CORE), cluster) == Placed(free[0].name)


def test_chance_takes_all_nodes_that_can() -> None:
    cluster = Cluster(Policy("random"))
    for name in "abcdef":
        add(cluster, name, memory=GIB if name in "ab" else 64 * GIB)
    fill(cluster, asking(memory_reservation=2 * GIB), 100)
    assert counts(cluster)[:2] == [0, 0]
    assert all(10 < count < 40 for count in counts(cluster)[2:])


def test_chance_finds_the_only_node_that_can() -> None:
    cluster = Cluster(Policy("random"))
    for number in range(200):
        add(cluster, f"n{number}")
    wanted = request(constraints=(Condition(key="node", value="n77"),))
    assert {str(place(wanted, cluster, seed)) for seed in range(20)} == {str(Placed("n77"))}
    assert isinstance(place(request(excluded=tuple(cluster.nodes)), cluster), Rejected)


def test_the_filters_that_docker_info_names_are_those_that_there_are() -> None:
    assert tuple(filters._CHECKS) == FILTERS
