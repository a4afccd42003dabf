"""Registers a new record with its claims: neither where one of them is refused."""

import asyncio
import contextlib
import logging
from collections.abc import Collection, Iterator, Mapping
from typing import Generic

from seaway_bus.transport import TransportError, WrongRevision
from seaway_contracts.errors import SeawayError, unavailable
from seaway_kit.failpoints import Failpoint, reach
from seaway_metadata.store.kind import Claim, R
from seaway_metadata.store.records import Records, Stored
from seaway_metadata.store.stored import stamp

log = logging.getLogger(__name__)


class Registering(Generic[R]):
    """For any copy: buckets alone decide."""

    def __init__(self, records: Records[R]) -> None:
        self._records = records

    async def register(self, record: R) -> Stored[R]:
        """Reserve the claims and store the record, all at once unless the kind says otherwise; the record as stored.

        The same request again changes nothing: the record keeps what it claimed first. Raises SeawayError: CONFLICT, or
        what the claim space says, where another holds a claim, or the key; TransportError where the buckets can't be
        reached. Then it may be registered all the same, and more than that: who asked may have asked another copy, and
        been answered.
        """
        key, wanted = self._records.kind.key(record), self._records.kind.claims(record)
        if self._records.kind.claims_first:
            claims = await self._reserve(key, wanted)
            if any(isinstance(one, BaseException) for one in claims.values()):
                await self._take_back(key, claims)
                raise _cause(*claims.values())
            (stored,) = await asyncio.gather(self._store(record), return_exceptions=True)
        else:
            storing = asyncio.gather(self._store(record), return_exceptions=True)
            claims, (stored,) = await asyncio.gather(self._reserve(key, wanted), storing)
        if isinstance(stored, Stored) and stored.record is not record:
            claims = await self._claims_of_first(key, claims, self._records.kind.claims(stored.record))
        if not isinstance(stored, Stored) or any(isinstance(one, BaseException) for one in claims.values()):
            reach(Failpoint.REGISTER_REFUSED)
            await self._undo(record, claims, stored)
            raise _cause(*claims.values(), stored)
        reach(Failpoint.REGISTER_RECORDED)
        return stored

    async def _reserve(self, key: str, wanted: Collection[Claim]) -> dict[Claim, object]:
        """Each claim's revision, None where the record had it already, or what went wrong."""
        outcomes = await asyncio.gather(
            *(self._records.claims.reserve(claim, key) for claim in wanted), return_exceptions=True
        )
        return dict(zip(wanted, outcomes, strict=True))

    async def _claims_of_first(
        self, key: str, claims: Mapping[Claim, object], has: Collection[Claim]
    ) -> dict[Claim, object]:
        """Take back what the first request's record does not claim, and reserve what that request did not live to."""
        await self._take_back(key, {claim: outcome for claim, outcome in claims.items() if claim not in has})
        kept = {claim: outcome for claim, outcome in claims.items() if claim in has}
        return kept | await self._reserve(key, [claim for claim in has if claim not in claims])

    async def _store(self, record: R) -> Stored[R]:
        kind, bucket = self._records.kind, self._records.bucket
        key, body = kind.key(record), stamp(kind.json(record, kind.spec_json(record)))
        try:
            return Stored(record, await bucket.create(key, body))
        except WrongRevision:
            found = await self._records.stored(key)
        if found is None:  # it was taken back just then
            return Stored(record, await bucket.create(key, body))
        if kind.given_up(found.record) or not kind.same_request(found.record, record):
            raise kind.in_use(key)
        return found

    async def _undo(self, record: R, claims: Mapping[Claim, object], stored: Stored[R] | BaseException) -> None:
        """Take back what a refused registration made, and the record of an earlier try, which a killed copy left.

        But not one of which its node has told since: that was made.
        """
        if any(isinstance(outcome, TransportError | WrongRevision) for outcome in (*claims.values(), stored)):
            return
        kind = self._records.kind
        key = kind.key(record)
        await self._take_back(key, claims)
        if isinstance(stored, Stored) and kind.seq(stored.record) <= kind.seq(record):
            with _logged(key):
                await self._records.bucket.delete(key, stored.revision)

    async def _take_back(self, key: str, claims: Mapping[Claim, object]) -> None:
        """Free those claims that were reserved just now: their outcomes are revisions."""
        with _logged(key):
            for claim, revision in claims.items():
                if isinstance(revision, int):
                    await self._records.claims.take_back(claim, revision)


@contextlib.contextmanager
def _logged(key: str) -> Iterator[None]:
    try:
        yield
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
