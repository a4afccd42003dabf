"""Registers a new record: its claims and itself at once, and neither where one of them is refused."""

import asyncio
import logging
from typing import Generic

from seaway_bus.transport import TransportError, WrongRevision
from seaway_contracts.errors import SeawayError, unavailable
from seaway_kit.failpoints import Failpoint, reach
from seaway_metadata.store.kind import R
from seaway_metadata.store.records import Records
from seaway_metadata.store.stored import stamp

log = logging.getLogger(__name__)


class Registering(Generic[R]):
    """For any copy: buckets alone decide."""

    def __init__(self, records: Records[R]) -> None:
        self._records = records

    async def register(self, record: R) -> int:
        """Reserve the claims and store the record, all at once; the record's revision.

        The same again does nothing. Raises SeawayError: CONFLICT where another holds a claim or the key;
        TransportError where the buckets can't be reached. Then it may be registered all the same, and more than that:
        who asked may have asked another copy, and been answered.
        """
        key, wanted = self._records.kind.key(record), self._records.kind.claims(record)
        reserving = (self._records.claims.reserve(claim, key) for claim in wanted)
        *claims, stored = await asyncio.gather(*reserving, self._store(record), return_exceptions=True)
        if not isinstance(stored, int) or any(isinstance(outcome, BaseException) for outcome in claims):
            reach(Failpoint.REGISTER_REFUSED)
            await self._undo(record, dict(zip(wanted, claims, strict=True)), stored)
            raise _cause(*claims, stored)
        reach(Failpoint.REGISTER_RECORDED)
        return stored

    async def _store(self, record: R) -> int:
        kind, bucket = self._records.kind, self._records.bucket
        key, body = kind.key(record), stamp(kind.json(record, kind.spec_json(record)))
        try:
            return await bucket.create(key, body)
        except WrongRevision:
            found = await self._records.stored(key)
        if found is None:  # it was taken back just then
            return await bucket.create(key, body)
        if kind.given_up(found.record) or not kind.same_request(found.record, record):
            raise kind.in_use(key)
        return found.revision

    async def _undo(
        self, record: R, claims: dict[str, int | BaseException | None], stored: int | BaseException | None
    ) -> None:
        """Take back what a registration made that is refused, and nothing that was there before it."""
        if any(isinstance(outcome, TransportError | WrongRevision) for outcome in (*claims.values(), stored)):
            return
        key = self._records.kind.key(record)
        try:
            for claim, revision in claims.items():
                if isinstance(revision, int):
                    await self._records.claims.take_back(claim, revision)
            if isinstance(stored, int):
                await self._records.bucket.delete(key, stored)
        except (TransportError, WrongRevision) as error:
            log.warning("the registration of %s could not be taken back: %s", key, error)


def _cause(*outcomes: object) -> BaseException:
    """The failure to tell of: a refusal weighs more than a bus that is away."""
    errors = [outcome for outcome in outcomes if isinstance(outcome, BaseException)]
    for error in errors:
        if isinstance(error, SeawayError):
            return error
    if isinstance(errors[0], WrongRevision):  # of a cluster without a majority also for one's own first try
        return unavailable("the name, or the id, is being taken at the same time; try again")
    return errors[0]
