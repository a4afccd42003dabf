"""Serves what is asked about volumes: creating, finding and listing them."""

from collections.abc import Callable, Iterator
from typing import Final

from seaway_bus.bus import Bus, Command, Encoded
from seaway_bus.outbox import Outbox
from seaway_contracts import catalogue
from seaway_contracts.errors import Code, SeawayError, not_found, unavailable
from seaway_contracts.nodes import NodeRecord
from seaway_contracts.volumes import (
    CreateVolume,
    ListVolumes,
    MakeHeldVolume,
    VolumeList,
    VolumeRecord,
    VolumeRef,
    VolumeReply,
)
from seaway_kit.failpoints import Failpoint, reach
from seaway_metadata.commands.reachable import reachable
from seaway_metadata.commands.volume_book import VolumeBook
from seaway_metadata.commands.volume_events import publish
from seaway_metadata.commands.volume_removal import VolumeRemoval
from seaway_metadata.kinds.anonymous_volumes import AnonymousVolumes
from seaway_metadata.kinds.container_inventories import ContainerTable
from seaway_metadata.kinds.volumes import check_volume, chosen, kept
from seaway_metadata.store.written import WrittenTable

_REPLY_FRAME: Final = 4096


class VolumeCommands:
    """Serves `volume.create`, `get` and `list`."""

    def __init__(
        self,
        bus: Bus,
        table: WrittenTable[VolumeRecord],
        book: VolumeBook,
        removal: VolumeRemoval,
        anonymous: AnonymousVolumes,
        containers: ContainerTable,
        nodes: Callable[[], Iterator[NodeRecord]],
        outbox: Outbox,
        missing: Callable[[], None],
    ) -> None:
        """`missing` is called when the buckets are not there."""
        self._bus = bus
        self._table = table
        self._book = book
        self._removal = removal
        self._anonymous = anonymous
        self._containers = containers
        self._nodes = nodes
        self._outbox = outbox
        self._missing = missing

    async def serve(self) -> None:
        """Begin to answer."""
        serve = self._bus.serve
        await serve(catalogue.CREATE_VOLUME, self.create)
        await serve(catalogue.GET_VOLUME, self.get)
        await serve(catalogue.LIST_VOLUMES, self.list_volumes)

    # --- creating

    async def create(self, request: CreateVolume, command: Command) -> VolumeReply:
        """Reserve its name and store its record; then its node makes it. One that is there is returned as it is."""
        nothing_yet = {"anonymous": False, "made_for": "", "bound_for": "", "removed": False, "version": 1}
        asked = request.volume.model_copy(update=nothing_yet)
        check_volume(asked)
        with reachable(self._missing):
            volume = await self._book.find_or_make(asked.name, lambda: self._new(asked))
            reach(Failpoint.VOLUME_RECORDED)
            if volume.id != asked.id:
                return VolumeReply(volume=await self._on_asked_node(volume, asked.node))
            volume = await self._make_on_node(volume)
        reach(Failpoint.VOLUME_NODE_MADE)
        publish(self._outbox, catalogue.VOLUME_CREATE, volume, command)
        return VolumeReply(volume=volume)

    def _new(self, asked: VolumeRecord) -> VolumeRecord:
        """The record until its node has made it: a container that is registered with it meanwhile keeps it."""
        node = self._node_for(asked)
        return asked.model_copy(update={"node": node, "made_for": asked.id if node else ""})

    def _node_for(self, asked: VolumeRecord) -> str:
        """The node that the user chose, or the only one; empty where the first container decides."""
        nodes = {record.node: record.state for record in self._nodes()}
        node = asked.node or (next(iter(nodes)) if len(nodes) == 1 else "")
        if node and node not in nodes:
            raise not_found(f"create {asked.name}: no such node: {node}")
        if node and nodes[node] != "up":
            raise unavailable(f"create {asked.name}: node {node} is down; start it, or choose another one")
        return node

    async def _on_asked_node(self, volume: VolumeRecord, node: str) -> VolumeRecord:
        """A volume that is there already. Raises SeawayError where it is on another node than this one (if any)."""
        if chosen(volume, node) is volume and node in ("", volume.node):
            return volume
        bound = await self._table.change(volume.id, lambda one: chosen(one, node))
        if bound is None or bound.removed:
            raise _removed_just_now(volume)
        if node and bound.node != node:
            text = f"create {volume.name}: the volume is on node {bound.node} already, and can't be on node {node} too"
            raise SeawayError(Code.CONFLICT, text)
        if bound.node != volume.node:
            await self._bus.call(catalogue.MAKE_HELD_VOLUME, MakeHeldVolume(volume=bound), node=bound.node)
        return bound

    async def _make_on_node(self, volume: VolumeRecord) -> VolumeRecord:
        if not volume.node:
            return volume
        try:
            await self._bus.call(catalogue.MAKE_HELD_VOLUME, MakeHeldVolume(volume=kept(volume)), node=volume.node)
        except SeawayError:
            await self._removal.undo(volume)
            raise
        made = await self._table.change(volume.id, kept)
        if made is None or made.removed:
            raise _removed_just_now(volume)
        return made

    # --- reading

    async def _current(self, basis: dict[str, int], containers: dict[str, int]) -> None:
        """Wait for what the asker knows: of volumes, and of containers, which have anonymous volumes made and removed.

        Raises SeawayError.
        """
        await self._containers.freshness.current(containers)
        records = [self._containers.view.index.get(key) for key in containers]
        known = [record for record in records if record is not None]
        for record in known:
            self._anonymous.take_mounted(record)
        with reachable(self._missing):
            await self._table.current(basis)
            await self._book.read_bound(known)

    async def get(self, request: VolumeRef, command: Command) -> VolumeReply:
        """One volume."""
        await self._current(request.basis, request.containers)
        with reachable(self._missing):
            return VolumeReply(volume=await self._book.get(request.name))

    async def list_volumes(self, request: ListVolumes, command: Command) -> Encoded[VolumeList]:
        """A page of all volumes."""
        await self._current(request.basis, request.containers)
        with reachable(self._missing):
            await self._book.read_new()
        return Encoded(self._table.index.page(request.after, self._bus.transport.max_payload - _REPLY_FRAME))


def _removed_just_now(volume: VolumeRecord) -> SeawayError:
    return unavailable(f"create {volume.name}: the volume was removed just now; try again")
