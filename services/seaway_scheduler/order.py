"""The nodes that are up, in the order of their ranks: a few sorted lists, kept up to date change by change. Pure."""

from bisect import bisect_left, insort
from collections.abc import Sequence
from typing import NamedTuple

from seaway_scheduler.node import Node
from seaway_scheduler.rank import Ranking, binpack, level, node_class

Entry = tuple[float, float, float, float, str, Node]
"""A rank, the node's name, the node."""


class GroupKey(NamedTuple):
    """What the nodes of a group have in common: their class, and the levels of what is left.

    `hearsay`: the nodes have not been heard since this process began. `free` and `free_cpus`: what limits leave; 0
    unless the strategy is binpack.
    """

    hearsay: bool
    cores: int
    memory: int
    free: int
    free_cpus: int
    room: int


class Order:
    """Groups of nodes of about the same size and room, each sorted by rank and name."""

    def __init__(self, ranking: Ranking) -> None:
        self.ranking = ranking
        self._groups: dict[GroupKey, list[Entry]] = {}
        self._places: dict[str, tuple[GroupKey, Entry]] = {}
        self._sorted: list[tuple[GroupKey, list[Entry]]] | None = None

    def groups(self) -> Sequence[tuple[GroupKey, list[Entry]]]:
        """All groups, those of nodes that have been heard first."""
        if self._sorted is None:
            self._sorted = sorted(self._groups.items(), key=lambda item: item[0])
        return self._sorted

    def put(self, node: Node) -> None:
        """The node is up, or its rank may have changed."""
        rank = self.ranking(node, 0, 0)
        is_packed = self.ranking is binpack
        free, free_cpus = (level(node.free_memory), level(node.free_cpus)) if is_packed else (0, 0)
        key = GroupKey(not node.heard, *node_class(node), free, free_cpus, level(node.room_memory))
        entry = (*rank, node.name, node)
        if self._places.get(node.name) == (key, entry):
            return
        self.remove(node)
        group = self._groups.get(key)
        if group is None:
            group = self._groups[key] = []
            self._sorted = None
        insort(group, entry)
        self._places[node.name] = key, entry

    def remove(self, node: Node) -> None:
        """The node is not up."""
        place = self._places.pop(node.name, None)
        if place is None:
            return
        key, entry = place
        group = self._groups[key]
        del group[bisect_left(group, entry)]
        if not group:
            del self._groups[key]
            self._sorted = None
