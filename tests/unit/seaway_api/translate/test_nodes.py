"""Nodes in inspect, in lists and in `docker info`."""

import pytest

from seaway_api.translate.info import Cluster, info_json
from seaway_api.translate.inspect import inspect_json
from seaway_api.translate.listing import list_json
from seaway_api.translate.node_status import cluster_status, size_text
from seaway_api.translate.nodes import NodeView, node_view, shown_host_ip
from seaway_contracts.containers import ContainerRecord, State
from seaway_contracts.node_settings import ClusterSettings, NodeSettings
from seaway_contracts.nodes import NodeFacts, NodeRecord, Reservation
from seaway_testing.builders import GIB, START_NS, node_record, spec, status

FACTS = NodeFacts(
    address="192.0.2.7",
    version="0.2.0",
    kernel_version="6.12",
    operating_system="Debian 13",
    labels={"disk": "hdd", "zone": "a"},
)
LABELS = {
    "kernelversion": "6.12",
    "operatingsystem": "Debian 13",
    "storagedriver": "overlay2",
    "disk": "ssd",
    "zone": "a",
}


def record(*, up: bool = True, **changes: object) -> NodeRecord:
    settings = NodeSettings(node="n1", labels={"disk": "ssd"})
    return node_record("n1", up=up, facts=FACTS, **changes).model_copy(update={"settings": settings})


def test_inspect_has_the_node_as_classic_swarm_had_it() -> None:
    container = ContainerRecord(spec=spec(1), node="n1")
    shown = inspect_json(container, node=node_view(record(), up=True, remote=False))["Node"]
    assert shown == {
        "ID": "n1",
        "Name": "n1",
        "IP": "192.0.2.7",
        "Addr": "192.0.2.7",
        "Status": "Healthy",
        "Cpus": 4,
        "Memory": 8 * GIB,
        "Version": "0.2.0",
        "Labels": LABELS,
    }
    assert inspect_json(container, node=node_view(record(), up=False, remote=False))["Node"]["Status"] == "Down"
    unknown = inspect_json(container)["Node"]
    assert (unknown["Name"], unknown["IP"], unknown["Cpus"], unknown["Labels"]) == ("n1", "", 0, {})


@pytest.mark.parametrize(
    ("host_ip", "address", "shown"),
    [
        ("0.0.0.0", "192.0.2.7", "192.0.2.7"),
        ("::", "192.0.2.7", "::"),
        ("::", "2001:db8::7", "2001:db8::7"),
        ("0.0.0.0", "2001:db8::7", "0.0.0.0"),
        ("127.0.0.1", "192.0.2.7", "127.0.0.1"),
        ("0.0.0.0", "", "0.0.0.0"),
        ("::", "", "::"),
    ],
)
def test_the_address_of_a_published_port(host_ip: str, address: str, shown: str) -> None:
    assert shown_host_ip(host_ip, address) == shown


@pytest.mark.parametrize("state", State)
def test_what_ran_on_a_node_that_is_down_is_marked_in_lists(state: State) -> None:
    container = ContainerRecord(spec=spec(1), node="n1", status=status(state, started_ns=1, finished_ns=2))
    shown = list_json(container, NodeView("n1", up=False), now_ns=START_NS)
    runs = state in (State.RUNNING, State.PAUSED, State.RESTARTING)
    assert (shown["Status"] == "Host Down") == runs
    assert (shown["State"], shown["Names"]) == (state.value, [f"/{container.spec.name}"])


def test_info_lists_the_nodes_as_classic_swarm_did() -> None:
    there = record(reserved=Reservation(nano_cpus=1_500_000_000, memory=GIB // 2))
    counts = {("n1", state): 1 for state in (State.RUNNING, State.RESTARTING, State.EXITED)}
    gone = node_record("n2", up=False)
    lines = cluster_status((there, gone), ClusterSettings(strategy="binpack"), counts)
    assert lines[0] == ["Strategy", "binpack"]
    assert lines[1][0] == "Filters" and "constraint, affinity" in lines[1][1]
    assert lines[2:11] == [
        ["Nodes", "2"],
        [" n1", "192.0.2.7"],
        ["  └ Status", "Healthy"],
        ["  └ Containers", "3 (2 running)"],
        ["  └ Reserved CPUs", "1.5 / 4"],
        ["  └ Reserved Memory", "512MiB / 8GiB"],
        ["  └ Labels", ", ".join(f"{key}={value}" for key, value in sorted(LABELS.items()))],
        ["  └ UpdatedAt", "2023-11-14T22:13:20Z"],
        ["  └ ServerVersion", "0.2.0"],
    ]
    assert lines[11] == [" n2", "(unknown)"]
    assert lines[12][1].startswith("Down (since ")
    assert lines[14][1] == "0 / 4"


def test_info_says_what_keeps_containers_away() -> None:
    drained = record(pressure=("disk",))
    settings = drained.settings.model_copy(update={"availability": "drain"})
    lines = dict(cluster_status((drained.model_copy(update={"settings": settings}),), ClusterSettings(), {}))
    assert lines["  └ Status"] == "Healthy (disk pressure, drain)"


def test_cpus_and_memory_are_sums_over_the_nodes_that_are_up() -> None:
    nodes = (node_record("n1"), node_record("n2"), node_record("n3", up=False))
    shown = info_json(Cluster(nodes=nodes), node="n1", now_ns=START_NS, readers=0)
    assert (shown["NCPU"], shown["MemTotal"]) == (8, 16 * GIB)


@pytest.mark.parametrize(
    ("size", "text"), [(0, "0B"), (1023, "1023B"), (1 << 10, "1KiB"), (1_096_000_000, "1.021GiB"), (1 << 60, "1024PiB")]
)
def test_sizes_have_four_digits(size: int, text: str) -> None:
    assert size_text(size) == text
