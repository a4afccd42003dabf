"""No read is older than what its asker knows: waits for events, and where they don't come, asks the nodes."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Any, Final, Generic

from seaway_bus.transport import TransportError
from seaway_contracts.errors import unavailable
from seaway_contracts.ids import short_id
from seaway_contracts.records import GONE
from seaway_metadata.store.kind import R
from seaway_metadata.store.reconcile import Reconciler
from seaway_metadata.store.records import Records
from seaway_metadata.store.view import View

_BASIS_S: Final = 1.0
_LOOKS: Final = 2


class Freshness(Generic[R]):
    """Nobody waits longer than some seconds. Then what is known must do, but for records that are known to be there, or
    to be gone: statuses that are newer the asker has itself.
    """

    def __init__(
        self,
        view: View[R, Any, Any],
        records: Records[R],
        reconciler: Reconciler[R, Any],
        nodes_up: Callable[[], Iterable[str]],
        current: Callable[[], Awaitable[bool]],
        settled: Callable[[], Awaitable[None]],
    ) -> None:
        """`current` waits until all events that have come are applied: False where the stream can't be read just now.
        `settled` waits until what has come can be judged.
        """
        self._view = view
        self._records = records
        self._reconciler = reconciler
        self._nodes_up = nodes_up
        self._current = current
        self._settled = settled
        self._news = asyncio.Event()
        self._completing = asyncio.Lock()

    def news(self) -> None:
        """Something in the view has changed."""
        self._news.set()

    async def caught_up(self) -> None:
        """Wait for what came while there was no connection: from the stream, or where that can't be read, the nodes."""
        if not await self._current():
            await self._reconciler.told(self._nodes_up)
        await self._settled()
        await self._complete()

    async def _complete(self) -> None:
        """Ask the nodes, once and for a moment at most, for specs that have changed unheard."""
        async with self._completing:
            if lacking := self._view.lacking():
                await self._look(lacking)

    async def current(self, basis: Mapping[str, int]) -> None:
        """Wait for what has come and for what the asker knows of (by key, the number of a status).

        Raises SeawayError (UNAVAILABLE) where a record is still missing here, or still here.
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
        raise unavailable(f"it is not known yet that {self._view.kind.noun} {short_id(wrong)} was {what}; try again")

    def _wrong(self, basis: Mapping[str, int]) -> str:
        """A record that is missing here, or still here; empty if none."""
        behind = self._view.behind(basis)
        return next((one for one in behind if basis[one] == GONE or self._view.index.get(one) is None), "")

    async def until(self, holds: Callable[[], bool]) -> None:
        """Wait, for a moment at most, until events have made it so."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_BASIS_S):
                while not holds():
                    self._news.clear()
                    await self._news.wait()

    async def _look(self, keys: Sequence[str]) -> None:
        nodes: dict[str, list[str]] = {}
        for key in keys:
            if node := await self._node_of(key):
                nodes.setdefault(node, []).append(key)
        await asyncio.gather(*(self._reconciler.look(node, some) for node, some in nodes.items()))

    async def _node_of(self, key: str) -> str:
        record = self._view.record(key)
        if record is None:
            with contextlib.suppress(TransportError, ValueError):
                stored = await self._records.stored(key)
                record = stored.record if stored is not None else None
        return self._view.kind.node(record) if record is not None else ""
