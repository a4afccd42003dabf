"""Containers that are registered, and of which their nodes have not published an event yet.

A registration stands until its node's first event. If the process that registered it was killed or lost the bus, no
event comes: then metadata asks the node to reject a create of it. The node does that unless it has the container, is
making it, or has just started. A registration that was given up while its node could not be asked is discarded: the
node is told to remove the container as soon as it can be reached.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

from seaway_bus.bus import Bus
from seaway_contracts.catalogue import REJECT_CREATE, REMOVE
from seaway_contracts.commands import ContainerId, RemoveContainer
from seaway_contracts.containers import ContainerRecord
from seaway_contracts.errors import Code, SeawayError
from seaway_metadata.kinds.container_registering import ContainerRegistering
from seaway_metadata.store.records import Records

log = logging.getLogger(__name__)
COMING_S: Final = 15.0
"""After this time no caller repeats the create any more."""
_AT_ONCE: Final = 16
_CALL_S: Final = 5.0


@dataclass(slots=True)
class _Pending:
    node: str
    since: float


class Registrations:
    """Those that this copy knows of."""

    def __init__(
        self,
        bus: Bus,
        records: Records[ContainerRecord],
        now: Callable[[], float] = time.monotonic,
        forgotten: Callable[[str], None] = lambda identifier: None,
    ) -> None:
        """`forgotten` is called with a container whose registration was taken back: here, or by another copy."""
        self._bus = bus
        self._records = records
        self._registering = ContainerRegistering(records)
        self._forgotten = forgotten
        self._now = now
        self._pending: dict[str, _Pending] = {}
        self._discarded: dict[str, str] = {}

    def __len__(self) -> int:
        return len(self._pending) + len(self._discarded)

    def stored(self, record: ContainerRecord) -> None:
        """A record without an event stands in the bucket."""
        if record.discarded:
            self.discard(record.id, record.node)
        else:
            self.add(record.id, record.node)

    def add(self, identifier: str, node: str) -> None:
        """A container was registered; told again, the first time counts."""
        self._pending.setdefault(identifier, _Pending(node, self._now()))

    def done(self, identifier: str) -> None:
        """It was made, or its registration was taken back."""
        self._pending.pop(identifier, None)

    def given_up(self, record: ContainerRecord) -> None:
        """A container that this copy knows is given up in the bucket."""
        self.discard(record.id, record.node)

    def discard(self, identifier: str, node: str) -> None:
        """It was given up, and its node may have made it."""
        self.done(identifier)
        self._discarded[identifier] = node

    async def sweep(self, up: Callable[[str], bool]) -> None:
        """Look at those that are overdue, and ask those nodes that are `up`. Raises TransportError."""
        limit = self._now() - COMING_S
        overdue = [key for key, one in self._pending.items() if one.since < limit]
        await _each([*overdue], self._look)
        await _each([key for key in overdue if key in self._pending and up(self._pending[key].node)], self._ask)
        await _each([key for key, node in self._discarded.items() if up(node)], self._remove)

    async def _look(self, identifier: str) -> None:
        """Another copy may have taken it back."""
        try:
            gone = await self._records.stored(identifier) is None
        except (ValueError, SeawayError) as error:
            log.error("the registration of %s can't be read: %s", identifier, error)
            return
        if gone:
            self._forgotten(identifier)
            self.done(identifier)

    async def _ask(self, identifier: str) -> None:
        pending = self._pending.get(identifier)
        if pending is None:
            return
        try:
            reply = await self._bus.call(
                REJECT_CREATE, ContainerId(id=identifier), node=pending.node, timeout_s=_CALL_S
            )
            if not reply.rejected:
                pending.since = self._now()  # its event will come, or the agent has just started: ask again later
                return
            await self._registering.forget(identifier)
            self._forgotten(identifier)
            log.info("forgot the registration of %s: nobody makes it", identifier)
        except SeawayError as error:
            log.debug("kept the registration of %s: %s", identifier, error)
            pending.since = self._now()
            return
        self.done(identifier)

    async def _remove(self, identifier: str) -> None:
        """Whatever the node answers, it won't have it any more: one that it is making it gives up."""
        request, node = RemoveContainer(id=identifier, force=True, volumes=True), self._discarded[identifier]
        try:
            await self._bus.call(REMOVE, request, node=node, timeout_s=_CALL_S)
        except SeawayError as error:
            if error.code is not Code.NOT_FOUND:
                log.debug("%s is still to be removed: %s", identifier, error)
                return
        try:
            await self._records.delete(identifier)
        except (ValueError, SeawayError) as error:
            log.error("the record of %s, which was given up, can't be removed: %s", identifier, error)
        self._discarded.pop(identifier, None)
        log.info("%s was given up before its node told of it; it is not on %s (any more)", identifier, node)


async def _each(identifiers: list[str], work: Callable[[str], Awaitable[None]]) -> None:
    """Some at a time, so that one that gets no answer doesn't hold up all."""
    while identifiers:
        await asyncio.gather(*map(work, identifiers[-_AT_ONCE:]))
        del identifiers[-_AT_ONCE:]
