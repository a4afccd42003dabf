"""Claims: each of a space's words is one record's at a time. Decided by `create` and revisions in a bucket alone.

A claim is freed with its holder. One whose holder is gone, or never came to have it, may be taken over.
"""

import contextlib
import logging
import time
from collections.abc import Awaitable, Callable
from typing import Final

from seaway_bus.transport import Bucket, Entry, WrongRevision
from seaway_contracts.errors import SeawayError
from seaway_kit.failpoints import Failpoint, reach
from seaway_metadata.store.kind import ClaimHolder, ClaimSpace
from seaway_metadata.store.stored import decode, encode

log = logging.getLogger(__name__)
SETTLED_NS: Final = 30_000_000_000
_RESERVE_TRIES: Final = 4


class Claims:
    """The claims of one kind of record."""

    def __init__(
        self,
        space: ClaimSpace,
        bucket: Bucket,
        ended: Callable[[str], bool],
        has: Callable[[str, str], Awaitable[bool]],
        now_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        """`ended`: whether this copy knows a holder to be gone. Its claims are free, though they stand in the bucket.
        `has`: whether the record of that key, as it is stored, has a claim. It may raise TransportError.
        """
        self.space = space
        self.bucket = bucket
        self._ended = ended
        self._has = has
        self._now_ns = now_ns

    async def reserve(self, claim: str, key: str) -> int | None:
        """Make the claim this record's; the revision, or None where it already was.

        Raises CONFLICT where another record has it, WrongRevision where it changes hands again and again.

        Once more if it changed hands just then: its last holder's end frees it a moment after the holder is gone.
        """
        for _ in range(_RESERVE_TRIES - 1):
            with contextlib.suppress(WrongRevision):
                return await self._try(claim, key)
        return await self._try(claim, key)

    async def _try(self, claim: str, key: str) -> int | None:
        """One try. Raises WrongRevision if it changes hands meanwhile, CONFLICT if another has it."""
        place, holder = self.space.key(claim), self._encoded(key)
        try:
            revision = await self.bucket.create(place, holder)
        except WrongRevision:
            pass
        else:
            reach(Failpoint.REGISTER_NAMED)
            return revision
        found = await self.bucket.get(place)
        if found is None:
            return await self.bucket.create(place, holder)
        old = self._decoded(found)
        if old.id == key:
            return None
        if not await self._abandoned(claim, old):
            raise self.space.taken(claim, old.id)
        revision = await self.bucket.update(place, holder, found.revision)
        reach(Failpoint.REGISTER_TAKEN_OVER)
        return revision

    async def _abandoned(self, claim: str, holder: ClaimHolder) -> bool:
        """Whether a claim's holder is gone, was never made, or never came to have it: then it is free."""
        if self._ended(holder.id):
            return True
        if self._now_ns() - holder.since_ns <= SETTLED_NS:
            return False
        return not await self._has(holder.id, claim)

    async def reserve_more(self, claim: str, key: str) -> bool:
        """Reserve a further claim for a record; False where it has it already. Raises as `reserve` does.

        WrongRevision too, where another record takes it at the same time.
        """
        if await self.reserve(claim, key) is not None:
            return True
        await self._renew(claim, key)
        return False

    async def _renew(self, claim: str, key: str) -> None:
        """A record takes a claim again that it has just left, and that is not freed yet."""
        found = await self.bucket.get(self.space.key(claim))
        if found is None or self._decoded(found).id != key:
            raise WrongRevision(claim)
        await self.bucket.update(self.space.key(claim), self._encoded(key), found.revision)

    async def claim(self, claim: str, key: str) -> bool:
        """Make what a node says its record claims this record's; False where another has it, or nobody may."""
        if not self.space.allows(claim, key):
            return False
        try:
            if await self.holder(claim) != key:
                await self.reserve(claim, key)
        except (WrongRevision, SeawayError, ValueError) as error:
            log.debug("%s does not get the claim %s: %s", key, claim, error)
            return False
        return True

    async def hold(self, claim: str, key: str) -> None:
        """See to it that a record that is there has its claim, unless another holds it."""
        with contextlib.suppress(WrongRevision):
            await self.bucket.create(self.space.key(claim), self._encoded(key))

    async def release(self, claim: str, key: str, before_ns: int = 0) -> None:
        """Free a claim, if that record still holds it and has not taken it since `before_ns` (0: whenever)."""
        found = await self.bucket.get(self.space.key(claim))
        if found is None:
            return
        holder = self._decoded(found)
        if holder.id == key and not 0 < before_ns < holder.since_ns:
            try:
                await self.bucket.delete(self.space.key(claim), found.revision)
            except WrongRevision:
                log.debug("the claim %s was taken over meanwhile", claim)

    async def take_back(self, claim: str, revision: int) -> None:
        """Free a claim that was reserved just now, at that revision. Raises WrongRevision."""
        await self.bucket.delete(self.space.key(claim), revision)

    async def holder(self, claim: str) -> str | None:
        """The key of the record that holds a claim. Raises ValueError, NewerSchema."""
        found = await self.bucket.get(self.space.key(claim))
        return self._decoded(found).id if found is not None else None

    async def is_held(self, claim: str) -> bool:
        """Whether somebody holds a claim; so is what nobody can."""
        return not self.space.fits(claim) or await self.bucket.get(self.space.key(claim)) is not None

    async def holders(self) -> set[str]:
        """The keys of all records that hold a claim; an entry that can't be read is logged and left alone."""
        found = set()
        async for entry in self.bucket.entries():
            try:
                found.add(self._decoded(entry).id)
            except ValueError as error:
                log.error("who holds the claim %s can't be read: %s", entry.key, error)
        return found

    def _encoded(self, key: str) -> bytes:
        return encode(self.space.model(id=key, since_ns=self._now_ns()))

    def _decoded(self, entry: Entry) -> ClaimHolder:
        return decode(self.space.model, entry.value)
