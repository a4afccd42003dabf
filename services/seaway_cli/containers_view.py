"""Containers as `seaway ps` and `seaway top` show them."""

import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from rich.console import Console, Group, RenderableType
from rich.markup import escape
from rich.table import Table

from seaway_cluster.usage import Snapshot, Usage
from seaway_contracts.containers import ContainerRecord
from seaway_contracts.nodes import CORE, NodeRecord
from seaway_docker.status import status_text

_COLOUR: Final = {"up": "green", "down": "red"}
_SHORT: Final = 12
_UNITS: Final = ("B", "KiB", "MiB", "GiB", "TiB")
SORTS: Final = ("cpu", "memory", "name", "node")


def as_document(record: ContainerRecord, nodes: Mapping[str, NodeRecord]) -> dict[str, Any]:
    """What `seaway ps` knows of a container, as JSON."""
    spec, status = record.spec, record.status
    return {
        "id": record.id,
        "name": spec.name,
        "node": record.node,
        "node_state": _node_state(record, nodes),
        "image": spec.image.ref,
        "labels": spec.labels,
        "created_ns": spec.created_ns,
        "state": status.state.value,
        "health": status.health.status if status.health is not None else None,
        "exit_code": status.exit_code,
        "started_ns": status.started_ns,
        "finished_ns": status.finished_ns,
        "restart_count": status.restart_count,
        "addresses": {one.network: one.address or one.ipv6_address for one in status.endpoints},
        "ports": [one.model_dump() for one in status.ports],
    }


def print_containers(
    records: Iterable[ContainerRecord], nodes: Mapping[str, NodeRecord], console: Console | None = None
) -> None:
    """Print a table, by node."""
    console = console or _console()
    table = _table(("NODE", "CONTAINER ID", "NAME", "IMAGE", "STATUS", "PORTS"))
    now_ns = time.time_ns()
    for record in sorted(records, key=lambda one: (one.node, -one.spec.created_ns)):
        cells = (record.node, record.id[:_SHORT], record.spec.name, record.spec.image.ref)
        table.add_row(*map(escape, cells), _status(record, nodes, now_ns), _ports(record) or "-")
    console.print(table)


def _status(record: ContainerRecord, nodes: Mapping[str, NodeRecord], now_ns: int) -> str:
    status = record.status
    text = status_text(
        status.state.value,
        now_ns=now_ns,
        started_ns=status.started_ns or None,
        finished_ns=status.finished_ns or None,
        exit_code=status.exit_code,
        health=status.health.status if status.health is not None else None,
    )
    state = _node_state(record, nodes)
    return text if state == "up" else f"{text} [red](node {state})[/]"


def _node_state(record: ContainerRecord, nodes: Mapping[str, NodeRecord]) -> str:
    node = nodes.get(record.node)
    return node.state if node is not None else "unknown"


def _ports(record: ContainerRecord) -> str:
    found = (f"{one.host_port}->{one.container_port}/{one.protocol}" for one in record.status.ports if one.host_port)
    return ", ".join(dict.fromkeys(found))


def usage_document(snapshot: Snapshot) -> dict[str, Any]:
    """A snapshot as JSON. `cpu` in cores, all else in bytes; None where a node did not say it."""
    return {
        "nodes": [
            {
                "node": record.node,
                "state": record.state,
                "cpus": record.beat.capacity.nano_cpus / CORE,
                "memory": record.beat.capacity.memory,
                "cpu_used": _total_cpu(snapshot, record.node),
                "memory_used": _total_memory(snapshot, record.node),
                "running": record.beat.running,
                "containers": record.beat.containers,
                "pressure": list(record.beat.pressure),
            }
            for record in snapshot.nodes
        ],
        "containers": [
            {"id": one.id, "name": one.spec.name, "node": one.node, "image": one.spec.image.ref}
            | _fields(snapshot.usage.get(one.id))
            for one in snapshot.containers
        ],
    }


def _fields(usage: Usage | None) -> dict[str, Any]:
    names = ("cpu", "memory", "limit", "received", "sent", "read", "written", "pids")
    return {name: None if usage is None else getattr(usage, name) for name in names}


def usage_view(snapshot: Snapshot, sort: str, most: int | None = None) -> RenderableType:
    """The nodes, and below them the containers that use most; at most so many of these."""
    nodes = _table(("NODE", "STATE", "CPU", "CPUS", "MEMORY", "OF", "RUNNING", "CONTAINERS"), numbers=range(2, 8))
    for record in snapshot.nodes:
        beat = record.beat
        nodes.add_row(
            escape(record.node),
            f"[{_COLOUR[record.state]}]{record.state}[/]{' '.join(('', *beat.pressure))}",
            f"{_total_cpu(snapshot, record.node):.2f}",
            f"{beat.capacity.nano_cpus / CORE:g}",
            size(_total_memory(snapshot, record.node)),
            size(beat.capacity.memory),
            str(beat.running),
            str(beat.containers),
        )
    titles = (
        "CONTAINER ID",
        "NAME",
        "NODE",
        "CPU %",
        "MEMORY",
        "LIMIT",
        "NET IN",
        "NET OUT",
        "READ",
        "WRITTEN",
        "PIDS",
    )
    containers = _table(titles, numbers=range(3, 11))
    shown = in_order(snapshot, sort)
    for one in shown[:most]:
        usage = snapshot.usage.get(one.id)
        containers.add_row(one.id[:_SHORT], escape(one.spec.name), escape(one.node), *_cells(usage))
    left_out = len(shown) - len(shown[:most])
    more = (f"… and {left_out} more",) if left_out else ()
    return Group(nodes, "", containers, *more)


def in_order(snapshot: Snapshot, sort: str) -> list[ContainerRecord]:
    """The containers; those that use most of what is named, or have the first name, first."""

    def key(record: ContainerRecord) -> tuple[Any, ...]:
        usage, name = snapshot.usage.get(record.id), record.spec.name
        if sort == "node":
            return record.node, name
        if sort == "name":
            return (name,)
        used = 0.0 if usage is None else (usage.cpu or 0.0) if sort == "cpu" else usage.memory
        return -used, name

    return sorted(snapshot.containers, key=key)


def _cells(usage: Usage | None) -> list[str]:
    if usage is None:
        return ["-"] * 8
    sizes = (usage.memory, usage.limit, usage.received, usage.sent, usage.read, usage.written)
    return ["-" if usage.cpu is None else f"{usage.cpu:.1%}", *map(size, sizes), str(usage.pids)]


def _total_cpu(snapshot: Snapshot, node: str) -> float:
    return sum(usage.cpu or 0.0 for usage in _on_node(snapshot, node))


def _total_memory(snapshot: Snapshot, node: str) -> int:
    return sum(usage.memory for usage in _on_node(snapshot, node))


def _on_node(snapshot: Snapshot, node: str) -> list[Usage]:
    return [snapshot.usage[one.id] for one in snapshot.containers if one.node == node and one.id in snapshot.usage]


def size(number: float) -> str:
    """`1.5 GiB`."""
    for unit in _UNITS[:-1]:
        if number < 1024:
            return f"{number:.0f} {unit}" if unit == "B" else f"{number:.1f} {unit}"
        number /= 1024
    return f"{number:.1f} {_UNITS[-1]}"


def _table(titles: Sequence[str], numbers: Iterable[int] = ()) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    right = set(numbers)
    for place, title in enumerate(titles):
        table.add_column(title, no_wrap=True, justify="right" if place in right else "left", min_width=len(title))
    return table


def _console() -> Console:
    return Console(soft_wrap=True, highlight=False)
