"""Containers as `seaway ps` and `seaway top` show them."""

import io
import json

import pytest
from rich.console import Console, RenderableType

from seaway_cli import containers_view as view
from seaway_cli.containers import check_nodes
from seaway_cli.errors import CliError
from seaway_cluster.usage import Snapshot, Usage
from seaway_contracts.containers import PublishedPort, State
from seaway_testing.builders import GIB, container_id, node_record, record

MIB = 1 << 20
NODES = {"n1": node_record("n1"), "n2": node_record("n2", up=False)}


def text_of(shown: RenderableType) -> list[str]:
    out = io.StringIO()
    Console(file=out, width=200).print(shown)
    return [line.rstrip() for line in out.getvalue().splitlines()]


def use(cpu: float | None, memory: int) -> Usage:
    return Usage(cpu=cpu, memory=memory, limit=GIB, received=2048, sent=3, read=0, written=MIB, pids=4)


def test_ps_is_in_order_of_nodes_and_says_which_are_down() -> None:
    out = io.StringIO()
    port = PublishedPort(container_port=80, protocol="tcp", host_ip="0.0.0.0", host_port=8080)
    web = record(1, state=State.RUNNING)
    web = web.model_copy(update={"status": web.status.model_copy(update={"ports": (port,), "started_ns": 1})})
    lost = record(2, node="n2", state=State.RUNNING)
    view.print_containers([lost, web], NODES, Console(file=out, width=200))
    head, first, second = (line.split() for line in out.getvalue().splitlines())
    assert head == ["NODE", "CONTAINER", "ID", "NAME", "IMAGE", "STATUS", "PORTS"]
    assert first[:4] == ["n1", web.id[:12], web.spec.name, web.spec.image.ref] and first[-1] == "8080->80/tcp"
    assert second[0] == "n2" and second[-4:] == ["second", "(node", "down)", "-"]
    document = view.as_document(lost, NODES)
    assert (document["node"], document["node_state"], document["state"]) == ("n2", "down", "running")
    assert json.dumps(document)


def snapshot() -> Snapshot:
    records = [record(seed, state=State.RUNNING) for seed in (1, 2, 3)]
    usage = {container_id(1): use(0.25, 30 * MIB), container_id(2): use(1.5, 20 * MIB)}
    return Snapshot(tuple(NODES.values()), records, usage)


@pytest.mark.parametrize(("sort", "first"), [("cpu", 2), ("memory", 1)])
def test_top_is_in_order_of_use(sort: str, first: int) -> None:
    order = [one.id for one in view.in_order(snapshot(), sort)]
    assert order[0] == container_id(first) and order[-1] == container_id(3)


def test_top_in_order_of_names() -> None:
    for sort in ("name", "node"):
        names = [one.spec.name for one in view.in_order(snapshot(), sort)]
        assert names == sorted(names)


def test_top_shows_nodes_and_as_many_containers_as_fit() -> None:
    lines = text_of(view.usage_view(snapshot(), "cpu", most=2))
    assert lines[1].split()[:7] == ["n1", "up", "1.75", "4", "50.0", "MiB", "8.0"]
    assert lines[2].split()[:3] == ["n2", "down", "0.00"]
    row = ["150.0%", "20.0", "MiB", "1.0", "GiB", "2.0", "KiB", "3", "B", "0", "B", "1.0", "MiB", "4"]
    assert lines[5].split()[3:] == row
    assert lines[-1] == "… and 1 more"
    unknown = text_of(view.usage_view(snapshot(), "cpu"))[-1]
    assert unknown.split()[3:] == ["-"] * 8


def test_top_as_json() -> None:
    found = view.usage_document(snapshot())
    assert [(one["node"], one["state"], one["cpu_used"]) for one in found["nodes"]] == [
        ("n1", "up", 1.75),
        ("n2", "down", 0.0),
    ]
    assert [one["cpu"] for one in found["containers"]] == [0.25, 1.5, None]
    assert json.dumps(found)


@pytest.mark.parametrize(
    ("number", "text"), [(0, "0 B"), (1023, "1023 B"), (1536, "1.5 KiB"), (3 << 40, "3.0 TiB"), (5 << 50, "5120.0 TiB")]
)
def test_sizes(number: int, text: str) -> None:
    assert view.size(number) == text


def test_a_node_that_is_none_names_the_next_step() -> None:
    check_nodes(["n1"], NODES)
    with pytest.raises(CliError, match="no such node: n3; `seaway node ls` lists them"):
        check_nodes(["n1", "n3"], NODES)
