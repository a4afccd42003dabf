"""Nodes as `seaway node ls` and `inspect` show them."""

import time
from collections.abc import Iterable, Iterator
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from seaway_contracts.joining import NodeIdentity
from seaway_contracts.nodes import CORE, NodeRecord

_COLOUR = {"up": "green", "down": "red"}
_GIB = 1 << 30


def as_document(record: NodeRecord, identity: NodeIdentity | None = None) -> dict[str, Any]:
    """All that is known of a node, as JSON. `identity`: of a node that joined by a token."""
    beat, settings = record.beat, record.settings
    return {
        "node": record.node,
        "state": record.state,
        "since_ns": record.since_ns,
        "last_beat_ns": record.last_beat_ns,
        "availability": settings.availability,
        "labels": record.labels,
        "address": beat.facts.address,
        "kept_free": settings.reserved.model_dump(),
        **beat.model_dump(include={"capacity", "free", "running", "containers", "reserved", "pressure", "interval_ns"}),
        "facts": beat.facts.model_dump(exclude={"labels", "address"}),
        "identity": identity and identity.model_dump(include={"public_key", "token", "since_ns"}),
    }


def print_nodes(records: Iterable[NodeRecord], console: Console | None = None) -> None:
    """Print a table with a line for each node."""
    console = console or Console(soft_wrap=True, highlight=False)
    table = Table(box=None, pad_edge=False, header_style="bold")
    for title in ("NODE", "STATE", "AVAILABILITY", "ADDRESS", "CPUS", "MEMORY", "RUNNING", "CONTAINERS"):
        is_number = title in ("CPUS", "MEMORY", "RUNNING", "CONTAINERS")
        table.add_column(title, no_wrap=True, justify="right" if is_number else "left", min_width=len(title))
    table.add_column("LABELS", overflow="fold", min_width=len("LABELS"))
    for record in records:
        beat = record.beat
        table.add_row(
            record.node,
            f"[{_COLOUR[record.state]}]{record.state}[/]",
            record.settings.availability,
            beat.facts.address or "-",
            f"{beat.capacity.nano_cpus / CORE:g}",
            f"{beat.capacity.memory / _GIB:.1f} GiB",
            str(beat.running),
            str(beat.containers),
            escape(" ".join(_labels(record)) or "-"),
        )
    console.print(table)


def print_node(record: NodeRecord, identity: NodeIdentity | None = None, console: Console | None = None) -> None:
    """Print a node's properties, one on each line."""
    console = console or Console(soft_wrap=True, highlight=False)
    table = Table(box=None, pad_edge=False, show_header=False)
    for name, value in _properties(record, identity):
        table.add_row(name, escape(value))
    console.print(table)


def _properties(record: NodeRecord, identity: NodeIdentity | None) -> Iterator[tuple[str, str]]:
    beat, facts, settings = record.beat, record.beat.facts, record.settings
    yield "node", record.node
    yield "state", record.state
    yield "availability", settings.availability
    yield "pressure", " ".join(beat.pressure) or "-"
    yield "labels", " ".join(_labels(record)) or "-"
    yield "address", facts.address or "-"
    if identity is not None:
        at = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(identity.since_ns / 10**9))
        yield "joined", f"{at} by the token {identity.token}, with the key {identity.public_key}"
    yield "cpus", f"{beat.capacity.nano_cpus / CORE:g}, {beat.free.nano_cpus / CORE:g} free"
    yield "memory", f"{beat.capacity.memory / _GIB:.1f} GiB, {beat.free.memory / _GIB:.1f} GiB free"
    yield "kept free", f"{settings.reserved.nano_cpus / CORE:g} CPUs, {settings.reserved.memory / _GIB:.1f} GiB"
    yield "containers", f"{beat.containers}, {beat.running} running"
    yield "system", f"{facts.operating_system}, {facts.kernel_version}, {facts.architecture}"
    yield "runtimes", " ".join(sorted(facts.runtimes)) or "-"
    yield "devices", " ".join(f"{kind}={number}" for kind, number in sorted(facts.devices.items())) or "-"
    for text in facts.warnings:
        yield "warning", text


def _labels(record: NodeRecord) -> list[str]:
    return [f"{key}={value}" for key, value in sorted(record.labels.items())]
