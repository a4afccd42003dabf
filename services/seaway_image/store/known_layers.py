"""What is known of layer blobs: from images that have them, or found by inflating them, each once at a time."""

import asyncio
from weakref import WeakValueDictionary

from seaway_image.oci.digests import Digest
from seaway_image.store.blobs import BlobStore
from seaway_image.store.layers import LayerFacts, measure_layer
from seaway_image.store.names import NameTable


class KnownLayers:
    """The facts, by digest."""

    def __init__(self, blobs: BlobStore) -> None:
        self._blobs = blobs
        self._facts: dict[Digest, LayerFacts] = {}
        self._locks: WeakValueDictionary[Digest, asyncio.Lock] = WeakValueDictionary()

    async def of(self, layer: Digest, table: NameTable) -> LayerFacts:
        """What is in this layer. Those who push it at once, or again while they wait, wait for one look at it."""
        if layer not in self._facts:
            self._facts |= {
                known.digest: LayerFacts(known.diff_id, known.diff_size)
                for image in table.images.values()
                for known in image.layers
            }
        if layer in self._facts:
            return self._facts[layer]
        async with self._locks.setdefault(layer, asyncio.Lock()):
            if layer not in self._facts:
                self._blobs.require(layer)
                self._facts[layer] = await measure_layer(self._blobs.path(layer))
            return self._facts[layer]

    def forget(self, layer: Digest) -> None:
        """The blob has gone."""
        self._facts.pop(layer, None)
