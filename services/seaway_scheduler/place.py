"""Placement: `place(request, snapshot)` chooses a node, or says in counts why none can take it. Pure.

As with Docker on one machine, limits are no reservations: memory may be promised many times over, and
limits only weigh in the ranking. A memory *reservation* must fit into what is free. A taken host port sends
a container to another node if one has it free; where none has, the start fails with Docker's own words.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from seaway_contracts.containers import Resources
from seaway_contracts.node_settings import Availability
from seaway_contracts.nodes import CORE, Capacity, wanted
from seaway_contracts.placement import PlaceRequest
from seaway_scheduler.constraints import Constraint, NodeTraits, parse

_STEPS: Final = 10


@dataclass(frozen=True)
class NodeView:
    """A node as placement sees it. `free` and the counts include what has been promised but not yet been made.

    `heard`: it has beaten since this scheduler began; else it is up by what others have said before.
    """

    traits: NodeTraits
    up: bool
    capacity: Capacity
    free: Capacity
    running: int = 0
    containers: int = 0
    host_ports: frozenset[int] = frozenset()
    heard: bool = True
    availability: Availability = "active"

    @property
    def name(self) -> str:
        """The node's name."""
        return self.traits.name


Snapshot = Sequence[NodeView]


@dataclass(frozen=True)
class Placed:
    """The node that takes it."""

    node: str


@dataclass(frozen=True)
class Reason:
    """Why a node can't: for one node, and for several."""

    one: str
    many: str

    def count(self, number: int) -> str:
        """`2 lack memory`."""
        return f"{number} {self.one if number == 1 else self.many}"


DOWN: Final = Reason("is down", "are down")
NOT_ACTIVE: Final = {
    "pause": Reason("is paused", "are paused"),
    "drain": Reason("is drained", "are drained"),
}
REFUSED: Final = Reason("has refused it", "have refused it")
OTHER_NODE: Final = Reason("is not the node of its networks", "are not the node of its networks")
NO_CPUS: Final = Reason("has too few CPUs", "have too few CPUs")
NO_MEMORY: Final = Reason("lacks memory", "lack memory")


@dataclass(frozen=True)
class Rejected:
    """No node can take it; how many for which reason."""

    reasons: Mapping[Reason, int]

    def __str__(self) -> str:
        counted = sorted(self.reasons.items(), key=lambda item: (-item[1], item[0].many))
        return "no node can take it: " + ", ".join(reason.count(number) for reason, number in counted)


def place(request: PlaceRequest, snapshot: Snapshot) -> Placed | Rejected:
    """Choose a node. Raises SeawayError(BAD_REQUEST) for a constraint that can't be read."""
    constraints = [parse(text) for text in request.constraints]
    refusals = {node.name: _refusal(node, request, constraints) for node in snapshot}
    fit = [node for node in snapshot if refusals[node.name] is None]
    if not fit:
        return Rejected(Counter(reason for reason in refusals.values() if reason is not None))
    ports = frozenset(request.host_ports)
    with_ports_free = [node for node in fit if not ports & node.host_ports]
    choice = with_ports_free or fit
    # right after everything was killed at once, those who are silent may be dead
    choice = [node for node in choice if node.heard] or choice
    return Placed(min(choice, key=lambda node: _rank(node, request.resources)).name)


def _refusal(node: NodeView, request: PlaceRequest, constraints: Sequence[Constraint]) -> Reason | None:
    if request.node and node.name != request.node:
        return OTHER_NODE
    if node.name in request.excluded:
        return REFUSED
    if not node.up:
        return DOWN
    if node.availability != "active":
        return NOT_ACTIVE[node.availability]
    for constraint in constraints:
        if not constraint.allows(node.traits):
            return Reason(f"does not fit {constraint}", f"do not fit {constraint}")
    if wanted(request.resources).nano_cpus > node.capacity.nano_cpus:
        return NO_CPUS
    return NO_MEMORY if request.resources.memory_reservation > max(0, node.free.memory) else None


def _rank(node: NodeView, resources: Resources) -> tuple[int, float, float, float, str]:
    """Smaller is better: how full the node would be (in tenths), how many run per core, and the name at last."""
    want = wanted(resources)
    full = max(
        _share(node.capacity.memory, node.free.memory - want.memory),
        _share(node.capacity.nano_cpus, node.free.nano_cpus - want.nano_cpus),
    )
    cores = max(1.0, node.capacity.nano_cpus / CORE)
    return int(full * _STEPS), node.running / cores, node.containers / cores, full, node.name


def _share(whole: int, free: int) -> float:
    return (whole - free) / whole if whole else 1.0
