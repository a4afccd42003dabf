"""What nodes hold of containers, and how one that was forgotten in a reboot is made again."""

from collections.abc import Callable, Sequence
from typing import Final

from seaway_bus.bus import Bus
from seaway_contracts import commands
from seaway_contracts.catalogue import CREATE, INVENTORY
from seaway_contracts.commands import CreateContainer, InventoryItem, ListInventory
from seaway_contracts.containers import ContainerRecord, ContainerSpec
from seaway_contracts.lifecycle import ContainerEvent
from seaway_contracts.networks import NetworkRecord
from seaway_contracts.volumes import VolumeRecord
from seaway_metadata.store.inventories import Inventory
from seaway_metadata.store.tables import ReportedTable

ContainerTable = ReportedTable[ContainerRecord, ContainerEvent, InventoryItem]
_CALL_S: Final = 5.0
_LOOK_S: Final = 1.0


class ContainerInventories:
    """Asks agents."""

    def __init__(
        self,
        bus: Bus,
        network: Callable[[str], NetworkRecord | None],
        volumes: Callable[[ContainerSpec], Sequence[VolumeRecord]],
    ) -> None:
        """`network`: the network of users of that id. `volumes`: those that a container mounts by name."""
        self._bus = bus
        self._network = network
        self._volumes = volumes

    async def page(self, node: str, after: str) -> Inventory[InventoryItem]:
        """A page of all that a node holds. Raises SeawayError."""
        return _read(await self._bus.call(INVENTORY, ListInventory(after=after), node=node, timeout_s=_CALL_S))

    async def some(self, node: str, keys: Sequence[str]) -> Inventory[InventoryItem]:
        """Those of the containers that it holds, within a moment. Raises SeawayError."""
        return _read(await self._bus.call(INVENTORY, ListInventory(ids=tuple(keys)), node=node, timeout_s=_LOOK_S))

    async def make_again(self, node: str, record: ContainerRecord) -> None:
        """Give a node back what it has forgotten in a reboot, with its networks and volumes. Raises SeawayError."""
        found = (self._network(endpoint.network_id) for endpoint in record.spec.network.endpoints)
        networks = tuple(network for network in found if network is not None)
        volumes = tuple(volume for volume in self._volumes(record.spec) if volume.node == node)
        asked = CreateContainer(spec=record.spec, former=record.status, networks=networks, volumes=volumes)
        await self._bus.call(CREATE, asked, node=node)


def _read(reply: commands.Inventory) -> Inventory[InventoryItem]:
    return Inventory(reply.epoch, reply.containers, reply.next, reply.lost_memory)
