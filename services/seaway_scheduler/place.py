"""Placement: `place(request, cluster, seed)` chooses a node, or says in counts why none can take it. Pure.

As with Docker on one machine, limits are no reservations: memory may be promised many times over, and
limits only weigh in the ranking. Reservations must fit into what is free.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from seaway_contracts.placement import PlaceRequest
from seaway_scheduler import filters
from seaway_scheduler.cluster import Cluster
from seaway_scheduler.demand import Demand
from seaway_scheduler.filters.check import Check, Wish
from seaway_scheduler.node import Node
from seaway_scheduler.order import Entry
from seaway_scheduler.rank import Rank, has_free, level

_EQUALS: Final = 64
_PROBES: Final = 32
_MASK: Final = (1 << 64) - 1


@dataclass(frozen=True)
class Placed:
    """The node that takes it."""

    node: str


@dataclass(frozen=True)
class Rejected:
    """No node can take it; how many for which reason, and by which filter."""

    reasons: Mapping[str, int]
    filters: Mapping[str, int] = field(default_factory=dict)

    def __str__(self) -> str:
        """`no node fits: 2 nodes: not enough memory; 1 node: down`."""
        counted = sorted(self.reasons.items(), key=lambda item: (-item[1], item[0]))
        return "no node fits: " + "; ".join(
            f"{number} node{'' if number == 1 else 's'}: {reason}" for reason, number in counted
        )


def place(request: PlaceRequest, cluster: Cluster, seed: int = 0) -> Placed | Rejected:
    """Choose a node; `seed` is the dice of the strategy `random`.

    Raises SeawayError(BAD_REQUEST) for a condition that can't be asked.
    """
    search = _Search(Demand.of(request), cluster)
    if request.node:
        node = search.only(request.node)
    elif cluster.policy.strategy == "random":
        node = search.by_chance(seed)
    else:
        node = search.best()
    return Placed(node.name) if node is not None else search.rejected()


class _Found(NamedTuple):
    """A group's best entry. `rank`: its score and the rank of its node with the container; smaller is better."""

    entries: list[Entry]
    at: int
    score: int
    rank: tuple[int, float, float, float]


