"""The volumes that a new container mounts by name: they are found, or made, on its node."""

import asyncio
import time
from collections.abc import Callable, Mapping
from secrets import token_hex
from typing import Final

from seaway_contracts.containers import ContainerSpec, Mount
from seaway_contracts.errors import Code, Reason, SeawayError, unavailable
from seaway_contracts.volumes import VolumeRecord
from seaway_kit.failpoints import Failpoint, reach
from seaway_metadata.commands.volume_book import VolumeBook
from seaway_metadata.commands.volume_removal import VolumeRemoval
from seaway_metadata.kinds.volumes import check_volume, freed, named_mounts, used
from seaway_metadata.store.written import WrittenTable

_TRIES: Final = 8


class Mounts:
    """One copy's. All methods raise TransportError."""

    def __init__(
        self,
        table: WrittenTable[VolumeRecord],
        book: VolumeBook,
        removal: VolumeRemoval,
        now_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        self._table = table
        self._book = book
        self._removal = removal
        self._now_ns = now_ns

    async def find(self, spec: ContainerSpec, node: str) -> dict[str, VolumeRecord | None]:
        """The volumes that it mounts by name, as they are stored now; None for one that is to be made.

        Raises SeawayError: CONFLICT, with the reason OTHER_NODE, for a volume of another node.
        """
        names = named_mounts(spec)
        found = dict(zip(names, await asyncio.gather(*map(self._book.stored, names)), strict=True))
        for volume in found.values():
            if volume is not None:
                _check_node(used(volume, node, spec.id), node)
        return found

    async def take(
        self, found: Mapping[str, VolumeRecord | None], spec: ContainerSpec, node: str
    ) -> tuple[VolumeRecord, ...]:
        """Make those that are missing, and bind those that have no node yet. Raises as `find`; then none is new."""
        mounts, taken = named_mounts(spec), []
        try:
            for name, volume in found.items():
                taken.append(await self._take(volume, mounts[name], spec.id, node))
        except SeawayError:
            if not await self._removal.is_registered(spec.id):  # else an earlier try of the same request has them
                await self.undo(spec)
            raise
        return tuple(taken)

    async def _take(self, volume: VolumeRecord | None, mount: Mount, container: str, node: str) -> VolumeRecord:
        for _ in range(_TRIES):
            volume = volume or await self._make(mount, container, node)
            if used(volume, node, container) is not volume:
                volume = await self._table.change(volume.id, lambda one: used(one, node, container))
            if volume is not None and not volume.removed:
                _check_node(volume, node)
                return volume
            volume = None
        raise unavailable(f"volume {mount.source} is made and removed by others at the same time; try again")

    async def _make(self, mount: Mount, container: str, node: str) -> VolumeRecord:
        wanted = VolumeRecord(
            id=token_hex(32),
            name=mount.source,
            created_ns=self._now_ns(),
            node=node,
            labels=mount.volume_labels,
            options=mount.volume_options,
            made_for=container,
        )
        check_volume(wanted)
        volume = await self._book.find_or_make(wanted.name, lambda: wanted)
        reach(Failpoint.VOLUME_REGISTERED)
        return volume

    async def undo(self, spec: ContainerSpec, *, unheard: bool = False) -> None:
        """Remove the volumes that were made for this container, which was not made, and free those that were bound.

        `unheard`: its node may have made it, and so have these: the sweep frees them if it has not. Raises SeawayError.
        """
        for name in named_mounts(spec):
            volume = await self._book.stored(name)
            if volume is not None and volume.made_for == spec.id:
                await self._removal.undo(volume)
            elif volume is not None and volume.bound_for == spec.id and not unheard:
                await self._table.change(volume.id, lambda one: freed(one, spec.id))


def _check_node(volume: VolumeRecord, node: str) -> None:
    if volume.node != node:
        text = f"volume {volume.name} is on node {volume.node}: containers that mount it can't be on node {node}"
        raise SeawayError(
            Code.CONFLICT, text, Reason.OTHER_NODE, {"node": volume.node, "thing": f"volume {volume.name}"}
        )
