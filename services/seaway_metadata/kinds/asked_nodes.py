"""Asks each node what it has of a kind, once in each life of its agent, and again when records may have been lost."""

import asyncio
import contextlib
import logging
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Final, Generic, TypeVar

from seaway_bus.transport import TransportError
from seaway_contracts.base import Payload
from seaway_contracts.errors import SeawayError, bad_request, unavailable
from seaway_contracts.nodes import Beat, NodeRecord
from seaway_kit.tasks import Tasks
from seaway_metadata.store.inventories import Inventory

log = logging.getLogger(__name__)
R = TypeVar("R", bound=Payload)
_TOLD_S: Final = 2.0


class AskedNodes(ABC, Generic[R]):
    """What a node has without record is made again only after a doubt, and only so much of it."""

    noun: str
    most: int
    """So many may a node say that it has."""
    most_restored: int
    """So many records are made again of what one node has."""

    def __init__(self, tasks: Tasks, nodes: Callable[[], Iterable[NodeRecord]]) -> None:
        self._tasks = tasks
        self._nodes = nodes
        self._epochs: dict[str, str] = {}
        self._asking: set[str] = set()
        self._meanwhile: dict[str, Beat] = {}
        """The last beats that came while their nodes were being asked."""
        self._answered = asyncio.Event()
        self._doubts = 0
        """How often records may have been lost."""
        self._heard: dict[str, int] = {}
        """The doubt after which each node has told last."""
        self._restored: Counter[str] = Counter()
        """How many records were made again of what each node has, since the last doubt."""

    @abstractmethod
    async def _page(self, node: str, after: str) -> Inventory[R]:
        """A page of what the node has; `after` is the `next` of the page before. Raises as `Bus.call` does."""

    @abstractmethod
    def _key(self, item: R) -> str:
        """The key of its record."""

    @abstractmethod
    async def _compare_one(self, item: R, node: str) -> None:
        """Compare what a node has with its record. Raises SeawayError, ValueError, TransportError."""

    def _reported(self, node: str) -> set[str]:
        """The keys of records that only the node's word keeps."""
        return set()

    async def _not_held(self, node: str, keys: Iterable[str]) -> None:
        """Of those records the node had some before it was asked, and has none now."""

    def beat(self, beat: Beat) -> None:
        """A node lives."""
        if self._epochs.get(beat.node) == beat.epoch:
            return
        if beat.node in self._asking:
            self._meanwhile[beat.node] = beat
            return
        self._asking.add(beat.node)
        self._tasks.spawn(f"{self.noun}s-{beat.node}", self._compare(beat.node))

    def doubt(self) -> None:
        """Records may have been lost: ask all nodes at their next beats."""
        self._doubts += 1
        self._epochs.clear()
        self._restored.clear()

    async def _compare(self, node: str) -> None:
        doubts = self._doubts
        try:
            epoch = await self._compare_all(node)
            if doubts == self._doubts:
                self._heard[node] = doubts
                self._epochs[node] = epoch
                self._answered.set()
        except (SeawayError, TransportError) as error:
            log.info("node %s can't tell which %ss it has: %s; asking again at its next beat", node, self.noun, error)
        finally:
            self._asking.discard(node)
        if (beat := self._meanwhile.pop(node, None)) is not None:
            self.beat(beat)

    async def _compare_all(self, node: str) -> str:
        """Ask for all that the node has; the epoch of its agent. Raises as `Bus.call` does."""
        reported, told = self._reported(node), set[str]()
        page = await self._page(node, "")
        while True:
            for item in page.items[: self.most - len(told)]:
                told.add(self._key(item))
                await self._compare_safely(item, node)
            if not page.next or not page.items or len(told) >= self.most:
                break
            following = await self._page(node, page.next)
            if following.epoch != page.epoch:
                raise unavailable("its agent was started anew")
            page = following
        if not page.next:
            await self._not_held(node, reported - told)
        return page.epoch

    async def _compare_safely(self, item: R, node: str) -> None:
        """What is wrong with one says nothing of the others. Raises TransportError."""
        try:
            await self._compare_one(item, node)
        except (SeawayError, ValueError) as error:
            log.warning("the %s %.64r, which node %s has, is left alone: %s", self.noun, self._key(item), node, error)

    def _may_restore(self, node: str, identifier: str) -> bool:
        """Whether a record may be made again of what a node has. It is counted then. Raises SeawayError for too many.

        A node is not to make up records: it is heard once after some may have been lost.
        """
        if self._heard.get(node, 0) == self._doubts:
            log.warning("node %s has %s %s, of which there is no record", node, self.noun, identifier)
            return False
        if self._restored[node] >= self.most_restored:
            raise bad_request(f"{self.most_restored} {self.noun}s were made again from what the node has")
        self._restored[node] += 1
        return True

    def _untold(self) -> bool:
        """Whether a node that is up has not told yet since records may have been lost."""
        return any(record.state == "up" and self._heard.get(record.node, 0) != self._doubts for record in self._nodes())

    async def told(self) -> bool:
        """Wait, for a moment at most, until lost records are made again; False where none are lost."""
        if not self._untold():
            return False
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_TOLD_S):
                while self._untold():
                    self._answered.clear()
                    await self._answered.wait()
        return True
