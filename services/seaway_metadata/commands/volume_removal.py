"""Removes volumes: from their node, and then their records and names."""

import contextlib
import logging
from collections import Counter
from collections.abc import Callable, Iterator

from seaway_bus.bus import Bus, Command
from seaway_bus.outbox import Outbox
from seaway_contracts import catalogue
from seaway_contracts.docker_errors import no_such_volume, volume_in_use
from seaway_contracts.errors import Code, SeawayError, unavailable
from seaway_contracts.nodes import NodeRecord
from seaway_contracts.volumes import (
    RemoveHeldVolume,
    RemoveVolume,
    VolumeRecord,
    VolumeReply,
)
from seaway_kit.failpoints import Failpoint, reach
from seaway_metadata.commands.reachable import reachable
from seaway_metadata.commands.volume_book import VolumeBook
from seaway_metadata.commands.volume_events import publish
from seaway_metadata.kinds.container_inventories import ContainerTable
from seaway_metadata.kinds.volumes import VOLUME_NAMES, changed, users
from seaway_metadata.store.written import WrittenTable

log = logging.getLogger(__name__)


class VolumeRemoval:
    """Serves `volume.remove`, and undoes what came to nothing."""

    def __init__(
        self,
        bus: Bus,
        table: WrittenTable[VolumeRecord],
        book: VolumeBook,
        containers: ContainerTable,
        nodes: Callable[[], Iterator[NodeRecord]],
        outbox: Outbox,
        missing: Callable[[], None],
    ) -> None:
        """`missing` is called when the buckets are not there."""
        self._bus = bus
        self._table = table
        self._book = book
        self._containers = containers
        self._nodes = nodes
        self._outbox = outbox
        self._missing = missing
        self._under_way: Counter[str] = Counter()

    @contextlib.contextmanager
    def _removing(self, volume: VolumeRecord) -> Iterator[None]:
        self._under_way[volume.id] += 1
        try:
            yield
        finally:
            self._under_way[volume.id] -= 1
            self._under_way += Counter()  # without those that are done

    def is_under_way(self, volume: VolumeRecord) -> bool:
        """Whether this copy is removing it just now."""
        return self._under_way[volume.id] > 0

    async def serve(self) -> None:
        """Begin to answer."""
        await self._bus.serve(catalogue.REMOVE_VOLUME, self.remove)

    async def remove(self, request: RemoveVolume, command: Command) -> VolumeReply:
        """Mark it, so that nobody uses it any more; remove it from its node; then its record and name."""
        await self._containers.freshness.current(request.containers)
        with reachable(self._missing):
            await self._table.current(request.basis)
            try:
                volume = await self._book.get(request.name)
            except SeawayError:
                return VolumeReply(volume=await self._remove_marked(request, command))
            if request.id not in ("", volume.id):
                raise no_such_volume(request.name)
            await self._check_unused(volume)
            if self._is_down(volume) and not request.force:
                raise _node_is_down(volume)
            with self._removing(volume):
                marked = await self._mark(volume)
                reach(Failpoint.VOLUME_MARKED)
                told = await self._remove_from_node(marked, force=request.force)
                reach(Failpoint.VOLUME_NODE_REMOVED)
                await self.finish(marked, command, told=told)
        return VolumeReply(volume=volume)

    async def _remove_marked(self, request: RemoveVolume, command: Command) -> VolumeRecord:
        """Free the name of one whose removal waits for a node that is down, with `force`. Raises SeawayError."""
        for volume in await self._table.read_given_up() if request.force else ():
            if volume.name == request.name and self._is_down(volume):
                await self.finish(volume, command, told=False)
                return volume
        raise no_such_volume(request.name)

    async def _check_unused(self, volume: VolumeRecord) -> None:
        """Another copy may have taken back a registration that is known here."""
        found = users(volume.name, self._containers.view.all())
        if found := [one for one in found if self.is_made(one) or await self.is_registered(one)]:
            raise volume_in_use(volume.name, found)

    def is_made(self, container: str) -> bool:
        """Whether its node has told of it."""
        return self._containers.view.index.get(container) is not None

    async def is_registered(self, container: str) -> bool:
        """Whether its node may still make it, or has it and is to remove it."""
        return await self._containers.records.stored(container) is not None

    async def _mark(self, volume: VolumeRecord) -> VolumeRecord:
        """Raises SeawayError: NOT_FOUND where somebody else has removed it, or is removing it."""
        before: VolumeRecord | None = None

        def removed(found: VolumeRecord) -> VolumeRecord:
            nonlocal before
            before = found
            return _removed(found)

        await self._table.write_now(volume.id)
        marked = await self._table.change(volume.id, removed)
        if marked is None or before is None or before.removed:
            raise no_such_volume(volume.name)
        return marked

    async def _remove_from_node(self, volume: VolumeRecord, *, force: bool) -> bool:
        """Where the node refuses, the volume stays; where it doesn't answer, it is removed later. Raises SeawayError.

        The node decides: a container may have the volume of which nobody has heard yet. False with `force` where it
        is still to be told.
        """
        try:
            return await self.tell_node(volume)
        except SeawayError as error:
            if not error.retryable:
                await self.restore(volume)
            elif force:
                return False
            raise

    async def restore(self, volume: VolumeRecord) -> None:
        """Undo its mark, unless its removal is being finished."""
        await self._table.change(volume.id, lambda found: _restored(found) if found == volume else found)

    async def tell_node(self, volume: VolumeRecord) -> bool:
        """Have its node remove it; False where that is down, and is still to be told. Raises SeawayError."""
        if self.state(volume) == "up":
            asked = RemoveHeldVolume(id=volume.id, name=volume.name)
            try:
                await self._bus.call(catalogue.REMOVE_HELD_VOLUME, asked, node=volume.node)
            except SeawayError as error:
                if error.code is not Code.NOT_FOUND:
                    raise
        return not self._is_down(volume)

    async def finish(self, volume: VolumeRecord, command: Command, *, told: bool) -> None:
        """Publish its end, free its name, and remove its record. Raises TransportError.

        Where another copy has restored it, as the node refused that copy, it ends all the same if the node is `told`:
        by now the node doesn't have it. Where another copy is removing it, that copy finishes this. The record stays,
        without a name, until the node is told.
        """
        final: VolumeRecord | None = None

        def ended(found: VolumeRecord) -> VolumeRecord:
            nonlocal final
            is_restored = told and not found.removed and found.node == volume.node
            final = changed(found, removed=True) if found == volume or is_restored else None
            return final or found

        if await self._table.change(volume.id, ended) is None or final is None:
            return
        if not volume.made_for:
            publish(self._outbox, catalogue.VOLUME_DESTROY, volume, command)
        if told:
            await self._table.remove(volume.id)
        else:
            await self._free_name(volume)

    async def _free_name(self, volume: VolumeRecord) -> None:
        if volume.name:
            await self._table.change(volume.id, _nameless)
            await self._table.records.claims.release(VOLUME_NAMES.claim(volume.name), volume.id)

    def state(self, volume: VolumeRecord) -> str:
        """That of its node; empty where it has none, or one that was removed from the cluster."""
        return next((record.state for record in self._nodes() if record.node == volume.node), "")

    def _is_down(self, volume: VolumeRecord) -> bool:
        return self.state(volume) == "down"

    # --- volumes of which nothing came

    async def undo(self, volume: VolumeRecord) -> None:
        """Remove a volume that was just made, and of which nobody has heard. Raises TransportError.

        Not where somebody else uses it by now. A node that may have made it is told. Where it doesn't answer, the sweep
        finishes this.
        """
        with self._removing(volume):
            marked = await self._table.change(volume.id, lambda found: _undone(found) if same(found, volume) else found)
            if marked is not None and marked.removed:
                await self._finish_undo(marked)

    async def _finish_undo(self, marked: VolumeRecord) -> None:
        try:
            told = await self.tell_node(marked)
        except SeawayError as error:
            log.info("volume %s is removed from node %s later: %s", marked.name, marked.node, error)
            if error.code is Code.CONFLICT:
                await self.restore(marked)
        else:
            await self.finish(marked, Command.new("metadata"), told=told)


def _node_is_down(volume: VolumeRecord) -> SeawayError:
    return unavailable(
        f"remove {volume.name}: node {volume.node}, which has the volume, is down: start it, or use force to have the "
        "volume removed when it is back"
    )


def same(found: VolumeRecord, volume: VolumeRecord) -> bool:
    """Whether it is still as it was: not removed, and nobody else's since."""
    return not found.removed and (found.made_for, found.version) == (volume.made_for, volume.version)


def _removed(volume: VolumeRecord) -> VolumeRecord:
    """Its end is published, as its user has heard of it."""
    return volume if volume.removed else changed(volume, removed=True, made_for="")


def _undone(volume: VolumeRecord) -> VolumeRecord:
    """Nobody is told of its end, as nobody was told of its creation."""
    return changed(volume, removed=True, made_for=volume.made_for or volume.id)


def _nameless(volume: VolumeRecord) -> VolumeRecord:
    return changed(volume, name="") if volume.removed else volume


def _restored(volume: VolumeRecord) -> VolumeRecord:
    return changed(volume, removed=False, made_for="")