class _Search:
    """The search for one request. The wishes that a node meets are the bits of its score, the first the highest."""

    def __init__(self, demand: Demand, cluster: Cluster) -> None:
        self._demand = demand
        self._cluster = cluster
        named = filters.checks(demand, cluster)
        self._names = tuple(named)
        self._checks: Sequence[Check] = tuple(named.values())
        self._is_packed = _is_packed(demand, cluster)
        self._wishes: Sequence[Wish] = tuple(all_wishes(demand, cluster).values())
        self._most = (1 << len(self._wishes)) - 1
        self._with_image = cluster.holdings.with_image(demand.request.image_ref)

    def only(self, name: str) -> Node | None:
        """The node of that name, if it can take it."""
        node = self._cluster.nodes.get(name)
        return node if node is not None and self._fits(node) else None

    def best(self) -> Node | None:
        """The node with the best score; among those the one with the best rank once it had the container.

        In a group, the rank without the container decides.
        """
        found: list[_Found] = []
        for groups in self._groups():
            if self._best_of(groups, found):
                break
        if not found:
            return None
        least = min(one.rank for one in found)
        equals = [self._local(one) for one in found if one.rank == least]
        return min(equals, key=lambda node: (node.name not in self._with_image, self._full(node), node.name))

    def _best_of(self, groups: list[list[Entry]], found: list[_Found]) -> bool:
        """Add what these groups have to `found`; whether one of that meets all wishes.

        A container without limits does not change a node's rank, and with spread one with limits can only make it
        worse. So no node of a group ends up before the rank of the group's first entry: the search goes by these
        ranks, and stops where the next one is worse than what was found. Binpack ranks a node better the more a
        container takes of it, so for limits all groups are searched.
        """
        least: tuple[float, float, float] | None = None
        for entries in groups if self._is_packed else sorted(groups, key=_first_rank):
            if least is not None and not self._is_packed and _first_rank(entries) > least:
                break
            one = self._first(entries)
            if one is None:
                continue
            found.append(one)
            if one.score == self._most:
                least = one.rank[1:] if least is None else min(least, one.rank[1:])
        return least is not None

    def by_chance(self, seed: int) -> Node | None:
        """One of the nodes with the best score."""
        first, later = self._groups()
        groups = [*first, *later]
        total = sum(map(len, groups))
        for probe in range(min(_PROBES, total)):
            node = _nth(groups, _mixed(seed + probe) % total)
            if self._fits(node) and self._score(node) == self._most:
                return node
        scored = [(self._score(node), node) for entries in groups for *_, node in entries if self._fits(node)]
        most = max((score for score, _ in scored), default=0)
        choice = [node for score, node in scored if score == most]
        return choice[_mixed(seed) % len(choice)] if choice else None

    def rejected(self) -> Rejected:
        """Why the nodes can't take it."""
        reasons: Counter[str] = Counter()
        refusing: Counter[str] = Counter()
        for node in self._cluster.nodes.values():
            for name, check in zip(self._names, self._checks, strict=True):
                if (reason := check(node)) is not None:
                    reasons[reason] += 1
                    refusing[name] += 1
                    break
        return Rejected(reasons, refusing)

    def _groups(self) -> tuple[list[list[Entry]], list[list[Entry]]]:
        """The groups where a node may meet all wishes, and the others; none where too little is left to reserve."""
        demand = self._demand
        least, limit, cpus = level(demand.reservation.memory), level(demand.memory), level(demand.cpus)
        first: list[list[Entry]] = []
        later: list[list[Entry]] = []
        for key, entries in self._cluster.order.groups():
            if key.room >= least:
                is_later = key.hearsay or (self._is_packed and (key.free < limit or key.free_cpus < cpus))
                (later if is_later else first).append(entries)
        return first, later

    def _first(self, entries: list[Entry]) -> _Found | None:
        """The first entry with the best score."""
        best, at = -1, 0
        for index, entry in enumerate(entries):
            node = entry[-1]
            if self._fits(node):
                score = self._score(node)
                if score > best:
                    best, at = score, index
                    if score == self._most:
                        break
        if best < 0:
            return None
        steps, running, containers, _ = self._rank(entries[at][-1])
        return _Found(entries, at, best, (-best, steps, running, containers))

    def _local(self, found: _Found) -> Node:
        """The first of the next entries of the same rank that has the image; without one the entry itself."""
        entries, at = found.entries, found.at
        first = entries[at]
        if not self._with_image or first[-1].name in self._with_image:
            return first[-1]
        for index in range(at + 1, min(at + _EQUALS, len(entries))):
            entry = entries[index]
            if entry[:3] != first[:3]:
                break
            node = entry[-1]
            if node.name in self._with_image and self._fits(node) and self._score(node) == found.score:
                return node
        return first[-1]

    def _rank(self, node: Node) -> Rank:
        return self._cluster.order.ranking(node, self._demand.cpus, self._demand.memory)

    def _full(self, node: Node) -> float:
        return self._rank(node)[-1]

    def _fits(self, node: Node) -> bool:
        return all(check(node) is None for check in self._checks)

    def _score(self, node: Node) -> int:
        score = 0
        for wish in self._wishes:
            score = 2 * score + wish(node)
        return score


def all_wishes(demand: Demand, cluster: Cluster) -> dict[str, Wish]:
    """What is preferred of a node, by name, the most important first: the filters' wishes, and those of the search.

    The last: it has been heard. Right after everything was killed at once, those known by hearsay may be dead.
    """
    wishes = filters.wishes(demand, cluster)
    if _is_packed(demand, cluster):
        wishes["limits"] = lambda node: has_free(node, demand.cpus, demand.memory)
    wishes["heard"] = _is_heard
    return wishes


def _is_packed(demand: Demand, cluster: Cluster) -> bool:
    return cluster.policy.strategy == "binpack" and bool(demand.cpus or demand.memory)


def _first_rank(entries: list[Entry]) -> tuple[float, float, float]:
    return entries[0][:3]


def _is_heard(node: Node) -> bool:
    return node.heard


def _nth(groups: Sequence[list[Entry]], index: int) -> Node:
    for entries in groups:
        if index < len(entries):
            return entries[index][-1]
        index -= len(entries)
    raise IndexError(index)


def _mixed(number: int) -> int:
    """A number that looks like chance (SplitMix64)."""
    number = (number + 0x9E3779B97F4A7C15) & _MASK
    number = ((number ^ (number >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    number = ((number ^ (number >> 27)) * 0x94D049BB133111EB) & _MASK
    return number ^ (number >> 31)
