"""Repair after what events can't tell: asks a node what it holds, and brings the records after it.

Asked when this process first hears a node, when its agent was started anew, when this process may have missed
events, and when an event tells of a container that has no record.
"""

import asyncio
import contextlib
import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Final

from seaway_bus.bus import Bus
from seaway_bus.transport import TransportError
from seaway_contracts.catalogue import CREATE, INVENTORY
from seaway_contracts.commands import CreateContainer, Inventory, InventoryItem, ListInventory
from seaway_contracts.errors import Code, SeawayError
from seaway_contracts.nodes import Beat
from seaway_kit.tasks import Tasks
from seaway_metadata.store.view import View

log = logging.getLogger(__name__)
_CALL_S: Final = 5.0
_TOLD_S: Final = 2.0
_LOOK_S: Final = 1.0
_MOST_HELD: Final = 1 << 17
"""Containers that a node may say it holds."""
_CLAIMS: Final = 16


class EpochChanged(Exception):
    """The agent was started anew while it was being asked; ask again."""


class Endless(Exception):
    """The node goes on and on telling what it holds."""


class Reconciler:
    """Keeps the records of each node true to what it holds."""

    def __init__(
        self,
        bus: Bus,
        view: View,
        tasks: Tasks,
        current: Callable[[], Awaitable[object]],
        claim: Callable[[str, str], Awaitable[bool]],
    ) -> None:
        """`current` waits, for a moment at most, until all events that have come are applied.

        `claim` makes a name a container's, where it is no other's; it raises TransportError.
        """
        self._claim = claim
        self._bus = bus
        self._view = view
        self._tasks = tasks
        self._current = current
        self._epochs: dict[str, str] = {}
        self._asking: set[str] = set()
        self._refused: set[str] = set()
        self._doubts: Counter[str] = Counter()
        """How often there was a doubt, by node; of all nodes at once under an empty name."""
        self._answered = asyncio.Event()

    def beat(self, beat: Beat) -> None:
        """A node lives: ask it, unless this life of its agent has been asked already."""
        if self._epochs.get(beat.node) != beat.epoch and beat.node not in self._asking:
            self._asking.add(beat.node)
            self._tasks.spawn(f"reconcile-{beat.node}", self._repair(beat.node))

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
        """A container is gone: a name that a node's container was refused may be free now."""
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

    async def look(self, node: str, identifiers: Sequence[str]) -> None:
        """Ask a node, for a moment at most, for some of its containers, of which somebody knows more than is here."""
        try:
            asked = ListInventory(ids=tuple(identifiers))
            held = await self._bus.call(INVENTORY, asked, node=node, timeout_s=_LOOK_S)
            await self._take(node, held.containers)
        except (SeawayError, TransportError) as error:
            log.debug("node %s can't tell of some containers: %s", node, error)
            return
        if not held.forgetful and not held.next:  # an agent of before this call tells of all that it holds, by pages
            for gone in set(identifiers) - {item.spec.id for item in held.containers}:
                self._forget(gone, node)

    async def _repair(self, node: str) -> None:
        before, doubts = self._view.index.of_node(node), self._doubted(node)
        try:
            held, items = await self._inventory(node)
            fair = await self._take(node, items)
        except (SeawayError, TransportError, EpochChanged, Endless) as error:
            log.info("node %s can't tell what it holds: %s; asking again at its next beat", node, error)
            return
        finally:
            self._asking.discard(node)
        if not fair:
            self._refused.add(node)
        if doubts == self._doubted(node):
            self._epochs[node] = held.epoch
            self._answered.set()
        if lost := before - {item.spec.id for item in items}:
            await self._current()  # most of these have told of their end
        for identifier in lost:
            if held.forgetful:
                await self._bring_back(identifier, node)
            else:
                self._forget(identifier, node)

    async def _take(self, node: str, items: Sequence[InventoryItem]) -> bool:
        """Take what is new; whether all of it may be the node's. Raises TransportError.

        Names are claimed first: one that is reserved is its holder's, though nobody has heard of that container yet.
        """
        fair = True
        for start in range(0, len(items), _CLAIMS):
            some = items[start : start + _CLAIMS]
            new = ((self._view.new_name(node, item.spec), item.spec.id) for item in some)
            names = {name: identifier for name, identifier in new if name is not None}
            got = await asyncio.gather(*(self._claim(name, identifier) for name, identifier in names.items()))
            refused = [name for name, claimed in zip(names, got, strict=True) if not claimed]
            fair = self._view.apply_inventory(node, some, refused) and fair
        return fair

    async def _bring_back(self, identifier: str, node: str) -> None:
        """The node has forgotten it in a reboot, the records have not."""
        record = self._view.index.get(identifier)
        if record is None or record.node != node:
            return
        again = CreateContainer(spec=record.spec, former=record.status)
        try:
            await self._bus.call(CREATE, again, node=node)
        except SeawayError as error:
            log.warning("node %s has forgotten %s, and can't make it again: %s", node, identifier, error)
            if error.retryable or error.code is Code.CONFLICT:
                self.doubt(node)
            else:
                self._forget(identifier, node)
        else:
            log.warning("node %s had forgotten %s in a reboot; it is there again", node, identifier)

    def _forget(self, identifier: str, node: str) -> None:
        record = self._view.index.get(identifier)
        if record is not None and record.node == node:
            log.warning("node %s holds %s no more; its record is removed", node, identifier)
            self._view.remove(identifier)

    async def _inventory(self, node: str) -> tuple[Inventory, list[InventoryItem]]:
        """All that one life of the node's agent holds, and the last page. Raises SeawayError, EpochChanged."""
        items: list[InventoryItem] = []
        epoch = after = ""
        while True:
            page = await self._bus.call(INVENTORY, ListInventory(after=after), node=node, timeout_s=_CALL_S)
            if epoch and page.epoch != epoch:
                raise EpochChanged(f"the agent of {node} was started anew")
            epoch = page.epoch
            items += page.containers
            if not page.next:
                return page, items
            if not page.containers or len(items) > _MOST_HELD:
                raise Endless(f"it tells of more than {_MOST_HELD} containers, or of none and more to come")
            after = page.next
