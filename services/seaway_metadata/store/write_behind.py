"""Records on their way into the bucket: many changes of one become one write."""

import asyncio
import logging
from collections.abc import Callable, Coroutine, Iterable, Set
from typing import Any, Final, Generic

from prometheus_client import Gauge

from seaway_bus.transport import NoResponders, TooLarge, TransportError
from seaway_kit.failpoints import Failpoint, reach
from seaway_kit.tasks import Tasks
from seaway_metadata.store.claims import HeldClaims
from seaway_metadata.store.kind import R
from seaway_metadata.store.records import GivenUp, Records
from seaway_metadata.store.source import Source
from seaway_metadata.store.stored import NewerSchema

log = logging.getLogger(__name__)
_PAUSE_S: Final = 0.2
_RETRY_S: Final = 1.0
_AT_ONCE: Final = 16
_HORIZON_EVERY: Final = 256
WAITING: Final = Gauge("seaway_metadata_unwritten_records", "Records that changed and are not in the bucket yet.")


class WriteBehind(Generic[R]):
    """Brings a kind's bucket after memory. What waits is a set of keys, so it never grows beyond the records."""

    def __init__(
        self,
        records: Records[R],
        source: Source[R],
        horizon: Callable[[], int],
        missing: Callable[[], None],
        given_up: Callable[[R], None] = lambda record: None,
        merged: Callable[[R], None] = lambda record: None,
    ) -> None:
        """`horizon`: how far events have been received. `missing` is called when the bucket is not there, `given_up`
        with a record that is given up in the bucket, `merged` with one of which the bucket had more.
        """
        self._records = records
        self._source = source
        self._horizon = horizon
        self._missing = missing
        self._given_up = given_up
        self._merged = merged
        self._dirty: set[str] = set()
        self._revisions: dict[str, int] = {}
        self._wake = asyncio.Event()
        self._written_horizon = 0
        self._waiting = 0

    def changed(self, key: str) -> None:
        """A record was made, changed or removed."""
        self._dirty.add(key)
        self._wake.set()

    def known(self, key: str, revision: int) -> None:
        """The revision at which a record stands in the bucket; saves a look."""
        self._revisions[key] = revision

    async def write_now(self, key: str) -> None:
        """Write a record that is not in the bucket yet, as far as this copy knows. Raises TransportError."""
        if key not in self._revisions:
            await self._write(key)

    def compare(self, stored: Set[str], held: HeldClaims) -> None:
        """What stands in the buckets: write again what is missing, delete what is too much."""
        kind = self._records.kind
        for record in self._source.index:
            key = kind.key(record)
            if key not in stored or not held.has(key, kind.claims(record)):
                self._revisions.pop(key, None)
                self.changed(key)
        for key in stored:
            if self._source.destroyed(key):
                self.changed(key)

    def start(self, tasks: Tasks) -> None:
        """Begin to write."""
        tasks.eternal(f"write-behind-{self._records.kind.noun}", self._run())

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
            WAITING.inc(len(self._dirty) - self._waiting)
            self._waiting = len(self._dirty)
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

    async def _write(self, key: str) -> None:
        record = self._source.index.get(key)
        try:
            if record is None:
                self._revisions.pop(key, None)
                await self._records.delete(key, self._source.claims_of_destroyed(key))
            else:
                await self._write_record(key, record)
            await self.free_claims(key)
        except GivenUp:
            if record is not None:
                self._given_up(record)
        except (ValueError, NewerSchema, TooLarge) as error:
            log.error("the record %s can't be written, and is kept in memory only: %s", key, error)

    async def _write_record(self, key: str, record: R) -> None:
        """At the first time its claims as well. What is newer in the bucket is not to be written over by and by."""
        first = key not in self._revisions
        stored = await self._records.write(record, self._source.index.json(key), self._revisions.get(key, 0))
        if stored is not None and stored.record is not record:
            self._merged(stored.record)
        reach(Failpoint.PROJECT_RECORDED)
        if stored is None or self._records.kind.newer(stored.record, record):
            self._revisions.pop(key, None)
            return
        self._revisions[key] = stored.revision
        if first:
            await self._records.hold(record)

    async def free_claims(self, key: str) -> None:
        """Free the claims that a record has given up. Raises TransportError."""
        record = self._source.index.get(key)
        present = self._records.kind.claims(record) if record is not None else ()
        for left in self._source.left_claims(key):
            if left.claim not in present:
                await self._records.claims.release(left.claim, key, left.seq)
            self._source.released(key, left)


async def _all(writes: Iterable[Coroutine[Any, Any, None]]) -> None:
    """Carry out all, to the end of each, and raise the first failure: a write that came late would make anew what has
    been deleted meanwhile.
    """
    done = await asyncio.gather(*writes, return_exceptions=True)
    for failure in filter(None, done):
        raise failure
