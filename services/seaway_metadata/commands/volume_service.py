"""Puts together what serves volumes."""

from collections.abc import Callable, Iterator

from seaway_bus.bus import Bus
from seaway_bus.outbox import Outbox
from seaway_contracts.catalogue import VOLUME_CREATE, VOLUME_DESTROY
from seaway_contracts.nodes import NodeRecord
from seaway_contracts.volumes import VolumeRecord
from seaway_metadata.commands.mounts import Mounts
from seaway_metadata.commands.volume_book import VolumeBook
from seaway_metadata.commands.volume_events import VolumeEventCheck
from seaway_metadata.commands.volume_removal import VolumeRemoval
from seaway_metadata.commands.volume_sweep import VolumeSweep
from seaway_metadata.commands.volumes import VolumeCommands
from seaway_metadata.kinds.anonymous_volumes import AnonymousVolumes
from seaway_metadata.kinds.container_inventories import ContainerTable
from seaway_metadata.kinds.volume_inventories import VolumeInventories
from seaway_metadata.store.store import Store
from seaway_metadata.store.written import WrittenTable


class VolumeService:
    """One copy's. `table`: the records."""

    def __init__(
        self,
        bus: Bus,
        store: Store,
        table: WrittenTable[VolumeRecord],
        anonymous: AnonymousVolumes,
        inventories: VolumeInventories,
        containers: ContainerTable,
        nodes: Callable[[], Iterator[NodeRecord]],
        outbox: Outbox,
    ) -> None:
        self._store = store
        self.table = table
        self.anonymous = anonymous
        self.inventories = inventories
        self.book = VolumeBook(table, anonymous, containers.view, inventories.told)
        self.event_check = VolumeEventCheck(table.index, self.book)
        self.removal = VolumeRemoval(bus, table, self.book, containers, nodes, outbox, store.doubt)
        self.commands = VolumeCommands(
            bus, table, self.book, self.removal, anonymous, containers, nodes, outbox, store.doubt
        )
        self.sweeper = VolumeSweep(bus, table, self.book, self.removal, containers)
        self.mounts = Mounts(table, self.book, self.removal)

    def listen(self) -> None:
        """Have events of volumes applied; before the store starts."""
        for channel in (VOLUME_CREATE, VOLUME_DESTROY):
            self._store.listen(channel, self.anonymous.heard, of_agents=True)

    def started(self) -> None:
        """The records are loaded. Where there are none they may be lost."""
        if self.table.is_empty():
            self.inventories.doubt()

    async def serve(self) -> None:
        """Begin to answer."""
        await self.commands.serve()
        await self.removal.serve()
