"""Simulation: fills a cluster of simulated nodes by the scheduler's own code, in this process and without the bus.

Prints the placements per second in the first and in the last tenth of the fill. A placement is counted with all that
belongs to it: its request, the event that says that it was made, and the beats that come meanwhile. Rates are medians,
by processor time, as the machine may be busy with other things. An empty cluster and one that is filled to nine tenths
take turns, so that their ratio holds even if the machine drifts.
"""

import argparse
import gc
import json
import statistics
import sys
import time
from dataclasses import dataclass, field
from typing import Any, Final

from seaway_contracts.containers import Resources
from seaway_contracts.nodes import CORE, Beat, Capacity, NodeFacts, Reservation, reservation, wanted
from seaway_contracts.placement import Condition, PlaceRequest
from seaway_scheduler.cluster import Cluster
from seaway_scheduler.node import Policy
from seaway_scheduler.place import Rejected, place

GIB: Final = 1 << 30
MIB: Final = 1 << 20
PARTS: Final = 10
SLICE: Final = 500
LEAST_RATE, LEAST_SHARE = 4000.0, 0.8
BEAT_S: Final = 20.0
SSD: Final = Condition(key="node.labels.disk", value="ssd")
SOFT: Final = Condition(key="node.labels.rack", value="r1*", soft=True)

