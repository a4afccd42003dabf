"""Drops unpacked layers that no image and no container needs any more, after the image service tells of a deletion."""

import asyncio
import contextlib
import logging
from typing import Final

from seaway_agent.inventory.inventory import Inventory
from seaway_agent.rootfs.chain import chain_ids
from seaway_bus.bus import Bus
from seaway_contracts.catalogue import IMAGES_DELETED, NODE_IMAGES
from seaway_contracts.errors import SeawayError
from seaway_contracts.images import ListImages

log = logging.getLogger(__name__)
_SETTLE_S: Final = 1.0


class LayerSweeper:
    """Sweeps some time after a deletion; many in a row make one sweep. One may be missed while the connection is lost,
    so a new one counts as one."""

    def __init__(self, bus: Bus, inventory: Inventory) -> None:
        self._bus = bus
        self._inventory = inventory
        self._due = asyncio.Event()

    async def run(self) -> None:
        """Sweep whenever an image was deleted."""
        self._bus.transport.on_reconnect(self._due.set)
        await self._bus.on_message(IMAGES_DELETED, lambda _: self._due.set())
        while True:
            await self._due.wait()
            await asyncio.sleep(_SETTLE_S)
            self._due.clear()
            with contextlib.suppress(SeawayError):
                await self.sweep()

    async def sweep(self) -> int:
        """Drop what nothing needs; the bytes freed. Raises SeawayError where the image service can't be asked."""
        wanted = await self._images()
        freed = await self._inventory.layers.drop(wanted | self._inventory.kept_chains())
        if freed:
            log.info("dropped layers of deleted images: %d bytes", freed)
        return freed

    async def _images(self) -> set[str]:
        chains: set[str] = set()
        after = ""
        while True:
            page = await self._bus.call(NODE_IMAGES, ListImages(after=after), node=self._inventory.plumbing.node)
            for image in page.images:
                chains.update(chain_ids(layer.diff_id for layer in image.layers))
            after = page.next
            if not after:
                return chains
