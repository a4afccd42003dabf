"""Completes nodes' beats with the facts that earlier beats had: an agent sends them only when they change."""

import logging
from collections.abc import Iterable

from seaway_bus.bus import Bus
from seaway_contracts.base import Empty
from seaway_contracts.catalogue import NODE_FACTS
from seaway_contracts.errors import SeawayError
from seaway_contracts.nodes import Beat, KnownFacts, NodeRecord
from seaway_kit.tasks import Tasks

log = logging.getLogger(__name__)


class FactsOfNodes:
    """The last known facts of each node. A node is asked for them where a beat names others."""

    def __init__(self, bus: Bus, tasks: Tasks) -> None:
        self._bus = bus
        self._tasks = tasks
        self._known: dict[str, KnownFacts] = {}
        self._asking: set[str] = set()

    def load(self, records: Iterable[NodeRecord]) -> None:
        """Begin with what records have."""
        for record in records:
            self._known.setdefault(record.node, KnownFacts(id=record.beat.facts_id, facts=record.beat.facts))

    def forget(self, node: str) -> None:
        """The node was removed."""
        self._known.pop(node, None)

    def complete(self, beat: Beat) -> Beat:
        """The beat with its facts; where they aren't known yet, with the last known ones and `has_facts` False."""
        if beat.has_facts:
            self._known[beat.node] = KnownFacts(id=beat.facts_id, facts=beat.facts)
            return beat
        known = self._known.get(beat.node)
        is_current = known is not None and known.id == beat.facts_id
        if not is_current and not beat.leaving and beat.node not in self._asking:
            self._asking.add(beat.node)
            self._tasks.spawn(f"facts-{beat.node}", self._ask(beat.node))
        return beat if known is None else beat.model_copy(update={"facts": known.facts, "has_facts": is_current})

    async def _ask(self, node: str) -> None:
        """The next beat is completed with the answer; if there is none, it asks again."""
        try:
            self._known[node] = await self._bus.call(NODE_FACTS, Empty(), node=node)
        except SeawayError as error:
            log.info("node %s can't tell its facts: %s; asking again at its next beat", node, error)
        finally:
            self._asking.discard(node)
