"""The records of a kind in their bucket, and the claims that they hold: decided by `create` and revisions alone."""

import contextlib
import logging
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any, Generic

from seaway_bus.transport import Bucket, Transport, WrongRevision
from seaway_kit.failpoints import Failpoint, reach
from seaway_metadata.store.claims import Claims
from seaway_metadata.store.kind import Claim, Kind, R
from seaway_metadata.store.stored import HORIZON_KEY, Horizon, decode, encode, stamp

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Stored(Generic[R]):
    """A record as it stands in the bucket."""

    record: R
    revision: int


class GivenUp(Exception):
    """A record is given up: whoever holds it is to remove it."""


@dataclass(frozen=True, slots=True)
class Buckets:
    """Those of one kind."""

    records: Bucket
    claims: tuple[Bucket, ...] = ()
    """One for each of the kind's claim spaces."""

    @classmethod
    async def open(cls, transport: Transport, kind: Kind[Any], replicas: int = 1) -> "Buckets":
        """Open them; they are made where they are missing."""
        records = await transport.bucket(kind.bucket, replicas)
        claims = [await transport.bucket(space.bucket, replicas) for space in kind.claim_spaces]
        return cls(records, tuple(claims))


class Records(Generic[R]):
    """Those of one kind. `destroyed` says whether this copy knows a record to be gone for good."""

    def __init__(
        self,
        kind: Kind[R],
        buckets: Buckets,
        destroyed: Callable[[str], bool],
        now_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        self.kind = kind
        self.bucket = buckets.records
        self.destroyed = destroyed
        spaces = zip(kind.claim_spaces, buckets.claims, strict=True)
        self.claims = Claims(spaces, destroyed, self._has, now_ns)

    async def _has(self, key: str, claim: Claim) -> bool:
        found = await self.stored(key)
        return found is not None and not self.kind.given_up(found.record) and claim in self.kind.claims(found.record)

    # --- reading

    async def stored(self, key: str) -> Stored[R] | None:
        """The record in the bucket. Raises ValueError, NewerSchema."""
        found = await self.bucket.get(key)
        return Stored(decode(self.kind.model, found.value), found.revision) if found else None

    async def find(self, ref: str) -> R | None:
        """The record of a whole key or claim: one that another copy has stored just now."""
        key: str | None = ref
        claim = None if self.kind.is_key(ref) else self.kind.claim_of(ref)
        if claim is not None:
            key = await self.claims.holder(claim) if self.claims.fits(claim) else None
        found = await self.stored(key) if key and not self.destroyed(key) else None
        if found is None or self.kind.given_up(found.record):
            return None
        return found.record if claim is None or claim in self.kind.claims(found.record) else None

    async def all(self) -> AsyncIterator[Stored[R]]:
        """All records; one that can't be read is logged and left alone."""
        async for entry in self.bucket.entries():
            if entry.key == HORIZON_KEY:
                continue
            try:
                yield Stored(decode(self.kind.model, entry.value), entry.revision)
            except ValueError as error:
                log.error("the record %s can't be read: %s", entry.key, error)

    # --- writing

    async def write(self, record: R, body: bytes, revision: int) -> Stored[R] | None:
        """Write what is known here. `revision` is the last known one, 0 if none. What stands there afterwards.

        What another copy knows meanwhile is kept. None where the record was destroyed meanwhile: it is left so.

        Raises GivenUp.
        """
        key = self.kind.key(record)
        while True:
            try:
                if revision:
                    return Stored(record, await self.bucket.update(key, stamp(body), revision))
                return Stored(record, await self.bucket.create(key, stamp(body)))
            except WrongRevision:
                found = await self.stored(key)
            if found is None and self.destroyed(key):
                return None
            revision = found.revision if found else 0
            if found is None:
                continue
            if self.kind.given_up(found.record):
                raise GivenUp(key)
            merged = self.kind.merged(record, found.record)
            if merged == found.record:
                return found
            if merged is not record:
                record, body = merged, self.kind.json(merged, self.kind.spec_json(merged))

    async def hold(self, record: R) -> None:
        """See to it that a record that is there has its claims, unless others hold them."""
        for claim in self.kind.claims(record):
            await self.claims.hold(claim, self.kind.key(record), self.kind.seq(record))

    async def delete(self, key: str, claims: tuple[Claim, ...] = ()) -> None:
        """Remove a destroyed record, and what it claims. `claims`: what it is known to claim, as it may be gone."""
        freed = set(claims)
        while (
            found := await self.bucket.get(key)
        ) is not None:  # a copy that hasn't heard of the end may write it anew
            with contextlib.suppress(ValueError):
                freed.update(self.kind.claims(decode(self.kind.model, found.value)))
            with contextlib.suppress(WrongRevision):
                await self.bucket.delete(key, found.revision)
        reach(Failpoint.PROJECT_GONE)
        for claim in freed:
            await self.claims.release(claim, key)

    # --- how far they go

    async def horizon(self) -> int:
        """All events up to this sequence number are in the records; 0 if nothing is known."""
        found = await self.bucket.get(HORIZON_KEY)
        return decode(Horizon, found.value).seq if found else 0

    async def set_horizon(self, seq: int) -> None:
        """Remember how far the records go. Where another copy says so at the same time, that is as good.

        Raises ValueError, NewerSchema for what is none of ours.
        """
        found = await self.bucket.get(HORIZON_KEY)
        with contextlib.suppress(WrongRevision):
            if found is None:
                await self.bucket.create(HORIZON_KEY, encode(Horizon(seq=seq)))
            elif decode(Horizon, found.value).seq != seq:
                await self.bucket.update(HORIZON_KEY, encode(Horizon(seq=seq)), found.revision)
