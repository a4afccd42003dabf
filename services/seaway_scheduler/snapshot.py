"""What the scheduler knows of the cluster: beats, and its own placements until the beats show them. Pure."""

from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from seaway_contracts.node_settings import NodeSettings
from seaway_contracts.nodes import Beat, Capacity, NodeRecord, wanted
from seaway_contracts.placement import PlaceRequest
from seaway_scheduler.constraints import NodeTraits
from seaway_scheduler.place import NodeView

MISSED: Final = 3
LEAST_S: Final = 3.0
UNMADE_S: Final = 60.0
_REMEMBERED: Final = 1 << 13


@dataclass
class _Promise:
    """A placement that the node's beats don't show yet."""

    request: PlaceRequest
    since: float
    made: bool = False


@dataclass
class _Node:
    beat: Beat
    heard: float
    known_by_hearsay: bool = False
    promises: dict[str, _Promise] = field(default_factory=dict)

    def up(self, now: float) -> bool:
        return now - self.heard <= max(LEAST_S, MISSED * self.beat.interval_ns / 1e9)


class Cluster:
    """The nodes. Times are in seconds of one steady clock.

    What containers hold is known by their events and records, which may come twice and in any order.
    """

    def __init__(self) -> None:
        self._nodes: dict[str, _Node] = {}
        self._settings: dict[str, NodeSettings] = {}
        self._removed: dict[str, str] = {}
        self._ports: dict[str, tuple[str, frozenset[int]]] = {}
        self._gone: OrderedDict[str, None] = OrderedDict()

    def __len__(self) -> int:
        return len(self._nodes)

    def any_up(self, now: float) -> bool:
        """Whether there is a node to place anything on."""
        return any(node.up(now) for node in self._nodes.values())

    def load(self, records: Iterable[NodeRecord], now: float) -> None:
        """Begin with what metadata knows; what has been heard since weighs more."""
        for record in records:
            if record.node not in self._nodes:
                heard = now if record.state == "up" else float("-inf")
                self._nodes[record.node] = _Node(record.beat, heard, known_by_hearsay=True)
            self.set(record.settings)

    def set(self, settings: NodeSettings) -> None:
        """A node's settings, unless later ones are known."""
        known = self._settings.get(settings.node)
        if known is None or known.version < settings.version:
            self._settings[settings.node] = settings

    def beat(self, beat: Beat, now: float) -> None:
        """A beat came: it shows what was made before it. A node that leaves is down until it beats again."""
        if self._removed.get(beat.node) == beat.epoch:
            return
        self._removed.pop(beat.node, None)
        node = self._nodes.setdefault(beat.node, _Node(beat, now))
        node.beat, node.heard = beat, float("-inf") if beat.leaving else now
        node.known_by_hearsay = False
        node.promises = {
            identifier: promise
            for identifier, promise in node.promises.items()
            if not promise.made and now - promise.since < UNMADE_S
        }

    def removed(self, name: str) -> None:
        """The node was removed. Last beats of its agent, which is being cut off, do not bring it back."""
        self._settings.pop(name, None)
        if (node := self._nodes.pop(name, None)) is not None:
            self._removed[name] = node.beat.epoch

    def excuse(self, now: float) -> None:
        """This process could not hear: who was up when anybody was heard last counts as heard now."""
        last = max((node.heard for node in self._nodes.values()), default=now)
        for node in [node for node in self._nodes.values() if node.up(last)]:
            node.heard = now

    def placed(self, request: PlaceRequest, name: str, now: float) -> None:
        """A container was placed: count it until the node's beats do."""
        self._nodes[name].promises[request.container_id] = _Promise(request, now)

    def unplaced(self, identifier: str) -> None:
        """Nothing was made of a placement."""
        for node in self._nodes.values():
            node.promises.pop(identifier, None)

    def made(self, identifier: str, name: str) -> bool:
        """The container is on its node, whose next beat shows it; whether it was placed here."""
        node = self._nodes.get(name)
        promise = node.promises.get(identifier) if node is not None else None
        if promise is None:
            return False
        promise.made = True
        self.holds(identifier, name, promise.request.host_ports)
        return True

    def holds(self, identifier: str, name: str, host_ports: Iterable[int]) -> None:
        """The container, which has these ports of its host, is on that node."""
        ports = frozenset(host_ports)
        if ports and identifier not in self._gone:
            self._ports[identifier] = name, ports

    def gone(self, identifier: str) -> None:
        """The container was destroyed: its ports are free."""
        self._ports.pop(identifier, None)
        self._gone[identifier] = None
        if len(self._gone) > _REMEMBERED:
            self._gone.popitem(last=False)
        self.unplaced(identifier)

    def placement(self, identifier: str, now: float) -> str | None:
        """Where a container was placed a short while ago, if that node is up: asked again, the answer is the same."""
        for name, node in self._nodes.items():
            if identifier in node.promises and node.up(now):
                return name
        return None

    def snapshot(self, now: float) -> list[NodeView]:
        """The nodes as placement sees them, by name."""
        return [self._view(name, node, now) for name, node in sorted(self._nodes.items())]

    def _view(self, name: str, node: _Node, now: float) -> NodeView:
        promised = [wanted(promise.request.resources) for promise in node.promises.values()]
        beat = node.beat
        free = Capacity(
            nano_cpus=beat.free.nano_cpus - sum(want.nano_cpus for want in promised),
            memory=beat.free.memory - sum(want.memory for want in promised),
        )
        facts = beat.facts
        settings = self._settings.get(name, NodeSettings(node=name))
        labels = {**facts.labels, **settings.labels}
        return NodeView(
            traits=NodeTraits(name, facts.hostname, facts.os, facts.architecture, labels),
            up=node.up(now),
            availability=settings.availability,
            capacity=beat.capacity,
            free=free,
            running=beat.running + len(promised),
            containers=beat.containers + len(promised),
            host_ports=self._taken(name, node),
            heard=not node.known_by_hearsay,
        )

    def _taken(self, name: str, node: _Node) -> frozenset[int]:
        held = (ports for where, ports in self._ports.values() if where == name)
        promised = (promise.request.host_ports for promise in node.promises.values())
        return frozenset().union(*held, *promised)
