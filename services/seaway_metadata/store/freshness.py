"""No read is older than what its asker knows: waits for events, and where they don't come, asks the nodes."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Final

from seaway_bus.feed import EventFeed
from seaway_bus.transport import TransportError
from seaway_contracts.commands import GONE
from seaway_contracts.errors import unavailable
from seaway_contracts.ids import short_id
from seaway_metadata.store.reconcile import Reconciler
from seaway_metadata.store.records import Records
from seaway_metadata.store.view import View

_BASIS_S: Final = 1.0
_LOOKS: Final = 2


class Freshness:
    """Nobody waits longer than some seconds. Then what is known must do, but for containers that are known to be there,
    or to be gone: statuses that are newer the asker has itself.
    """

    def __init__(
        self,
        feed: EventFeed,
        view: View,
        records: Records,
        reconciler: Reconciler,
        nodes_up: Callable[[], Iterable[str]],
        settled: Callable[[], Awaitable[None]],
    ) -> None:
        """`settled` waits until what has come can be judged."""
        self._feed = feed
        self._view = view
        self._records = records
        self._reconciler = reconciler
        self._nodes_up = nodes_up
        self._settled = settled
        self._news = asyncio.Event()
        self._completing = asyncio.Lock()

    def news(self) -> None:
        """Something in the view has changed."""
        self._news.set()

    async def caught_up(self) -> None:
        """Wait for what came while there was no connection: from the stream, or where that can't be read, the nodes."""
        if not await self._feed.current():
            await self._reconciler.told(self._nodes_up)
        await self._settled()
        await self._complete()

    async def _complete(self) -> None:
        """Ask the nodes, once and for a moment at most, for specs that have changed unheard."""
        async with self._completing:
            if lacking := self._view.lacking():
                await self._look(lacking)

    async def current(self, basis: Mapping[str, int]) -> None:
        """Wait for what has come and for what the asker knows of (by container, the number of a status).

        Raises SeawayError (UNAVAILABLE) where a container is still missing here, or still here.
        """
        await self.caught_up()
        if self._view.behind(basis):
            await self._wait_for(basis)
            await self._complete()

    async def _wait_for(self, basis: Mapping[str, int]) -> None:
        for _ in range(_LOOKS):  # an agent that was killed is back in a moment
            await self.until(lambda: not self._view.behind(basis))
            if lacking := self._view.behind(basis):
                await self._look(lacking)
            wrong = self._wrong(basis)
            if not wrong:
                return
        what = "removed" if basis[wrong] == GONE else "made"
        raise unavailable(f"it is not known yet that container {short_id(wrong)} was {what}; try again")

    def _wrong(self, basis: Mapping[str, int]) -> str:
        """A container that is missing here, or still here; empty if none."""
        behind = self._view.behind(basis)
        return next((one for one in behind if basis[one] == GONE or self._view.index.get(one) is None), "")

    async def until(self, holds: Callable[[], bool]) -> None:
        """Wait, for a moment at most, until events have made it so."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_BASIS_S):
                while not holds():
                    self._news.clear()
                    await self._news.wait()

    async def _look(self, identifiers: Sequence[str]) -> None:
        nodes: dict[str, list[str]] = {}
        for identifier in identifiers:
            if node := await self._node_of(identifier):
                nodes.setdefault(node, []).append(identifier)
        await asyncio.gather(*(self._reconciler.look(node, some) for node, some in nodes.items()))

    async def _node_of(self, identifier: str) -> str:
        record = self._view.index.get(identifier)
        if record is not None:
            return record.node
        with contextlib.suppress(TransportError, ValueError):
            if (stored := await self._records.stored(identifier)) is not None:
                return stored.record.node
        return ""