KINDS: Final[tuple[tuple[int, dict[str, Any]], ...]] = (
    (50, {}),
    (20, {"resources": Resources(memory=256 * MIB)}),
    (10, {"resources": Resources(memory=GIB, memory_reservation=512 * MIB, nano_cpus=CORE // 2)}),
    (8, {"resources": Resources(memory_reservation=128 * MIB)}),
    (4, {"host_ports": ()}),
    (4, {"constraints": (SSD,)}),
    (2, {"constraints": (SOFT,)}),
    (2, {"affinities": ()}),
)
"""Of a hundred containers so many are of that kind: most have no limits, as everywhere. Host ports are of 200 services,
and of 50 applications each wants to be alone on its node.
"""
SHUFFLED: Final = [
    kind
    for _, kind in sorted(
        (number * 37 % 100, kind)
        for number, kind in enumerate(kind for kind, (count, _) in enumerate(KINDS) for _ in range(count))
    )
]


@dataclass
class SimulatedNode:
    """An agent, as far as its beats go."""

    name: str
    facts: NodeFacts
    whole: Capacity
    running: int = 0
    taken: list[int] = field(default_factory=lambda: [0, 0])
    reserved: int = 0

    def beat(self) -> Beat:
        """Its next heartbeat."""
        cpus, memory = (max(0, left) for left in self._left())
        return Beat(
            node=self.name,
            epoch="e",
            inventory=self.running,
            time_ns=0,
            interval_ns=int(BEAT_S * 1e9),
            capacity=self.whole,
            free=Capacity(nano_cpus=cpus, memory=memory),
            reserved=Reservation(memory=self.reserved),
            running=self.running,
            containers=self.running,
            facts=self.facts,
        )

    def _left(self) -> tuple[int, int]:
        return self.whole.nano_cpus - self.taken[0], self.whole.memory - self.taken[1]

    def make(self, request: PlaceRequest) -> None:
        """A container was made."""
        want = wanted(request.resources)
        self.running += 1
        self.taken[0] += want.nano_cpus
        self.taken[1] += want.memory
        self.reserved += reservation(request.resources).memory


class Fill:
    """Places container after container. All times are those of the simulation, so no node is ever silent."""

    def __init__(self, nodes: int, strategy: str) -> None:
        self.cluster = Cluster(Policy(strategy))  # type: ignore[arg-type]
        self.nodes = [_node(number) for number in range(nodes)]
        self.by_name = {node.name: node for node in self.nodes}
        self.refused = 0
        self._placed = 0
        self._next_beat = 0
        self._beat_every = max(1, round(LEAST_RATE * BEAT_S / nodes))
        for node in self.nodes:
            self.cluster.beat(node.beat(), 0.0)

    def run(self, count: int) -> float:
        """Make the next containers; how many a second of processor time were placed."""
        began = time.process_time()
        for number in range(self._placed, self._placed + count):
            self.place(number)
            if number % self._beat_every == 0:
                self.beat()
        self._placed += count
        return count / (time.process_time() - began)

    def place(self, number: int) -> None:
        """One placement and what follows from it."""
        request = _request(number)
        self.cluster.tick(0.0)
        found = place(request, self.cluster, number)
        if isinstance(found, Rejected):
            self.refused += 1
            return
        self.cluster.placed(request, found.node, 0.0)
        self.cluster.made(request.container_id, found.node)
        self.cluster.named(request.container_id, f"container-{number}")
        self.by_name[found.node].make(request)

    def beat(self) -> None:
        """The next node beats."""
        self.cluster.beat(self.nodes[self._next_beat].beat(), 0.0)
        self._next_beat = (self._next_beat + 1) % len(self.nodes)


def _request(number: int) -> PlaceRequest:
    fields = dict(KINDS[SHUFFLED[number % len(SHUFFLED)]][1])
    if "host_ports" in fields:
        fields["host_ports"] = (8000 + number // 100 % 200,)
    if "affinities" in fields:
        app = f"app-{number // 100 % 50}"
        fields |= {"labels": {"app": app}, "affinities": (Condition(key="app", value=app, equal=False),)}
    return PlaceRequest(container_id=f"{number:064x}", image_ref=f"image-{number % 7}", **fields)


def _node(number: int) -> SimulatedNode:
    """Three sizes, memory that differs by some pages as on real machines, labels."""
    cores, memory = ((8, 32), (16, 64), (32, 128))[number % 3]
    facts = NodeFacts(hostname=f"host-{number}", labels={"disk": ("ssd", "hdd")[number % 2], "rack": f"r{number % 40}"})
    whole = Capacity(nano_cpus=cores * CORE, memory=memory * GIB - number % 50 * 4096)
    return SimulatedNode(f"node-{number:05}", facts, whole)


def measure(nodes: int, containers: int, strategy: str) -> tuple[Fill, list[float], list[float]]:
    """The full cluster, and the placements per second at the beginning and at the end."""
    empty, full = Fill(nodes, strategy), Fill(nodes, strategy)
    part = containers // PARTS
    full.run(part * (PARTS - 1))
    gc.freeze()
    slices = max(1, part // SLICE)
    rates = [(empty.run(SLICE), full.run(SLICE)) for _ in range(slices)]
    return full, [first for first, _ in rates], [last for _, last in rates]


def main() -> int:
    """1 if a target is missed."""
    parser = argparse.ArgumentParser(prog="./dev scale placement", description=__doc__)
    parser.add_argument("--nodes", type=int, default=5000, help="[5000]")
    parser.add_argument("--containers", type=int, default=150_000, help="[150000]")
    parser.add_argument("--strategy", choices=("spread", "binpack", "random"), default="spread", help="[spread]")
    parser.add_argument("--json", action="store_true", help="print the results as one JSON object")
    options = parser.parse_args()
    fill, firsts, lasts = measure(options.nodes, options.containers, options.strategy)
    first, last = statistics.median(firsts), statistics.median(lasts)
    share = statistics.median(late / early for early, late in zip(firsts, lasts, strict=True))
    counts = [node.running for node in fill.nodes]
    result = {
        "simulated": True,
        "nodes": options.nodes,
        "containers": options.containers,
        "strategy": options.strategy,
        "first": round(first),
        "last": round(last),
        "share": round(share, 2),
        "refused": fill.refused,
        "fewest": min(counts),
        "most": max(counts),
    }
    if options.json:
        print(json.dumps(result))
    else:
        print(f"simulation: {options.nodes:,} nodes, {options.containers:,} containers, {options.strategy}")
        print(f"  at the beginning {first:,.0f}/s, at the end {last:,.0f}/s, that is {share:.2f} of it")
        print(f"  {fill.refused:,} refused; {min(counts)} to {max(counts)} containers on a node")
    return 0 if min(first, last) >= LEAST_RATE and share >= LEAST_SHARE else 1


if __name__ == "__main__":
    sys.exit(main())
