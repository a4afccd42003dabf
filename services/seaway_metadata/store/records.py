"""Records and names in the buckets: reserved at once, decided by `create` and revisions alone."""

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Final

from seaway_bus.bus import Bus
from seaway_bus.transport import Bucket, TransportError, WrongRevision
from seaway_contracts.catalogue import CONTAINERS_BUCKET, NAMES_BUCKET, NODES_BUCKET, SHARES_BUCKET
from seaway_contracts.containers import ContainerRecord, ContainerSpec
from seaway_contracts.errors import SeawayError, bad_request, conflict, unavailable
from seaway_contracts.ids import is_container_id
from seaway_docker.errors import InvalidParameter, container_name_conflict
from seaway_docker.names import container_name
from seaway_kit.failpoints import Failpoint, reach
from seaway_metadata.store.stored import (
    HORIZON_KEY,
    Horizon,
    NameHolder,
    decode,
    encode,
    name_key,
    record_json,
    spec_json,
    stamp,
)

log = logging.getLogger(__name__)
SETTLED_NS: Final = 30_000_000_000
_NAME_BYTES: Final = 255
_RESERVE_TRIES: Final = 4


@dataclass(frozen=True)
class Buckets:
    """The buckets of the cluster's records, and of how much of the history each node has."""

    containers: Bucket
    names: Bucket
    nodes: Bucket
    shares: Bucket

    @classmethod
    async def open(cls, bus: Bus, replicas: int = 1) -> "Buckets":
        """Open them; they are made where they are missing."""
        configs = (CONTAINERS_BUCKET, NAMES_BUCKET, NODES_BUCKET, SHARES_BUCKET)
        return cls(*[await bus.transport.bucket(config, replicas) for config in configs])


@dataclass(frozen=True, slots=True)
class Stored:
    """A record as it stands in the bucket."""

    record: ContainerRecord
    revision: int


class Discarded(Exception):
    """The container of this record was given up before its node told of it, and is to be removed there."""


