"""Commands about volumes: make and remove one, list them, measure them."""

import asyncio
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from seaway_agent.commands.paging import FRAME, page
from seaway_agent.inventory.inventory import Inventory
from seaway_agent.state.journal import Journal
from seaway_agent.volumes.measuring import size_of
from seaway_agent.volumes.volumes import Volumes
from seaway_bus.bus import Bus, Command
from seaway_contracts import catalogue
from seaway_contracts.base import Empty
from seaway_contracts.errors import unavailable
from seaway_contracts.volumes import (
    ListHeldVolumes,
    MakeHeldVolume,
    MeasureVolumes,
    RemoveHeldVolume,
    VolumeInventory,
    VolumeSizes,
)
from seaway_kit.failpoints import Failpoint, reach


class VolumeCommands:
    """A repeat of a command changes nothing. To be closed."""

    def __init__(self, inventory: Inventory, journal: Journal, volumes: Volumes) -> None:
        self._inventory = inventory
        self._journal = journal
        self._volumes = volumes
        self._measurer = ThreadPoolExecutor(1, thread_name_prefix="measure-volumes")
        self._closing = threading.Event()
        self._room = 0

    def close(self) -> None:
        """Cancel measurements."""
        self._closing.set()
        self._measurer.shutdown(cancel_futures=True)

    async def serve(self, bus: Bus) -> None:
        """Take the commands from the bus."""
        self._room = bus.transport.max_payload - FRAME
        node = self._inventory.node
        await bus.serve(catalogue.MAKE_HELD_VOLUME, self._make, node=node)
        await bus.serve(catalogue.REMOVE_HELD_VOLUME, self._remove, node=node)
        await bus.serve(catalogue.VOLUME_INVENTORY, self._list, node=node)
        await bus.serve(catalogue.MEASURE_VOLUMES, self._measure, node=node)

    async def _make(self, asked: MakeHeldVolume, command: Command) -> Empty:
        self._volumes.make(asked.volume)
        await self._volumes.sync([asked.volume.name])
        reach(Failpoint.VOLUME_HELD)
        return Empty()

    async def _remove(self, asked: RemoveHeldVolume, command: Command) -> Empty:
        """Write down that it is removed, then remove it: a killed agent's successor finishes that."""
        self._volumes.check_unused(asked.id, asked.name)
        self._journal.remove_volume(asked.id)
        reach(Failpoint.VOLUME_FORGOTTEN)
        try:
            self._volumes.remove(asked.id, asked.name)
        except OSError as error:
            text = f"volume {asked.name} can't be removed from node {self._inventory.node}: {error}; try again"
            raise unavailable(text) from error  # its removal is written down: it can't come back
        reach(Failpoint.VOLUME_REMOVED)
        return Empty()

    async def _list(self, asked: ListHeldVolumes, command: Command) -> VolumeInventory:
        inventory = self._inventory
        held = self._volumes.listed(inventory.runners)
        shown = {one: held[one] for one in asked.ids if one in held} if asked.ids else held
        volumes, following = page(shown, asked.after, self._room)
        return VolumeInventory(node=inventory.node, epoch=inventory.epoch, volumes=volumes, next=following)

    async def _measure(self, asked: MeasureVolumes, command: Command) -> VolumeSizes:
        held = self._volumes.listed(self._inventory.runners)
        plain = {one: self._volumes.path(held[one].name) for one in asked.ids if one in held and not held[one].options}
        cancelled = threading.Event()
        try:
            sizes = await asyncio.get_running_loop().run_in_executor(
                self._measurer, self._sizes, list(plain.values()), cancelled
            )
        finally:
            cancelled.set()
        return VolumeSizes(sizes={**dict.fromkeys(asked.ids, -1), **dict(zip(plain, sizes, strict=True))})

    def _sizes(self, places: Sequence[Path], cancelled: threading.Event) -> list[int]:
        return [size_of(place, lambda: cancelled.is_set() or self._closing.is_set()) for place in places]
