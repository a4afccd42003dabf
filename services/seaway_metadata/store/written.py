"""One kind's records that metadata makes and changes by command: the bucket is the truth, and memory follows it.

A copy hears by an event of what another copy has done, and reads the bucket then. Whoever knows more than this copy has
heard of (a basis) has it read the bucket at once.
"""

import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Generic

from seaway_bus.transport import TransportError, WrongRevision
from seaway_contracts.errors import SeawayError
from seaway_contracts.records import GONE
from seaway_kit.failpoints import Failpoint, reach
from seaway_kit.tasks import Tasks
from seaway_metadata.store.kind import R
from seaway_metadata.store.records import Records, Stored
from seaway_metadata.store.registering import Registering
from seaway_metadata.store.source import Source
from seaway_metadata.store.stored import stamp
from seaway_metadata.store.tables import Table
from seaway_metadata.store.write_behind import WriteBehind

log = logging.getLogger(__name__)


class WrittenTable(Table[R], Generic[R]):
    """Of the methods that reach the bucket, each raises TransportError."""

    def __init__(
        self,
        records: Records[R],
        source: Source[R],
        behind: WriteBehind[R],
        tasks: Tasks,
        caught_up: Callable[[], Awaitable[object]],
    ) -> None:
        """`caught_up` waits, for a moment at most, until all events that have come are applied."""
        super().__init__(records, source, behind)
        self._caught_up = caught_up
        self._source = source
        self._tasks = tasks
        self._registering = Registering(records)
        self.given_up: dict[str, R] = {}
        """Records that are stored as given up: they stay until what was made of them is removed."""
        self._heard_gone: dict[str, R] = {}
        """Records of which somebody said that they are gone, until the bucket is read."""

    async def load(self) -> None:
        """Take what is stored."""
        async for stored in self.records.all():
            self._take(stored)

    async def compare(self) -> None:
        """Take what is stored, and write again what is missing in the bucket. Raises NewerSchema.

        What another copy has removed is not to be written again.
        """
        await self._caught_up()
        present = set()
        async for stored in self.records.all():
            present.add(self.kind.key(stored.record))
            self._take(stored)
        self.behind.compare(present, await self.records.claims.held())

    def is_empty(self) -> bool:
        """Whether no record is known."""
        return not len(self.index) and not self.given_up

    # --- changing

    async def register(self, record: R) -> R:
        """Reserve its claims and store it; the record as it is stored. Raises as `Registering.register` does."""
        stored = await self._registering.register(record)
        self._take(stored)
        return stored.record

    async def change(self, key: str, changed: Callable[[R], R]) -> R | None:
        """Change a record; it as it is stored then, or None where there is none. `changed` may be called again."""
        while (found := await self.records.stored(key)) is not None:
            record = changed(found.record)
            if record is not found.record:
                body = stamp(self.kind.json(record, self.kind.spec_json(record)))
                try:
                    found = Stored(record, await self.records.bucket.update(key, body, found.revision))
                except WrongRevision:
                    continue
            self._take(found)
            return found.record
        self._unstored(key)
        return None

    async def remove(self, key: str) -> bool:
        """Remove a record that is stored as given up, and free its claims; False where it is not given up."""
        while (found := await self.records.stored(key)) is not None:
            if not self.kind.given_up(found.record):
                self._take(found)
                return False
            try:
                await self.records.bucket.delete(key, found.revision)
            except WrongRevision:
                continue
            reach(Failpoint.PROJECT_GONE)
            self.gone(key)
            for claim in {*self.kind.claims(found.record), *self._source.claims_of_destroyed(key)}:
                await self.records.claims.release(claim, key)
            return True
        self.gone(key)
        return True

    def gone(self, key: str) -> None:
        """The record was removed: here, or by another copy."""
        record = self.index.remove(key) or self.given_up.pop(key, None) or self._heard_gone.pop(key, None)
        if record is not None or not self._source.destroyed(key):
            self._source.ended(key, self.kind.claims(record) if record is not None else ())

    def _unstored(self, key: str) -> None:
        """There is no such record in the bucket: it was removed, or is lost."""
        if key in self.given_up or key in self._heard_gone:
            self.gone(key)
        elif self.index.get(key) is not None:
            if self.kind.unstored_is_gone:
                self.gone(key)
            else:
                self.index.remove(key)

    # --- what nodes report

    def put(self, record: R) -> None:
        """Take a record in, and write it behind; not one that is given up or gone."""
        key = self.kind.key(record)
        if not self._source.destroyed(key) and key not in self.given_up and key not in self._heard_gone:
            self.index.put(record)
            self.behind.changed(key)

    def drop(self, key: str, *, for_good: bool) -> None:
        """Take a record out, and out of the bucket behind that. `for_good`: it is not taken in again."""
        if for_good:
            self.gone(key)
        else:
            self.index.remove(key)
        self.behind.changed(key)

    async def write_now(self, key: str) -> None:
        """See to it that a record that was put stands in the bucket. Whoever changes it by command needs that."""
        if self.index.get(key) is not None:
            await self.behind.write_now(key)

    # --- reading

    async def read(self, key: str) -> R | None:
        """The record as it is stored, None where there is none or it is given up."""
        found = await self.records.stored(key)
        if found is None:
            self._unstored(key)
            return None
        self._take(found)
        return None if self.kind.given_up(found.record) else found.record

    async def is_gone(self, key: str) -> bool:
        """Whether that record is known to be removed, or is stored as given up."""
        if key in self._heard_gone or key in self.given_up:
            await self.read(key)
        return self._source.destroyed(key) or key in self.given_up

    async def read_given_up(self) -> list[R]:
        """The records that are stored as given up, read just now. One that can't be read is logged and left alone."""
        found = []
        for key in (*self._heard_gone, *self.given_up):
            try:
                await self.read(key)
            except (SeawayError, ValueError) as error:
                log.error("the %s %s can't be read: %s", self.kind.noun, key[:12], error)
            else:
                found.append(self.given_up.get(key))
        return [one for one in found if one is not None]

    async def is_stored(self, key: str) -> bool:
        """Whether there is a record of that key."""
        return await self.records.stored(key) is not None

    async def current(self, basis: Mapping[str, int]) -> None:
        """Read what somebody knows more of than is known here: that a record is there, or is gone."""
        for key, number in basis.items():
            if number == GONE:
                self._hide(key)
                await self.read(key)
            elif self.index.get(key) is None and not self._source.destroyed(key):
                await self.read(key)

    async def find(self, ref: str) -> R:
        """The record that a user means, as Docker looks it up. Raises SeawayError: NOT_FOUND, BAD_REQUEST."""
        try:
            return self.index.find(ref)
        except SeawayError:
            record = await self.records.find(ref)
            if record is None:
                raise
        return record

    def heard(self, key: str, *, ended: bool = False) -> None:
        """A record was made, changed, or (`ended`) removed, perhaps by another copy."""
        if ended:
            self._hide(key)
        self._tasks.spawn(f"read-{self.kind.noun}", self._read(key))

    def _hide(self, key: str) -> None:
        """Nobody is to find the record any more, though it may still be stored."""
        if (record := self.index.remove(key)) is not None:
            self._heard_gone[key] = record

    async def _read(self, key: str) -> None:
        try:
            await self.read(key)
        except (TransportError, SeawayError, ValueError) as error:
            log.info("the %s %s is read later: %s", self.kind.noun, key[:12], error)

    def _take(self, stored: Stored[R]) -> None:
        """What is stored is newer than what is known. One that is given up is found by nobody."""
        key = self.kind.key(stored.record)
        self._heard_gone.pop(key, None)
        if self._source.destroyed(key):
            return
        if self.kind.given_up(stored.record):
            self.index.remove(key)
            self.given_up[key] = stored.record
            return
        self.given_up.pop(key, None)
        self.index.put(stored.record)
        self.behind.known(key, stored.revision)
