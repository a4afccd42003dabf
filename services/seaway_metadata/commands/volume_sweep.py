"""Finishes removals of volumes that were interrupted, and removes volumes of containers that were never made."""

import logging
import time
from collections.abc import Awaitable, Callable
from typing import Final

from seaway_bus.bus import Bus, Command
from seaway_contracts.catalogue import VOLUME_INVENTORY
from seaway_contracts.errors import Code, SeawayError
from seaway_contracts.volumes import ListHeldVolumes, VolumeRecord
from seaway_metadata.commands.volume_book import VolumeBook
from seaway_metadata.commands.volume_removal import VolumeRemoval, same
from seaway_metadata.kinds.container_inventories import ContainerTable
from seaway_metadata.kinds.volumes import freed, kept
from seaway_metadata.store.written import WrittenTable

log = logging.getLogger(__name__)
MADE_NS: Final = 30_000_000_000
"""After this time a registration that made a volume is stored, or came to nothing."""


class VolumeSweep:
    """One copy's: all copies do this, and their changes of the records are compared and set."""

    def __init__(
        self,
        bus: Bus,
        table: WrittenTable[VolumeRecord],
        book: VolumeBook,
        removal: VolumeRemoval,
        containers: ContainerTable,
        now_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        self._bus = bus
        self._table = table
        self._book = book
        self._removal = removal
        self._containers = containers
        self.now_ns = now_ns
        self._seen_ns: dict[str, int] = {}
        """When this copy first saw the volumes that are not settled: a record doesn't say when it was bound."""

    async def sweep(self) -> None:
        """Finish what was interrupted, and what nodes that were down are still to be told. Raises TransportError."""
        for volume in await self._table.read_given_up():
            if not self._removal.is_under_way(volume) and not self._waits_for_node(volume):
                await _logged(volume, self._remove_again(volume))
        await self._book.drop_rivals()
        await self._book.read_bound(self._containers.view.index)
        unsettled = [one for one in self._table.index if one.made_for or one.bound_for]
        now_ns = self.now_ns()
        self._seen_ns = {one.id: self._seen_ns.get(one.id, now_ns) for one in unsettled}
        for volume in unsettled:
            await _logged(volume, self._settle(volume))

    def _waits_for_node(self, volume: VolumeRecord) -> bool:
        """A node that is down is to have the last word. But nobody has a volume that was made for what was not made."""
        return self._removal.state(volume) == "down" and not (volume.name and volume.made_for)

    async def _remove_again(self, volume: VolumeRecord) -> None:
        try:
            told = await self._removal.tell_node(volume)
        except SeawayError as error:
            log.debug("volume %s is removed later: %s", volume.id, error)
            if error.code is Code.CONFLICT and volume.name:  # whoever asked for the removal was never answered
                await self._removal.restore(volume)
        else:
            await self._removal.finish(volume, Command.new("metadata"), told=told)

    async def _settle(self, volume: VolumeRecord) -> None:
        """A volume that a registration has made, or bound, is like any other as soon as its container is there.

        It is removed, or freed, if there is neither that container nor its registration, and the node has not made the
        volume. So is one that a create has left that was cut short.
        """
        container = volume.made_for or volume.bound_for
        if not self._removal.is_made(container):
            if self.now_ns() - self._since_ns(volume) < MADE_NS or self._removal.state(volume) == "down":
                return
            if await self._removal.is_registered(container):
                return
            if not await self._is_on_node(volume):
                await self._undo(volume)
                return
        await self._table.change(volume.id, lambda found: kept(found) if same(found, volume) else found)

    def _since_ns(self, volume: VolumeRecord) -> int:
        return volume.created_ns if volume.made_for else self._seen_ns[volume.id]

    async def _undo(self, volume: VolumeRecord) -> None:
        if volume.made_for:
            await self._removal.undo(volume)
        else:
            await self._table.change(volume.id, lambda found: freed(found, volume.bound_for))

    async def _is_on_node(self, volume: VolumeRecord) -> bool:
        """Whether its node has it; not where that was removed from the cluster. Raises SeawayError."""
        if not self._removal.state(volume):
            return False
        asked = ListHeldVolumes(ids=(volume.id,))
        held = await self._bus.call(VOLUME_INVENTORY, asked, node=volume.node)
        return any(one.id == volume.id for one in held.volumes)


async def _logged(volume: VolumeRecord, work: Awaitable[None]) -> None:
    try:
        await work
    except (SeawayError, ValueError) as error:
        log.info("volume %s is looked at later: %s", volume.id, error)
