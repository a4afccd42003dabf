"""What the scheduler knows of the cluster: beats, and its own placements until the beats show them. Pure.

Each beat, event and placement changes one node's counters and its place in the order; nothing else is looked at.
"""

from collections import Counter, OrderedDict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from heapq import heappop, heappush
from typing import Final

from seaway_contracts.nodes import Beat, NodeFacts, NodeRecord
from seaway_contracts.placement import PlaceRequest
from seaway_scheduler.holdings import Held, Holdings
from seaway_scheduler.node import Node, NodeTerms, Policy, Promise
from seaway_scheduler.order import Order
from seaway_scheduler.rank import RANKINGS

UNMADE_S: Final = 60.0
_REMEMBERED: Final = 1 << 13
_NEVER: Final = float("-inf")
_NO_TERMS: Final = NodeTerms()


class Cluster:
    """The nodes and what is left of them. Times are seconds of a monotonic clock.

    Events and records of containers may come twice and in any order.
    """

    def __init__(self, policy: Policy = Policy()) -> None:  # noqa: B008 (frozen)
        self.policy = policy
        self.holdings = Holdings()
        self.order = Order(RANKINGS[policy.strategy])
        self.up = 0
        self._nodes: dict[str, Node] = {}
        self._terms: dict[str, NodeTerms] = {}
        self._removed: dict[str, str] = {}
        self._placed: dict[str, str] = {}
        self._offered: Counter[str] = Counter()
        self._platforms: Counter[tuple[str, str]] = Counter()
        self._gone: OrderedDict[str, None] = OrderedDict()
        self._silent_at: list[tuple[float, str]] = []

    def __len__(self) -> int:
        return len(self._nodes)

    @property
    def nodes(self) -> Mapping[str, Node]:
        """All nodes, by name."""
        return self._nodes

    def tick(self, now: float) -> None:
        """Mark nodes as down that have been silent for too long."""
        queue = self._silent_at
        while queue and queue[0][0] < now:
            due, name = heappop(queue)
            node = self._nodes.get(name)
            if node is None or not node.up or node.due != due:
                continue
            if node.silent_at < now:
                self._set_up(node, False)
            else:
                self._look_again(node)

    def load(self, records: Iterable[NodeRecord], now: float) -> None:
        """Add the nodes that metadata knows and whose beats have not come yet, and the settings of all nodes."""
        for record in records:
            if self._removed.get(record.node) == record.beat.epoch:
                continue
            if record.node not in self._nodes:
                self._join(record.beat, now if record.state == "up" else _NEVER, heard=False)
            self.set_terms(record.node, NodeTerms.of(record.settings))

    def beat(self, beat: Beat, now: float) -> None:
        """Take a beat: it shows the containers made before it. A node that leaves is down until its next beat."""
        if self._removed.get(beat.node) == beat.epoch:
            return
        self._removed.pop(beat.node, None)
        heard_at = _NEVER if beat.leaving else now
        node = self._nodes.get(beat.node)
        if node is None:
            self._join(beat, heard_at, heard=True)
            return
        changed = beat.facts is not node.beat.facts and beat.facts != node.beat.facts
        if changed:
            self._offer(node.beat.facts, -1)
            self._offer(beat.facts, 1)
        sooner = beat.interval_ns < node.beat.interval_ns
        node.beat, node.heard_at, node.heard = beat, heard_at, True
        if changed:
            node.describe()
        for identifier, promise in list(node.promises.items()):
            if promise.made or now - promise.since >= UNMADE_S:
                self._end(identifier, promise, node)
        node.count(self.policy)
        self._set_up(node, not beat.leaving, queue=sooner)

    def removed(self, name: str, epoch: str = "") -> None:
        """The node was removed. Last beats of its agent, which is being cut off, do not bring it back.

        `epoch`: that of the removed agent. A node of the same name whose agent has started since stays.
        """
        self._terms.pop(name, None)
        node = self._nodes.get(name)
        self._removed[name] = epoch or (node.beat.epoch if node is not None else "")
        if node is None:
            return
        if node.beat.epoch != self._removed[name]:
            self._apply(node, _NO_TERMS)
            return
        self._set_up(node, False)
        for identifier in node.promises:
            del self._placed[identifier]
        for held in [held for held in self.holdings if held.node == name]:
            self.holdings.remove(held.id)
        self._offer(node.beat.facts, -1)
        del self._nodes[name]

    def excuse(self, now: float) -> None:
        """This process had no connection: nodes that were up at the last beat count as heard now."""
        last = max((node.heard_at for node in self._nodes.values()), default=now)
        for node in self._nodes.values():
            if _NEVER < last <= node.silent_at:
                node.heard_at = now
                self._set_up(node, True)

    def set_policy(self, policy: Policy) -> None:
        """The cluster places by that policy from now on. An older one than is known is ignored."""
        if policy == self.policy or policy.version < self.policy.version:
            return
        self.policy = policy
        self.order = Order(RANKINGS[policy.strategy])
        for node in self._nodes.values():
            self._count(node)

    def set_terms(self, name: str, terms: NodeTerms) -> None:
        """Operators have set this for the node, which may not have joined yet. Older terms than known are ignored."""
        known = self._terms.get(name)
        if known is not None and known.version > terms.version:
            return
        self._terms[name] = terms
        node = self._nodes.get(name)
        if node is not None:
            self._apply(node, terms)

    def placed(self, request: PlaceRequest, name: str, now: float) -> None:
        """A container was placed: count it until the node's beats do."""
        identifier = request.container_id
        self.unplaced(identifier)
        node = self._nodes[name]
        promise = Promise.of(request, name, now)
        node.promises[identifier] = promise
        node.take(promise, 1)
        self._placed[identifier] = name
        if identifier not in self._gone:
            held = Held(
                identifier,
                name,
                image=request.image_ref,
                labels=request.labels,
                host_ports=frozenset(request.host_ports),
            )
            self.holdings.add(held)
        self._reorder(node)

    def unplaced(self, identifier: str) -> None:
        """Give back what a placement has taken."""
        name = self._placed.get(identifier)
        if name is None:
            return
        node = self._nodes[name]
        promise = node.promises[identifier]
        self._end(identifier, promise, node)
        if not promise.made:
            self.holdings.remove(identifier)
        node.take(promise, -1)
        self._reorder(node)

    def made(self, identifier: str, name: str) -> bool:
        """The container is on its node, whose next beat shows it. False if this scheduler did not place it there."""
        if self._placed.get(identifier, name) != name:
            self.unplaced(identifier)  # another scheduler has placed it since, as the first node refused it
        node = self._nodes.get(name)
        promise = node.promises.get(identifier) if node is not None else None
        if promise is None:
            return False
        promise.made = True
        return True

    def holds(self, held: Held) -> None:
        """The container is on that node, and has these ports of its host."""
        if held.id not in self._gone:
            self.holdings.add(held)

    def named(self, identifier: str, name: str) -> None:
        """The container has this name, if it is known."""
        held = self.holdings.get(identifier)
        if held is not None and held.name != name:
            self.holdings.add(replace(held, name=name))

    def gone(self, identifier: str) -> None:
        """The container was destroyed: its ports are free."""
        self._gone[identifier] = None
        if len(self._gone) > _REMEMBERED:
            self._gone.popitem(last=False)
        self.unplaced(identifier)
        self.holdings.remove(identifier)

    @property
    def platforms(self) -> Collection[tuple[str, str]]:
        """The system and architecture of any node."""
        return self._platforms.keys()

    def has_runtime(self, name: str) -> bool:
        """Whether any node has that OCI runtime."""
        return self._offered[name] > 0

    def has_device(self, kind: str) -> bool:
        """Whether any node has devices of that kind."""
        return self._offered[kind] > 0

    def placement(self, identifier: str) -> str | None:
        """Where a container was placed a short while ago, if that node is up: asked again, the answer is the same."""
        name = self._placed.get(identifier)
        return name if name is not None and self._nodes[name].up else None

    def _join(self, beat: Beat, heard_at: float, *, heard: bool) -> None:
        terms = self._terms.get(beat.node, _NO_TERMS)
        node = Node(beat, heard_at, heard=heard, terms=terms, policy=self.policy)
        self._nodes[beat.node] = node
        self._offer(beat.facts, 1)
        self._set_up(node, heard_at > _NEVER)

    def _offer(self, facts: NodeFacts, number: int) -> None:
        for name in (*facts.runtimes, *facts.devices):
            self._offered[name] += number
        platform = facts.os, facts.architecture
        self._platforms[platform] += number
        if not self._platforms[platform]:
            del self._platforms[platform]

    def _set_up(self, node: Node, is_up: bool, *, queue: bool = False) -> None:
        if is_up and (queue or not node.up):
            self._look_again(node)
        self.up += is_up - node.up
        node.up = is_up
        self._reorder(node)

    def _look_again(self, node: Node) -> None:
        """Have `tick` look at the node when it may have been silent for too long. Earlier entries no longer count."""
        node.due = node.silent_at
        heappush(self._silent_at, (node.due, node.name))

    def _end(self, identifier: str, promise: Promise, node: Node) -> None:
        """End a promise. If its container was not made, and has no record either, it holds nothing."""
        del node.promises[identifier], self._placed[identifier]
        held = self.holdings.get(identifier)
        if not promise.made and held is not None and not held.name:
            self.holdings.remove(identifier)

    def _apply(self, node: Node, terms: NodeTerms) -> None:
        node.terms = terms
        node.describe()
        self._count(node)

    def _count(self, node: Node) -> None:
        node.count(self.policy)
        self._reorder(node)

    def _reorder(self, node: Node) -> None:
        if node.up:
            self.order.put(node)
        else:
            self.order.remove(node)
