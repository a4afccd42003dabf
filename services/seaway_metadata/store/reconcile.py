"""Repair after what events can't tell: asks a node what it holds, and brings the records after it.

Asked when this process first hears a node, when its agent was started anew, when this process may have missed
events, and when an event tells of something that has no record.
"""

import asyncio
import contextlib
import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any, Final, Generic

from seaway_bus.transport import TransportError
from seaway_contracts.errors import Code, SeawayError
from seaway_contracts.nodes import Beat
from seaway_kit.tasks import Tasks
from seaway_metadata.store.inventories import Inventories, Inventory
from seaway_metadata.store.kind import Claim, I, R
from seaway_metadata.store.view import View

log = logging.getLogger(__name__)
_TOLD_S: Final = 2.0
_MOST_HELD: Final = 1 << 17
"""So much may a node say that it holds."""
_CLAIMS: Final = 16


class EpochChanged(Exception):
    """The agent was started anew while it was being asked; ask again."""


class Endless(Exception):
    """The node goes on and on telling what it holds."""


class Reconciler(Generic[R, I]):
    """Keeps the records of each node true to what it holds."""

    def __init__(
        self,
        view: View[R, Any, I],
        inventories: Inventories[R, I],
        tasks: Tasks,
        current: Callable[[], Awaitable[object]],
        claim: Callable[[str, Claim, str], Awaitable[bool]],
    ) -> None:
        """`current` waits, for a moment at most, until all events that have come are applied.

        `claim` makes what a node says its record claims that record's, where it may; it raises TransportError.
        """
        self._claim = claim
        self._inventories = inventories
        self._view = view
        self._tasks = tasks
        self._current = current
        self._epochs: dict[str, str] = {}
        self._asking: set[str] = set()
        self._meanwhile: dict[str, Beat] = {}
        """The last beats that came while their nodes were being asked."""
        self._refused: set[str] = set()
        self._doubts: Counter[str] = Counter()
        """How often there was a doubt, by node; of all nodes at once under an empty name."""
        self._answered = asyncio.Event()

    def beat(self, beat: Beat) -> None:
        """A node lives: ask it, unless this life of its agent has been asked already."""
        if self._epochs.get(beat.node) == beat.epoch:
            return
        if beat.node in self._asking:
            self._meanwhile[beat.node] = beat
            return
        self._asking.add(beat.node)
        self._tasks.spawn(f"reconcile-{self._view.kind.noun}-{beat.node}", self._ask_all(beat.node))

    def doubt(self, node: str | None = None) -> None:
        """Something may have been missed (of all nodes, if None): ask at the next beat."""
        self._doubts[node or ""] += 1
        if node is None:
            self._epochs.clear()
        else:
            self._epochs.pop(node, None)

    def _doubted(self, node: str) -> int:
        return self._doubts[""] + self._doubts[node]

    def freed(self) -> None:
        """A record is gone: a claim that a node's record was refused may be free now."""
        refused, self._refused = self._refused, set()
        for node in refused:
            self.doubt(node)

    async def told(self, nodes: Callable[[], Iterable[str]]) -> None:
        """Wait, for a moment at most, until those nodes have told what they hold since there was a doubt."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_TOLD_S):
                while not self._epochs.keys() >= set(nodes()):
                    self._answered.clear()
                    await self._answered.wait()

    async def look(self, node: str, keys: Sequence[str]) -> None:
        """As `ask`; without an answer nothing changes."""
        try:
            await self.ask(node, keys)
        except (SeawayError, TransportError) as error:
            log.debug("node %s can't tell of some %ss: %s", node, self._view.kind.noun, error)

    async def ask(self, node: str, keys: Sequence[str]) -> None:
        """Ask a node, for a moment at most, for some of its records, of which somebody knows more than is here.

        Raises SeawayError, TransportError.
        """
        held = await self._inventories.some(node, keys)
        await self._take(node, held.items)
        if not held.lost_memory and not held.next:  # an agent of before this call tells of all that it holds, by pages
            for gone in set(keys) - self._keys(held.items):
                self._forget(gone, node)

    async def _ask_all(self, node: str) -> None:
        """Once more where there was a doubt, or the agent was started anew, while the node was being asked."""
        try:
            await self._repair(node)
        finally:
            self._asking.discard(node)
        if (beat := self._meanwhile.pop(node, None)) is not None:
            self.beat(beat)

    async def _repair(self, node: str) -> None:
        before, doubts = self._view.keys_of_node(node), self._doubted(node)
        try:
            held, items = await self._inventory(node)
            fair = await self._take(node, items)
        except (SeawayError, TransportError, EpochChanged, Endless) as error:
            log.info("node %s can't tell what it holds: %s; asking again at its next beat", node, error)
            return
        if not fair:
            self._refused.add(node)
        if doubts == self._doubted(node):
            self._epochs[node] = held.epoch
            self._answered.set()
        if lost := before - self._keys(items):
            await self._current()  # most of these have told of their end
        for key in lost:
            if held.lost_memory:
                await self._bring_back(key, node)
            else:
                self._forget(key, node)

    def _keys(self, items: Iterable[I]) -> set[str]:
        return {self._view.kind.item_key(item) for item in items}

    async def _take(self, node: str, items: Sequence[I]) -> bool:
        """Take what is new; whether all of it may be the node's. Raises TransportError.

        Claims come first: one that is reserved is its holder's, though nobody has heard of that record yet.
        """
        fair, kind = True, self._view.kind
        for start in range(0, len(items), _CLAIMS):
            some = items[start : start + _CLAIMS]
            wanted: dict[Claim, str] = {}
            for item in some:
                key = kind.item_key(item)
                wanted |= dict.fromkeys(self._view.new_claims(node, key, kind.item_claims(item)), key)
            got = await asyncio.gather(*(self._claim(node, claim, key) for claim, key in wanted.items()))
            refused = [claim for claim, claimed in zip(wanted, got, strict=True) if not claimed]
            fair = self._view.apply_inventory(node, some, refused) and fair
        return fair

    async def _bring_back(self, key: str, node: str) -> None:
        """The node has forgotten it in a reboot, the records have not."""
        record = self._view.index.get(key)
        if record is None or self._view.kind.node(record) != node:
            return
        try:
            await self._inventories.make_again(node, record)
        except SeawayError as error:
            log.warning("node %s has forgotten %s, and can't make it again: %s", node, key, error)
            if error.retryable or error.code is Code.CONFLICT:
                self.doubt(node)
            else:
                self._forget(key, node)
        else:
            log.warning("node %s had forgotten %s in a reboot; it is there again", node, key)

    def _forget(self, key: str, node: str) -> None:
        record = self._view.index.get(key)
        if record is not None and self._view.kind.node(record) == node:
            log.warning("node %s holds %s no more; its record is removed", node, key)
            self._view.remove(key)

    async def _inventory(self, node: str) -> tuple[Inventory[I], list[I]]:
        """All that one life of the node's agent holds, and the last page. Raises SeawayError, EpochChanged."""
        items: list[I] = []
        epoch = after = ""
        while True:
            page = await self._inventories.page(node, after)
            if epoch and page.epoch != epoch:
                raise EpochChanged(f"the agent of {node} was started anew")
            epoch = page.epoch
            items += page.items
            if not page.next:
                return page, items
            if not page.items or len(items) > _MOST_HELD:
                raise Endless(
                    f"it tells of more than {_MOST_HELD} {self._view.kind.noun}s, or of none and more to come"
                )
            after = page.next
