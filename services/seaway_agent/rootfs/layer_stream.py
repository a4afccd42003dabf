"""The uncompressed bytes of a layer blob, with digests and limits verified on the way."""

import hashlib
import re
from typing import Final

from seaway_agent.rootfs.errors import DigestMismatch, LayerRejected, LayerTooLarge
from seaway_agent.rootfs.limits import KIB, Limits
from seaway_archive.inflate import LAYER_FORMATS, Expansion, InflatingReader
from seaway_archive.reader import Read
from seaway_contracts.images import Layer

_FEED: Final = 64 * KIB
_DIGEST: Final = re.compile(r"sha256:[0-9a-f]{64}\Z")


class LayerStream:
    """The uncompressed bytes of a blob. `finish()` verifies that blob and bytes are those that `layer` names.

    Raises `ArchiveRejected` for broken compression, SeawayError (TOO_LARGE) for a bomb, `DigestMismatch`.
    """

    def __init__(self, read: Read, layer: Layer, limits: Limits) -> None:
        for digest in (layer.digest, layer.diff_id):
            if not _DIGEST.match(digest):
                raise LayerRejected(f"the layer's digest {digest[:100]!r} is not sha256 with 64 hexadecimal digits")
        self._layer = layer
        self._limits = limits
        self._source = read
        self._blob_hash = hashlib.sha256()
        self._blob_size = 0
        self._tar_hash = hashlib.sha256()
        self._tar_size = 0
        self._expansion = Expansion(f"layer {layer.digest}", ratio=limits.ratio, start=limits.ratio_from)
        self._expansion.add(layer.size, 0)  # counts the whole blob at once, as the image service does
        self._plain = InflatingReader(self._read_blob, accepted=LAYER_FORMATS, members=limits.tar.entries)

    def read(self, n: int) -> bytes:
        """1 to `n` uncompressed bytes, or b"" at the end."""
        data = self._plain.read(n)
        self._tar_hash.update(data)
        self._tar_size += len(data)
        self._expansion.add(0, len(data))
        if self._tar_size > self._limits.tar.total:
            raise LayerTooLarge(f"layer {self._layer.digest} unpacks to more than {self._limits.tar.total} bytes")
        return data

    def bound_entries(self, entries: int) -> None:
        """Raise `LayerTooLarge` for a blob that makes `entries` files out of too few bytes."""
        excess = entries - self._limits.entries_slack
        if excess > 0 and excess * self._limits.entry_cost > self._blob_size:
            raise LayerTooLarge(
                f"layer {self._layer.digest} makes {entries} files out of {self._blob_size} bytes: more than "
                f"{self._limits.entries_slack} and one for each {self._limits.entry_cost} bytes"
            )

    def finish(self) -> None:
        """Verify sizes and digests; call this at the end of the stream."""
        while self._read_blob(_FEED):
            pass
        if self._blob_size != self._layer.size:
            raise DigestMismatch(f"layer {self._layer.digest} has {self._blob_size} bytes, not {self._layer.size}")
        blob = f"sha256:{self._blob_hash.hexdigest()}"
        if blob != self._layer.digest:
            raise DigestMismatch(f"layer {self._layer.digest} arrived with the digest {blob}; pull the image again")
        diff_id = f"sha256:{self._tar_hash.hexdigest()}"
        if diff_id != self._layer.diff_id:
            raise DigestMismatch(
                f"layer {self._layer.digest} unpacks to {diff_id}, but the image names {self._layer.diff_id}"
            )

    def _read_blob(self, n: int) -> bytes:
        data = self._source(n)
        self._blob_hash.update(data)
        self._blob_size += len(data)
        if self._blob_size > self._layer.size:
            raise DigestMismatch(f"layer {self._layer.digest} is longer than the {self._layer.size} bytes announced")
        return data
