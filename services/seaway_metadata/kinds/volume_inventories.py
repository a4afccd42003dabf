"""Compares what nodes have of volumes with the records: after lost buckets, and after a removal that they missed."""

import logging
from collections.abc import Awaitable, Callable, Iterable
from typing import Final

from seaway_bus.bus import Bus
from seaway_contracts.catalogue import REMOVE_HELD_VOLUME, VOLUME_INVENTORY
from seaway_contracts.errors import SeawayError
from seaway_contracts.nodes import NodeRecord
from seaway_contracts.volumes import ListHeldVolumes, RemoveHeldVolume, VolumeRecord
from seaway_kit.tasks import Tasks
from seaway_metadata.kinds.anonymous_volumes import MOST, AnonymousVolumes
from seaway_metadata.kinds.asked_nodes import AskedNodes
from seaway_metadata.kinds.volumes import changed, check_held
from seaway_metadata.store.inventories import Inventory
from seaway_metadata.store.written import WrittenTable

log = logging.getLogger(__name__)
_MOST_NAMED: Final = 1 << 12


class VolumeInventories(AskedNodes[VolumeRecord]):
    """Volumes that nodes have. Records of anonymous ones are always made of their nodes' word."""

    noun = "volume"
    most = MOST + _MOST_NAMED
    most_restored = _MOST_NAMED

    def __init__(
        self,
        bus: Bus,
        table: WrittenTable[VolumeRecord],
        anonymous: AnonymousVolumes,
        tasks: Tasks,
        nodes: Callable[[], Iterable[NodeRecord]],
        caught_up: Callable[[], Awaitable[object]],
    ) -> None:
        """`caught_up` waits, for a moment at most, until all events that have come are applied."""
        super().__init__(tasks, nodes)
        self._bus = bus
        self._table = table
        self._anonymous = anonymous
        self._caught_up = caught_up

    async def _page(self, node: str, after: str) -> Inventory[VolumeRecord]:
        held = await self._bus.call(VOLUME_INVENTORY, ListHeldVolumes(after=after), node=node)
        return Inventory(held.epoch, held.volumes, held.next)

    def _key(self, item: VolumeRecord) -> str:
        return item.id

    async def _compare_one(self, item: VolumeRecord, node: str) -> None:
        check_held(item)
        known = self._table.index.get(item.id)
        if known is None and await self._table.is_gone(item.id):
            await self._remove(item, node)
        elif known is None and (known := await self._table.read(item.id)) is None:
            await self._restore(item, node)
        elif known is not None and known.node != node:
            await self._bind(known, node)

    async def _remove(self, volume: VolumeRecord, node: str) -> None:
        """It was removed while the node was away. One that a container there has stays until that is removed."""
        try:
            await self._bus.call(REMOVE_HELD_VOLUME, RemoveHeldVolume(id=volume.id, name=volume.name), node=node)
        except SeawayError as error:
            log.warning("volume %s was removed, and is still on node %s: %s", volume.name, node, error)

    async def _restore(self, volume: VolumeRecord, node: str) -> None:
        """Make its record again. Raises SeawayError. Its name may be another volume's by now: then it is left alone."""
        again = volume.model_copy(update={"node": node, "made_for": "", "bound_for": "", "removed": False})
        if volume.anonymous:
            self._anonymous.take(again)
        elif self._may_restore(node, volume.id):
            await self._table.register(again)
            log.warning("the record of volume %s was lost; it is made again of what node %s has", volume.name, node)

    async def _bind(self, known: VolumeRecord, node: str) -> None:
        bound: VolumeRecord | None = known
        if not known.node:
            bound = await self._table.change(known.id, lambda found: found if found.node else changed(found, node=node))
        if bound is not None and bound.node != node:
            log.warning("node %s has volume %s, which is on node %s", node, known.name, bound.node)

    # --- anonymous volumes

    def _reported(self, node: str) -> set[str]:
        return {volume.id for volume in self._anonymous.of_node(node)}

    async def _not_held(self, node: str, keys: Iterable[str]) -> None:
        """They may be heard of again: so a node that was asked too early, or has its disk back, makes it good."""
        if lost := list(keys):
            await self._caught_up()  # most of these have told of their end
        for key in lost:
            if (volume := self._table.index.get(key)) is not None and volume.node == node:
                log.warning("node %s has the anonymous volume %.12s no more; its record is removed", node, key)
                self._table.drop(key, for_good=False)
