"""Claims: each word of a space is one record's at a time. Decided by `create` and revisions in a bucket alone.

A claim is freed with its holder. One whose holder is gone, or never came to have it, may be taken over.
"""

import contextlib
import logging
import time
from collections.abc import Awaitable, Callable, Iterable
from typing import Final

from seaway_bus.transport import Bucket, WrongRevision
from seaway_contracts.errors import SeawayError
from seaway_kit.failpoints import Failpoint, reach
from seaway_metadata.store.kind import Claim, ClaimHolder, ClaimSpace
from seaway_metadata.store.stored import decode, encode

log = logging.getLogger(__name__)
SETTLED_NS: Final = 30_000_000_000
_RESERVE_TRIES: Final = 4


class Claims:
    """The claims of one kind of record."""

    def __init__(
        self,
        spaces: Iterable[tuple[ClaimSpace, Bucket]],
        ended: Callable[[str], bool],
        has: Callable[[str, Claim], Awaitable[bool]],
        now_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        """`ended`: whether this copy knows a holder to be gone. Its claims are free, though they stand in the bucket.
        `has`: whether the record of that key, as it is stored, has a claim. It may raise TransportError.
        """
        self._spaces = {space.bucket.name: (space, bucket) for space, bucket in spaces}
        self._ended = ended
        self._has = has
        self._now_ns = now_ns

    def _entry(self, claim: Claim) -> tuple[ClaimSpace, Bucket, str]:
        """A claim's space, bucket and key in that."""
        space, bucket = self._spaces[claim.space]
        return space, bucket, space.key(claim.word)

    def fits(self, claim: Claim) -> bool:
        """Whether somebody can hold it."""
        return self._spaces[claim.space][0].fits(claim.word)

    async def reserve(self, claim: Claim, key: str, seq: int = 0) -> int | None:
        """Make the claim this record's, as it is by that number; the revision, or None where it already was.

        Raises CONFLICT where another record has it, WrongRevision where it changes hands again and again.

        Once more if it changed hands just then: its last holder's end frees it a moment after the holder is gone.
        """
        for _ in range(_RESERVE_TRIES - 1):
            with contextlib.suppress(WrongRevision):
                return await self._try(claim, key, seq)
        return await self._try(claim, key, seq)

    async def _try(self, claim: Claim, key: str, seq: int) -> int | None:
        """One try. Raises WrongRevision if it changes hands meanwhile, CONFLICT if another has it."""
        space, bucket, place = self._entry(claim)
        holder = self._encoded(space, key, seq)
        try:
            revision = await bucket.create(place, holder)
        except WrongRevision:
            pass
        else:
            reach(Failpoint.REGISTER_NAMED)
            return revision
        found = await bucket.get(place)
        if found is None:
            return await bucket.create(place, holder)
        old = decode(space.model, found.value)
        if old.id == key:
            return None
        if not await self._abandoned(claim, old):
            raise space.taken(claim.word, old.id)
        revision = await bucket.update(place, holder, found.revision)
        reach(Failpoint.REGISTER_TAKEN_OVER)
        return revision

    async def _abandoned(self, claim: Claim, holder: ClaimHolder) -> bool:
        """Whether a claim's holder is gone, was never made, or never came to have it: then it is free."""
        if self._ended(holder.id):
            return True
        if self._now_ns() - holder.since_ns <= SETTLED_NS:
            return False
        return not await self._has(holder.id, claim)

    async def reserve_more(self, claim: Claim, key: str, seq: int) -> int | None:
        """Reserve a further claim for a record, as it is by that number. Returns and raises as `reserve` does.

        WrongRevision too, where another record takes it at the same time. Where the record has it already, its revision
        changes, so that whoever reserved it first can't take it back from under this caller.
        """
        revision = await self.reserve(claim, key, seq)
        if revision is None:
            await self._renew(claim, key, seq)
        return revision

    async def _renew(self, claim: Claim, key: str, seq: int) -> None:
        """A record takes a claim again that it has just left, and that is not freed yet."""
        space, bucket, place = self._entry(claim)
        found = await bucket.get(place)
        if found is None or decode(space.model, found.value).id != key:
            raise WrongRevision(claim.word)
        await bucket.update(place, self._encoded(space, key, seq), found.revision)

    async def claim(self, claim: Claim, key: str) -> bool:
        """Make what a node says its record claims this record's; False where another has it, or nobody may."""
        if not self._spaces[claim.space][0].allows(claim.word, key):
            return False
        try:
            if await self.holder(claim) != key:
                await self.reserve(claim, key)
        except (WrongRevision, SeawayError, ValueError) as error:
            log.debug("%s does not get the claim %s: %s", key, claim.word, error)
            return False
        return True

    async def hold(self, claim: Claim, key: str, seq: int) -> None:
        """See to it that a record that is there, as it is by that number, has its claim, unless another holds it."""
        space, bucket, place = self._entry(claim)
        with contextlib.suppress(WrongRevision):
            await bucket.create(place, self._encoded(space, key, seq))

    async def release(self, claim: Claim, key: str, left: int = 0) -> None:
        """Free a claim, if that record still holds it.

        `left`: the number of the change by which the record gave it up (0: the record is gone). A claim that the record
        has made at that number or later is kept.
        """
        space, bucket, place = self._entry(claim)
        found = await bucket.get(place)
        if found is None:
            return
        holder = decode(space.model, found.value)
        if holder.id == key and not 0 < left <= holder.seq:
            try:
                await bucket.delete(place, found.revision)
            except WrongRevision:
                log.debug("the claim %s was taken over meanwhile", claim.word)

    async def lapse(self, claim: Claim, key: str) -> bool:
        """Free a claim that a holder without a record has not renewed; False where it has, or does so just now."""
        _, bucket, place = self._entry(claim)
        found = await bucket.get(place)
        if found is None:
            return True
        holder = decode(self._spaces[claim.space][0].model, found.value)
        if holder.id != key:
            return True
        if not await self._abandoned(claim, holder):
            return False
        try:
            await bucket.delete(place, found.revision)
        except WrongRevision:
            return False
        return True

    async def held_by(self, space: ClaimSpace, beginning: str) -> list[tuple[Claim, str]]:
        """The claims of a space whose holders' keys begin so, with these. Entries that can't be read are left out."""
        found = []
        async for entry in self._spaces[space.bucket.name][1].entries():
            with contextlib.suppress(ValueError, SeawayError):
                holder = decode(space.model, entry.value).id
                if holder.startswith(beginning):
                    found.append((space.claim(space.word(entry.key)), holder))
        return found

    async def take_back(self, claim: Claim, revision: int) -> None:
        """Free a claim that was reserved just now, at that revision. Raises WrongRevision."""
        _, bucket, place = self._entry(claim)
        await bucket.delete(place, revision)

    async def holder(self, claim: Claim) -> str | None:
        """The key of the record that holds a claim. Raises ValueError, NewerSchema."""
        space, bucket, place = self._entry(claim)
        found = await bucket.get(place)
        return decode(space.model, found.value).id if found is not None else None

    async def is_held(self, claim: Claim) -> bool:
        """Whether somebody holds a claim; so is what nobody can."""
        _, bucket, place = self._entry(claim)
        return not self.fits(claim) or await bucket.get(place) is not None

    async def held(self) -> "HeldClaims":
        """All claims as their buckets have them. An entry that can't be read is logged and left alone."""
        found: dict[tuple[str, str], str] = {}
        for space, bucket in self._spaces.values():
            async for entry in bucket.entries():
                try:
                    found[space.bucket.name, entry.key] = decode(space.model, entry.value).id
                except ValueError as error:
                    log.error("who holds the claim %s can't be read: %s", entry.key, error)
        return HeldClaims(self._entry, found)

    def _encoded(self, space: ClaimSpace, key: str, seq: int) -> bytes:
        return encode(space.model(id=key, since_ns=self._now_ns(), seq=seq))


class HeldClaims:
    """Claims and their holders at one moment."""

    def __init__(
        self, entry: Callable[[Claim], tuple[ClaimSpace, Bucket, str]], found: dict[tuple[str, str], str]
    ) -> None:
        self._entry = entry
        self._found = found

    def has(self, key: str, claims: Iterable[Claim]) -> bool:
        """Whether the record of that key holds all of these."""
        return all(self._found.get((claim.space, self._entry(claim)[2])) == key for claim in claims)

    def holders(self) -> set[str]:
        """The keys of all records that hold a claim."""
        return set(self._found.values())
