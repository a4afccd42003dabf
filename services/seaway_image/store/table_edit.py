"""A table of images out of which names and images are taken, many of them as fast as one. Pure."""

import hashlib
from collections import Counter
from functools import lru_cache

from seaway_docker.references import Reference
from seaway_image.oci.digests import Digest
from seaway_image.store.names import NameTable, StoredImage


class TableEdit:
    """Begins as a copy of the table."""

    def __init__(self, table: NameTable) -> None:
        self._before = table
        self._images, self._tags, self._digests = dict(table.images), dict(table.tags), dict(table.digests)
        self._gone_names: set[str] = set()
        self._gone_images: set[Digest] = set()
        self._names: dict[Digest, tuple[Reference, ...]] = {}
        self._children = Counter(image.parent for image in table.images.values() if image.parent)
        self._holders = Counter(chain for image in table.images.values() for chain in chain_ids(image))

    def table(self) -> NameTable:
        """As it is by now."""
        registry = self._before.registry.without_tags(self._gone_names)
        update = {"images": self._images, "tags": self._tags, "digests": self._digests, "registry": registry}
        return self._before.model_copy(update=update).without_pushes_of(self._gone_images)

    def has(self, image: Digest) -> bool:
        """Whether the image is still there."""
        return image in self._images

    def names(self, image: Digest) -> tuple[Reference, ...]:
        """Its tags, then its digests."""
        if image not in self._names:
            self._names[image] = (*self._before.tags_of(image), *self._before.digests_of(image))
        return self._names[image]

    def children(self, image: Digest) -> int:
        """How many images were made of it."""
        return self._children[image]

    def drop_name(self, image: Digest, name: Reference) -> None:
        """A tag or digest of an image."""
        self._names[image] = tuple(one for one in self.names(image) if one != name)
        self._tags.pop(name.canonical, None)
        self._digests.pop(name.canonical, None)
        self._gone_names.add(name.canonical)

    def drop_image(self, image: Digest) -> tuple[Digest | None, dict[Digest, int]]:
        """An image without names; its parent, and the ChainIDs and sizes of its own layers, from the top down."""
        gone = self._images.pop(image)
        self._gone_images.add(image)
        chains = chain_ids(gone)
        self._holders.subtract(chains)
        if gone.parent:
            self._children[gone.parent] -= 1
        sized = zip(chains, gone.layers, strict=True)
        own = {chain: layer.diff_size for chain, layer in reversed(list(sized)) if not self._holders[chain]}
        return gone.parent, own


def chain_ids(image: StoredImage) -> tuple[Digest, ...]:
    """The ChainIDs of an image's layers, from the base up (OCI image spec, config.md)."""
    return _chain_ids(tuple(layer.diff_id for layer in image.layers))


@lru_cache(maxsize=4096)
def _chain_ids(diff_ids: tuple[Digest, ...]) -> tuple[Digest, ...]:
    chains: list[Digest] = []
    for diff_id in diff_ids:
        joined = f"{chains[-1]} {diff_id}" if chains else ""
        chains.append(Digest("sha256:" + hashlib.sha256(joined.encode()).hexdigest()) if joined else diff_id)
    return tuple(chains)