class Records:
    """Container records and the names that they hold.

    `destroyed` says whether this copy knows a container to be gone: its name is free although its keys
    may still stand in the buckets.
    """

    def __init__(
        self, buckets: Buckets, destroyed: Callable[[str], bool], now_ns: Callable[[], int] = time.time_ns
    ) -> None:
        self._containers = buckets.containers
        self._names = buckets.names
        self._destroyed = destroyed
        self._now_ns = now_ns

    # --- registration

    async def register(self, spec: ContainerSpec, node: str) -> int:
        """Reserve the name and store the record, both at once; the record's revision.

        The same again does nothing. Raises SeawayError: CONFLICT where another holds the name or the id;
        TransportError where the buckets can't be reached. Then it may be registered all the same, and more than that:
        who asked may have asked another copy, and been answered.
        """
        if not is_container_id(spec.id):
            raise bad_request(f"{spec.id!r} is no container id: use 64 hex digits")
        if not 0 < len(spec.name.encode()) <= _NAME_BYTES:
            raise bad_request(f"the container name must have 1 to {_NAME_BYTES} bytes")
        record = ContainerRecord(spec=spec, node=node)
        name, stored = await asyncio.gather(
            self._reserve(spec.name, spec.id), self._store(record), return_exceptions=True
        )
        if isinstance(name, BaseException) or isinstance(stored, BaseException):
            reach(Failpoint.REGISTER_REFUSED)
            await self._undo(spec, name, stored)
            raise _cause(name, stored)
        reach(Failpoint.REGISTER_RECORDED)
        return stored

    async def _reserve(self, name: str, identifier: str) -> int | None:
        """Make the name this container's; the revision, or None where it already was.

        Once more if it changed hands just then: its last holder's end frees it a moment after the holder is gone.
        """
        for _ in range(_RESERVE_TRIES - 1):
            with contextlib.suppress(WrongRevision):
                return await self._claim(name, identifier)
        return await self._claim(name, identifier)

    async def _claim(self, name: str, identifier: str) -> int | None:
        """One try at a name. Raises WrongRevision if it changes hands meanwhile, CONFLICT if another has it."""
        key, holder = name_key(name), encode(NameHolder(id=identifier, since_ns=self._now_ns()))
        try:
            revision = await self._names.create(key, holder)
        except WrongRevision:
            pass
        else:
            reach(Failpoint.REGISTER_NAMED)
            return revision
        found = await self._names.get(key)
        if found is None:
            return await self._names.create(key, holder)
        old = decode(NameHolder, found.value)
        if old.id == identifier:
            return None
        if not await self._abandoned(name, old):
            raise conflict(container_name_conflict(name, old.id))
        revision = await self._names.update(key, holder, found.revision)
        reach(Failpoint.REGISTER_TAKEN_OVER)
        return revision

    async def _abandoned(self, name: str, holder: NameHolder) -> bool:
        """Whether a name's holder is gone, was never made, or never came to be called so: then the name is free."""
        if self._destroyed(holder.id):
            return True
        if self._now_ns() - holder.since_ns <= SETTLED_NS:
            return False
        found = await self.stored(holder.id)
        return found is None or found.record.discarded or found.record.spec.name != name

    async def _store(self, record: ContainerRecord) -> int:
        body = stamp(record_json(record, spec_json(record.spec)))
        try:
            return await self._containers.create(record.id, body)
        except WrongRevision:
            found = await self.stored(record.id)
        if found is None:  # it was taken back just then
            return await self._containers.create(record.id, body)
        known = found.record
        if known.discarded or known.spec != record.spec or known.node != record.node:
            raise conflict(f"Conflict. The container id {record.id} is already in use.")
        return found.revision

    async def _undo(self, spec: ContainerSpec, name: int | BaseException | None, stored: int | BaseException) -> None:
        """Take back what a registration made that is refused, and nothing that was there before it."""
        if any(isinstance(outcome, TransportError | WrongRevision) for outcome in (name, stored)):
            return
        try:
            if isinstance(name, int):
                await self._names.delete(name_key(spec.name), name)
            if isinstance(stored, int):
                await self._containers.delete(spec.id, stored)
        except (TransportError, WrongRevision) as error:
            log.warning("the registration of %s could not be taken back: %s", spec.id, error)

    async def forget(self, identifier: str, name: str = "", *, unheard: bool = False) -> str:
        """Take back a registration. Raises CONFLICT once the container was made.

        Gone already is no error: then its `name` is freed, which somebody may not have come to do. `unheard`: its node
        may have made it; so the record stays, as discarded, where nobody finds it any more. Gives the node then.
        """
        found = await self.stored(identifier)
        if found is None:
            if name:
                await self.release(name, identifier)
            return ""
        record = found.record
        if not record.discarded:
            await self._take_back(found, unheard=unheard)
            reach(Failpoint.FORGET_RECORD)
        await self.release(record.spec.name, identifier)
        return record.node if unheard or record.discarded else ""

    async def _take_back(self, found: Stored, *, unheard: bool) -> None:
        record = found.record
        if record.status.seq > 0:
            raise conflict(f"Container {record.id} was made; remove it on its node instead")
        try:
            if unheard:
                discarded = record.model_copy(update={"discarded": True})
                await self._containers.update(record.id, encode(discarded), found.revision)
            else:
                await self._containers.delete(record.id, found.revision)
        except WrongRevision:
            raise conflict(f"Container {record.id} has changed meanwhile; look again") from None

    async def discard(self, record: ContainerRecord) -> None:
        """Give up a container that was made, as whoever asked for it was told that it was not.

        It is found until its node has removed it; every copy, and the next life of each, sees to that.
        """
        while (found := await self.stored(record.id)) is not None and not found.record.discarded:
            newest = max(found.record, record, key=lambda one: one.status.seq)
            with contextlib.suppress(WrongRevision):
                body = encode(newest.model_copy(update={"discarded": True}))
                await self._containers.update(record.id, body, found.revision)

    async def claim(self, name: str, identifier: str) -> bool:
        """Make a name that a node says its container has this container's; False where another has it, or nobody may.

        Raises TransportError.
        """
        if not is_container_id(identifier) or not _is_container_name(name):
            return False
        try:
            found = await self._names.get(name_key(name))
            if found is None or decode(NameHolder, found.value).id != identifier:
                await self._reserve(name, identifier)
        except (WrongRevision, SeawayError, ValueError) as error:
            log.debug("container %s does not get the name %s: %s", identifier, name, error)
            return False
        return True

    async def rename(self, identifier: str, name: str) -> bool:
        """Reserve a further name for a container; False where it has it already. Raises as `register` does."""
        try:
            if await self._reserve(name, identifier) is not None:
                return True
            await self._keep(name, identifier)
        except WrongRevision:
            raise conflict("the name was taken by another container at the same time; try again") from None
        return False

    async def _keep(self, name: str, identifier: str) -> None:
        """A container takes a name again that it has just left, and that is not freed yet."""
        found = await self._names.get(name_key(name))
        if found is None or decode(NameHolder, found.value).id != identifier:
            raise WrongRevision(name)
        holder = encode(NameHolder(id=identifier, since_ns=self._now_ns()))
        await self._names.update(name_key(name), holder, found.revision)

    async def release(self, name: str, identifier: str, before_ns: int = 0) -> None:
        """Free a name, if that container still holds it and has not taken it since `before_ns` (0: whenever)."""
        found = await self._names.get(name_key(name))
        holder = decode(NameHolder, found.value) if found is not None else None
        if found is None or holder is None:
            return
        if holder.id == identifier and not 0 < before_ns < holder.since_ns:
            try:
                await self._names.delete(name_key(name), found.revision)
            except WrongRevision:
                log.debug("the name %s was taken over meanwhile", name)

    async def is_held(self, name: str) -> bool:
        """Whether somebody holds a name."""
        return not 0 < len(name.encode()) <= _NAME_BYTES or await self._names.get(name_key(name)) is not None

    async def hold(self, name: str, identifier: str) -> None:
        """See to it that a container that is there has its name, unless another holds it."""
        try:
            await self._names.create(name_key(name), encode(NameHolder(id=identifier, since_ns=self._now_ns())))
        except WrongRevision:
            return

    # --- reading and writing

    async def stored(self, identifier: str) -> Stored | None:
        """The record in the bucket."""
        found = await self._containers.get(identifier)
        return Stored(decode(ContainerRecord, found.value), found.revision) if found else None

    async def find(self, ref: str) -> ContainerRecord | None:
        """The record of a whole id or name: one that another copy has registered just now."""
        identifier, name = ref, ""
        if not is_container_id(ref):
            name = ref.removeprefix("/")
            if not 0 < len(name.encode()) <= _NAME_BYTES:
                return None
            holder = await self._names.get(name_key(name))
            if holder is None:
                return None
            identifier = decode(NameHolder, holder.value).id
        found = None if self._destroyed(identifier) else await self.stored(identifier)
        if found is None or found.record.discarded or (name and found.record.spec.name != name):
            return None
        return found.record

    async def all(self) -> AsyncIterator[Stored]:
        """All records; one that can't be read is logged and left alone."""
        async for entry in self._containers.entries():
            if entry.key == HORIZON_KEY:
                continue
            try:
                yield Stored(decode(ContainerRecord, entry.value), entry.revision)
            except ValueError as error:
                log.error("the record %s can't be read: %s", entry.key, error)

    async def holders(self) -> set[str]:
        """The ids of all containers that hold a name; an entry that can't be read is logged and left alone."""
        found = set()
        async for entry in self._names.entries():
            try:
                found.add(decode(NameHolder, entry.value).id)
            except ValueError as error:
                log.error("who holds the name %s can't be read: %s", entry.key, error)
        return found

    async def write(self, record: ContainerRecord, body: bytes, revision: int) -> int:
        """Write a status behind its event; the new revision. `revision` is the last known one, 0 if none.

        What was destroyed meanwhile is left alone.

        Raises Discarded.
        """
        data = stamp(body)
        while True:
            try:
                if revision:
                    return await self._containers.update(record.id, data, revision)
                return await self._containers.create(record.id, data)
            except WrongRevision:
                found = await self.stored(record.id)
            if found is None and self._destroyed(record.id):
                return 0
            if found is not None and found.record.discarded:
                raise Discarded(record.id)
            if found is not None and found.record.status.seq >= record.status.seq:
                return found.revision
            revision = found.revision if found else 0

    async def delete(self, identifier: str, name: str) -> None:
        """Remove record and name of a destroyed container."""
        if not name:
            found = await self.stored(identifier)
            name = found.record.spec.name if found else ""
        await self._delete(identifier)
        reach(Failpoint.PROJECT_GONE)
        if name:
            await self.release(name, identifier)

    async def _delete(self, identifier: str) -> None:
        """At its revision. A copy that has not heard of the end may have written it once more: it ends all the same."""
        while (found := await self._containers.get(identifier)) is not None:
            with contextlib.suppress(WrongRevision):
                await self._containers.delete(identifier, found.revision)

    async def horizon(self) -> int:
        """All events up to this sequence number are in the records; 0 if nothing is known."""
        found = await self._containers.get(HORIZON_KEY)
        return decode(Horizon, found.value).seq if found else 0

    async def set_horizon(self, seq: int) -> None:
        """Remember how far the records go. Where another copy says so at the same time, that is as good.

        Raises ValueError, NewerSchema for what is none of ours.
        """
        found = await self._containers.get(HORIZON_KEY)
        with contextlib.suppress(WrongRevision):
            if found is None:
                await self._containers.create(HORIZON_KEY, encode(Horizon(seq=seq)))
            elif decode(Horizon, found.value).seq != seq:
                await self._containers.update(HORIZON_KEY, encode(Horizon(seq=seq)), found.revision)


def _is_container_name(name: str) -> bool:
    try:
        return container_name(name) == name and len(name) <= _NAME_BYTES
    except InvalidParameter:
        return False


def _cause(*outcomes: object) -> BaseException:
    """The failure to tell of: a refusal weighs more than a bus that is away."""
    errors = [outcome for outcome in outcomes if isinstance(outcome, BaseException)]
    for error in errors:
        if isinstance(error, SeawayError):
            return error
    if isinstance(errors[0], WrongRevision):  # of a cluster without a majority also for one's own first try
        return unavailable("the name, or the id, is being taken at the same time; try again")
    return errors[0]
