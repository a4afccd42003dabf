"""Removes unpacked layers that no image and no container needs any more, after images were deleted."""

import asyncio
import contextlib
import logging
from typing import Final

from seaway_agent.inventory.inventory import Inventory
from seaway_agent.rootfs.layers import LayerStore
from seaway_agent.rootfs.names import chain_ids
from seaway_bus.bus import Bus
from seaway_contracts.catalogue import IMAGES_DELETED, NODE_IMAGES
from seaway_contracts.errors import SeawayError
from seaway_contracts.images import ListImages

log = logging.getLogger(__name__)
_SETTLE_S: Final = 1.0


class LayerSweeper:
    """Sweeps a second after a deletion; many in a row make one sweep.

    It sweeps after a reconnection as well: messages of deletions may have been missed.
    """

    def __init__(self, bus: Bus, inventory: Inventory, layers: LayerStore) -> None:
        self._bus = bus
        self._inventory = inventory
        self._layers = layers
        self._due = asyncio.Event()

    async def run(self) -> None:
        """Sweep after each deletion of images; never returns."""
        self._bus.transport.on_reconnect(self._due.set)
        await self._bus.on_message(IMAGES_DELETED, lambda _: self._due.set())
        while True:
            await self._due.wait()
            await asyncio.sleep(_SETTLE_S)
            self._due.clear()
            with contextlib.suppress(SeawayError):
                await self.sweep()

    async def sweep(self) -> int:
        """Remove what nothing needs; the bytes freed. Raises SeawayError where the image service doesn't answer."""
        wanted = await self._images()
        freed = await self._layers.drop(wanted | self._inventory.kept_chains())
        if freed:
            log.info("dropped layers of deleted images: %d bytes", freed)
        return freed

    async def _images(self) -> set[str]:
        chains: set[str] = set()
        after = ""
        while True:
            page = await self._bus.call(NODE_IMAGES, ListImages(after=after), node=self._inventory.node)
            for image in page.images:
                chains.update(chain_ids(layer.diff_id for layer in image.layers))
            after = page.next
            if not after:
                return chains
