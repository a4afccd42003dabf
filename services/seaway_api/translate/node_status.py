"""The nodes as `docker info` lists them below the storage driver, in the form of classic Swarm. Pure."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from seaway_api.translate.nodes import DOWN, HEALTHY, engine_labels
from seaway_contracts.containers import State
from seaway_contracts.node_settings import ClusterSettings
from seaway_contracts.nodes import CORE, NodeRecord, Reservation
from seaway_contracts.placement import FILTERS
from seaway_docker.timestamps import rfc3339nano

_UNITS: Final = ("B", "KiB", "MiB", "GiB", "TiB", "PiB")
_RUNNING: Final = frozenset((State.RUNNING, State.RESTARTING))
_BRANCH: Final = "  └ "


def cluster_status(
    nodes: Iterable[NodeRecord], settings: ClusterSettings, counts: Mapping[tuple[str, State], int]
) -> list[list[str]]:
    """Names and values, in order. `counts`: how many containers are on each node in each state."""
    nodes = tuple(nodes)
    all_of, running = Counter[str](), Counter[str]()
    for (name, state), count in counts.items():
        all_of[name] += count
        running[name] += count if state in _RUNNING else 0
    filters = ", ".join(name.replace("_", " ") for name in FILTERS)
    lines = [["Strategy", settings.strategy], ["Filters", filters], ["Nodes", str(len(nodes))]]
    for node in nodes:
        lines.append([f" {node.node}", node.beat.facts.address or "(unknown)"])
        containers = f"{all_of[node.node]} ({running[node.node]} running)"
        lines += [[_BRANCH + name, value] for name, value in _properties(node, containers)]
    return lines


def _properties(node: NodeRecord, containers: str) -> Iterator[tuple[str, str]]:
    beat, reserved = node.beat, _reserved(node)
    yield "Status", _status(node)
    yield "Containers", containers
    yield "Reserved CPUs", f"{reserved.nano_cpus / CORE:g} / {beat.capacity.nano_cpus / CORE:g}"
    yield "Reserved Memory", f"{size_text(reserved.memory)} / {size_text(beat.capacity.memory)}"
    yield "Labels", ", ".join(f"{key}={value}" for key, value in sorted(engine_labels(node).items()))
    yield "UpdatedAt", rfc3339nano(node.last_beat_ns)
    yield "ServerVersion", beat.facts.version


def _status(node: NodeRecord) -> str:
    """`Healthy`, or `Down`; then what else keeps containers away, or since when it is down."""
    if node.state == "up":
        state, notes = HEALTHY, [f"{word} pressure" for word in node.beat.pressure]
    else:
        state, notes = DOWN, [f"since {rfc3339nano(node.since_ns)}"]
    if node.settings.availability != "active":
        notes.append(node.settings.availability)
    return f"{state} ({', '.join(notes)})" if notes else state


def _reserved(node: NodeRecord) -> Reservation:
    """What containers reserve; of a node that doesn't say it, what the limits of those that run take."""
    beat = node.beat
    if beat.reserved is not None:
        return beat.reserved
    whole, free = beat.capacity, beat.free
    return Reservation(nano_cpus=whole.nano_cpus - free.nano_cpus, memory=whole.memory - free.memory)


def size_text(size: int) -> str:
    """Bytes with four significant digits and a unit, as Docker writes them: `1.021GiB`."""
    value, unit = float(size), 0
    while value >= 1024 and unit < len(_UNITS) - 1:
        value, unit = value / 1024, unit + 1
    return f"{value:.4g}{_UNITS[unit]}"
