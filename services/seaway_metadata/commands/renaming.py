"""Renaming: the new name is reserved, the node gives it to its container, the old one is freed.

Whatever fails before the node has answered takes the reservation back. After a time-out nobody knows: a reservation
whose container never came to be called so lapses by itself (`Records`), and the old name of one that did is freed when
its `rename` event is written behind.
"""

import logging
from collections.abc import Awaitable, Callable

from seaway_bus.bus import Bus, Command
from seaway_bus.transport import TransportError
from seaway_contracts.catalogue import RENAME_HELD
from seaway_contracts.commands import RenameContainer, StatusReply
from seaway_contracts.containers import ContainerRecord
from seaway_contracts.errors import Code, SeawayError, bad_request, unavailable
from seaway_kit.failpoints import Failpoint, reach
from seaway_metadata.kinds.container_registering import ContainerRegistering
from seaway_metadata.kinds.containers import NAMES
from seaway_metadata.store.kind import Claim
from seaway_metadata.store.records import Records

log = logging.getLogger(__name__)


class Renaming:
    """Serves `container.rename`. The command's id goes on to the node, so that a repeat is carried out once."""

    def __init__(
        self,
        bus: Bus,
        registering: ContainerRegistering,
        records: Records[ContainerRecord],
        find: Callable[[str], Awaitable[ContainerRecord]],
        keep: Callable[[Claim, str], Awaitable[None]],
        free: Callable[[str, int], Awaitable[None]],
    ) -> None:
        """`keep` sees to it that a name that another container than this one is known by is that one's; `free` frees
        the names that a container has given up by that number of what was reported of it."""
        self._bus = bus
        self._registering = registering
        self._records = records
        self._find = find
        self._keep = keep
        self._free = free

    async def rename(self, request: RenameContainer, command: Command) -> StatusReply:
        """Raises SeawayError: CONFLICT for a name that is taken. The name that it has already changes nothing."""
        record = await self._find(request.id)
        if request.name == record.spec.name:
            return StatusReply(status=record.status)
        reserved = await self._reserve(request, record.status.seq)
        reach(Failpoint.RENAME_NAMED)
        try:
            reply = await self._bus.call(RENAME_HELD, request, node=record.node, command=command)
        except SeawayError as error:
            if reserved and error.code is not Code.TIMEOUT:
                await self._release(request.name, request.id)
            raise
        await self._free_left(request.id, reply.status.seq)
        reach(Failpoint.RENAME_FREED)
        return reply

    async def _reserve(self, request: RenameContainer, seq: int) -> bool:
        try:
            if not NAMES.fits(request.name):
                raise bad_request(f"the container name must have 1 to {NAMES.most_bytes} bytes")
            await self._keep(NAMES.claim(request.name), request.id)
            return await self._registering.rename(request.id, request.name, seq)
        except TransportError as error:
            raise unavailable(f"the records can't be reached just now: {error}; try again") from error
        except SeawayError as error:
            raise SeawayError(error.code, f"Error when allocating new name: {error.message}") from error

    async def _release(self, name: str, identifier: str) -> None:
        try:
            await self._records.claims.release(NAMES.claim(name), identifier)
        except TransportError as error:
            log.warning("the name %s lapses by itself: %s", name, error)

    async def _free_left(self, identifier: str, seq: int) -> None:
        try:
            await self._free(identifier, seq)
        except (SeawayError, TransportError) as error:
            log.info("the old name of %s is freed later: %s", identifier, error)
