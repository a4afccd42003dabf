"""Registers containers, and takes registrations back: by their buckets alone, as several copies do it at once."""

import contextlib

from seaway_bus.transport import WrongRevision
from seaway_contracts.containers import ContainerRecord, ContainerSpec
from seaway_contracts.errors import bad_request, conflict
from seaway_contracts.ids import is_container_id
from seaway_kit.failpoints import Failpoint, reach
from seaway_metadata.kinds.containers import CONTAINERS, NAMES
from seaway_metadata.store.records import Records, Stored
from seaway_metadata.store.registering import Registering
from seaway_metadata.store.stored import encode


class ContainerRegistering:
    """What becomes of a registration until its node tells of the container."""

    def __init__(self, records: Records[ContainerRecord]) -> None:
        self._records = records
        self._registering = Registering(records)

    async def register(self, spec: ContainerSpec, node: str) -> Stored[ContainerRecord]:
        """Reserve name and addresses, and store the record; returns it as stored. Raises as `Registering.register`."""
        if not is_container_id(spec.id):
            raise bad_request(f"{spec.id!r} is no container id: use 64 hex digits")
        if not NAMES.fits(spec.name):
            raise bad_request(f"the container name must have 1 to {NAMES.most_bytes} bytes")
        return await self._registering.register(ContainerRecord(spec=spec, node=node))

    async def rename(self, identifier: str, name: str, seq: int) -> bool:
        """Reserve a further name for a container, as it is by that number; False where it has it already.

        Raises as `register` does.
        """
        try:
            return await self._records.claims.reserve_more(NAMES.claim(name), identifier, seq) is not None
        except WrongRevision:
            raise conflict("the name was taken by another container at the same time; try again") from None

    async def forget(self, identifier: str, name: str = "", *, unheard: bool = False) -> str:
        """Take back a registration. Raises CONFLICT once the container was made.

        Gone already is no error: then its `name` is freed, which somebody may not have come to do. `unheard`: its node
        may have made it; so the record stays, as discarded, where nobody finds it any more. Gives the node then.
        """
        found = await self._records.stored(identifier)
        if found is None:
            if name:
                await self._records.claims.release(NAMES.claim(name), identifier)
            return ""
        record = found.record
        if not record.discarded:
            await self._take_back(found, unheard=unheard)
            reach(Failpoint.FORGET_RECORD)
        for claim in CONTAINERS.claims(record):
            await self._records.claims.release(claim, identifier)
        return record.node if unheard or record.discarded else ""

    async def _take_back(self, found: Stored[ContainerRecord], *, unheard: bool) -> None:
        record, bucket = found.record, self._records.bucket
        if record.status.seq > 0:
            raise conflict(f"Container {record.id} was made; remove it on its node instead")
        try:
            if unheard:
                discarded = record.model_copy(update={"discarded": True})
                await bucket.update(record.id, encode(discarded), found.revision)
            else:
                await bucket.delete(record.id, found.revision)
        except WrongRevision:
            raise conflict(f"Container {record.id} has changed meanwhile; look again") from None

    async def discard(self, record: ContainerRecord) -> None:
        """Give up a container that was made, as whoever asked for it was told that it was not.

        It is found until its node has removed it; every copy, and the next life of each, sees to that.
        """
        while (found := await self._records.stored(record.id)) is not None and not found.record.discarded:
            newest = max(found.record, record, key=lambda one: one.status.seq)
            with contextlib.suppress(WrongRevision):
                body = encode(newest.model_copy(update={"discarded": True}))
                await self._records.bucket.update(record.id, body, found.revision)
