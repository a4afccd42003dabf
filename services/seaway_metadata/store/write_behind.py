"""Statuses on their way into the bucket: many changes of one container become one write."""

import asyncio
import logging
from collections.abc import Callable, Coroutine, Iterable, Set
from typing import Any, Final

from prometheus_client import Gauge

from seaway_bus.transport import NoResponders, TooLarge, TransportError
from seaway_kit.failpoints import Failpoint, reach
from seaway_kit.tasks import Tasks
from seaway_metadata.store.records import Discarded, Records
from seaway_metadata.store.stored import NewerSchema
from seaway_metadata.store.view import View

log = logging.getLogger(__name__)
_PAUSE_S: Final = 0.2
_RETRY_S: Final = 1.0
_AT_ONCE: Final = 16
_HORIZON_EVERY: Final = 256
WAITING: Final = Gauge("seaway_metadata_unwritten_records", "Records that changed and are not in the bucket yet.")


class WriteBehind:
    """Brings the buckets after the view. What waits is a set of ids, so it never grows beyond the records.

    `missing` is called when the buckets are not there, `discarded` with a container, and its node, that was given up
    before it told of it.
    """

    def __init__(
        self,
        records: Records,
        view: View,
        horizon: Callable[[], int],
        missing: Callable[[], None],
        discarded: Callable[[str, str], None],
    ) -> None:
        self._records = records
        self._view = view
        self._horizon = horizon
        self._missing = missing
        self._discarded = discarded
        self._dirty: set[str] = set()
        self._revisions: dict[str, int] = {}
        self._wake = asyncio.Event()
        self._written_horizon = 0

    def changed(self, identifier: str) -> None:
        """A record was made, changed or removed."""
        self._dirty.add(identifier)
        self._wake.set()

    def known(self, identifier: str, revision: int) -> None:
        """The revision at which a record stands in the bucket; saves a look."""
        self._revisions[identifier] = revision

    def compare(self, stored: Set[str], holders: Set[str]) -> None:
        """What stands in the buckets, and who holds a name: write again what is missing, delete what is too much."""
        for record in self._view.index:
            if record.id not in stored or record.id not in holders:
                self._revisions.pop(record.id, None)
                self.changed(record.id)
        for identifier in stored:
            if self._view.destroyed(identifier):
                self.changed(identifier)

    def start(self, tasks: Tasks) -> None:
        """Begin to write."""
        tasks.eternal("write-behind", self._run())

    async def flush(self) -> None:
        """Write all that waits now. Raises TransportError."""
        horizon = self._horizon()
        dirty, self._dirty = list(self._dirty), set()
        try:
            while dirty:
                await _all(map(self._write, dirty[-_AT_ONCE:]))
                del dirty[-_AT_ONCE:]
        finally:
            self._dirty.update(dirty)
            WAITING.set(len(self._dirty))
        await self._move_horizon(horizon)

    async def _move_horizon(self, horizon: int) -> None:
        """What had been received before the flush began is in the bucket now."""
        if abs(horizon - self._written_horizon) >= _HORIZON_EVERY or (horizon and not self._written_horizon):
            try:
                await self._records.set_horizon(horizon)
            except (ValueError, NewerSchema) as error:
                log.error("how far the records go is not written down just now: %s", error)
            reach(Failpoint.PROJECT_HORIZON)
            self._written_horizon = horizon

    async def _run(self) -> None:
        while True:
            await self._wake.wait()
            await asyncio.sleep(_PAUSE_S)
            self._wake.clear()
            try:
                await self.flush()
            except TransportError as error:
                if isinstance(error, NoResponders):
                    self._missing()
                log.warning("records can't be written just now: %s; trying again", error)
                await asyncio.sleep(_RETRY_S)
                self._wake.set()

    async def _write(self, identifier: str) -> None:
        view = self._view
        record = view.index.get(identifier)
        try:
            if record is None:
                self._revisions.pop(identifier, None)
                await self._records.delete(identifier, view.name_of_destroyed(identifier))
                await self.free_names(identifier)
                return
            first = identifier not in self._revisions
            body = view.index.json(identifier)
            revision = await self._records.write(record, body, self._revisions.get(identifier, 0))
            self._revisions[identifier] = revision
            reach(Failpoint.PROJECT_RECORDED)
            if first:
                await self._records.hold(record.spec.name, identifier)
            await self.free_names(identifier)
        except Discarded:
            if record is not None:
                self._discarded(identifier, record.node)
        except (ValueError, NewerSchema, TooLarge) as error:
            log.error("the record %s can't be written, and is kept in memory only: %s", identifier, error)

    async def free_names(self, identifier: str) -> None:
        """Free the names that a container has given up. Raises TransportError."""
        record = self._view.index.get(identifier)
        present = record.spec.name if record is not None else ""
        for left in self._view.left_names(identifier):
            if left.name != present:
                await self._records.release(left.name, identifier, left.left_ns)
            self._view.released(identifier, left)


async def _all(writes: Iterable[Coroutine[Any, Any, None]]) -> None:
    """Carry out all, to the end of each, and raise the first failure: a write that came late would make anew what has
    been deleted meanwhile.
    """
    done = await asyncio.gather(*writes, return_exceptions=True)
    for failure in filter(None, done):
        raise failure
