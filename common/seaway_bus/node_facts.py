"""Completes nodes' beats with the facts of earlier beats: an agent sends its facts only when they change."""

import logging
from collections.abc import Callable, Iterable

from seaway_bus.bus import Bus
from seaway_bus.plausible import trouble_with
from seaway_contracts.base import Empty
from seaway_contracts.catalogue import NODE_FACTS
from seaway_contracts.errors import SeawayError
from seaway_contracts.nodes import Beat, KnownFacts, NodeRecord
from seaway_kit.tasks import Tasks

log = logging.getLogger(__name__)


class FactsOfNodes:
    """The last known facts of each node. It asks a node whose beat refers to unknown facts."""

    def __init__(self, bus: Bus, tasks: Tasks, deliver: Callable[[Beat], None]) -> None:
        """`deliver` is called with each completed beat.

        While a node's new facts are unknown, its beats have its last known ones, and `has_facts` False. Not delivered
        are beats of a node without any known facts, and impossible ones.
        """
        self._bus = bus
        self._tasks = tasks
        self._deliver = deliver
        self._known: dict[str, KnownFacts] = {}
        self._incomplete: dict[str, Beat] = {}
        self._asking: set[str] = set()
        self._refused: set[str] = set()

    def load(self, records: Iterable[NodeRecord]) -> None:
        """Begin with the facts in these records."""
        for record in records:
            self._known.setdefault(record.node, KnownFacts(id=record.beat.facts_id, facts=record.beat.facts))

    def forget(self, node: str) -> None:
        """The node was removed."""
        self._known.pop(node, None)
        self._incomplete.pop(node, None)
        self._refused.discard(node)

    def receive(self, beat: Beat) -> None:
        """Complete a beat and deliver it; when it refers to unknown facts, again as soon as the node has sent them."""
        if not self._is_possible(beat):
            return
        self._incomplete.pop(beat.node, None)
        if beat.has_facts:
            self._known[beat.node] = KnownFacts(id=beat.facts_id, facts=beat.facts)
            self._deliver(beat)
            return
        if not beat.leaving and not self._is_known(beat):
            self._incomplete[beat.node] = beat
            self._ask_for(beat.node)
        known = self._known.get(beat.node)
        if known is not None:
            self._deliver(beat.model_copy(update={"facts": known.facts, "has_facts": self._is_known(beat)}))

    def _is_known(self, beat: Beat) -> bool:
        known = self._known.get(beat.node)
        return known is not None and known.id == beat.facts_id

    def _is_possible(self, beat: Beat) -> bool:
        """The first of several impossible beats of a node is logged."""
        trouble = trouble_with(beat)
        if not trouble:
            self._refused.discard(beat.node)
        elif beat.node not in self._refused:
            self._refused.add(beat.node)
            log.warning("beats of node %s are ignored: %s", beat.node, trouble)
        return not trouble

    def _ask_for(self, node: str) -> None:
        if node not in self._asking:
            self._asking.add(node)
            self._tasks.spawn(f"facts-{node}", self._ask(node))

    async def _ask(self, node: str) -> None:
        """Complete the node's last beat with the answer; without an answer, its next beat causes another question."""
        try:
            answer = await self._bus.call(NODE_FACTS, Empty(), node=node)
        except SeawayError as error:
            log.info("node %s does not send its facts: %s; it is asked again at its next beat", node, error)
            return
        finally:
            self._asking.discard(node)
        beat = self._incomplete.get(node)
        if beat is not None and beat.facts_id == answer.id:
            self.receive(beat.model_copy(update={"facts": answer.facts, "has_facts": True}))
