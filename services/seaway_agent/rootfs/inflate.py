"""Decompression of layer blobs, recognised by their first bytes, with digests verified on the way.

gzip may have several members (RFC 1952 section 2.2; eStargz has one per file). zstd is left to the program `zstd`,
which runs from the first read to `close()`.
"""

import hashlib
import re
import zlib
from typing import Final, Protocol

from seaway_agent.rootfs.errors import DigestMismatch, LayerRejected, LayerTooLarge
from seaway_agent.rootfs.limits import KIB, Limits
from seaway_agent.rootfs.tar import CHUNK, Read
from seaway_agent.rootfs.zstd_program import ZstdProgram
from seaway_contracts.images import Layer
from seaway_kit.expansion import Expansion

_FEED: Final = 64 * KIB
_GZIP: Final = b"\x1f\x8b"
_ZSTD: Final = b"\x28\xb5\x2f\xfd"
_REFUSED: Final = {b"BZh": "bzip2", b"\xfd7zXZ\0": "xz"}
_LONGEST_MAGIC: Final = 6
_DIGEST: Final = re.compile(r"sha256:[0-9a-f]{64}\Z")
_GZIP_WINDOW: Final = 31


class LayerStream:
    """The uncompressed bytes of a blob. `finish()` tells whether blob and bytes were those that `layer` names.

    To be closed. Raises `LayerRejected` for broken compression, SeawayError (TOO_LARGE) for a bomb, `DigestMismatch`.
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
        self._expansion.add(layer.size, 0)  # by the whole blob, as the image service has judged it
        self._inflate = _open(self._read_blob, limits)

    def close(self) -> None:
        """Let go of what inflates."""
        self._inflate.close()

    def read(self, n: int) -> bytes:
        """1 to `n` uncompressed bytes, or b"" at the end."""
        data = self._inflate.read(n)
        self._tar_hash.update(data)
        self._tar_size += len(data)
        self._expansion.add(0, len(data))
        if self._tar_size > self._limits.total:
            raise LayerTooLarge(f"layer {self._layer.digest} unpacks to more than {self._limits.total} bytes")
        return data

    def bound_entries(self, entries: int) -> None:
        """Refuse a blob that makes `entries` files out of too few bytes."""
        excess = entries - self._limits.entries_slack
        if excess > 0 and excess * self._limits.entry_cost > self._blob_size:
            raise LayerTooLarge(
                f"layer {self._layer.digest} makes {entries} files out of {self._blob_size} bytes: more than "
                f"{self._limits.entries_slack} and one for each {self._limits.entry_cost} bytes"
            )

    def finish(self) -> None:
        """Verify; to be called at the end of the stream."""
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


class _Inflate(Protocol):
    def read(self, n: int) -> bytes: ...
    def close(self) -> None: ...


def _open(read: Read, limits: Limits) -> _Inflate:
    head = b""
    while len(head) < _LONGEST_MAGIC and (more := read(_FEED)):
        head += more
    source = _Pushback(head, read)
    if head.startswith(_GZIP):
        return _Gzip(source.read, limits)
    if head.startswith(_ZSTD):
        return ZstdProgram(source.read)
    for magic, name in _REFUSED.items():
        if head.startswith(magic):
            raise LayerRejected(f"{name} layers are not supported: push the image with gzip layers")
    return source


class _Pushback:
    """A source whose first bytes were looked at already."""

    def __init__(self, head: bytes, read: Read) -> None:
        self._head = head
        self._read = read

    def read(self, n: int) -> bytes:
        if self._head:
            data, self._head = self._head[:n], self._head[n:]
            return data
        return self._read(n)

    def close(self) -> None:
        """Nothing is held."""


class _Gzip:
    def __init__(self, read: Read, limits: Limits) -> None:
        self._read = read
        self._most = limits.entries
        self._members = 1
        self._member = zlib.decompressobj(_GZIP_WINDOW)
        self._input = b""

    def read(self, n: int) -> bytes:
        while True:
            if self._member.eof and not self._next_member():
                return b""
            if not self._input:
                self._input = self._read(_FEED)
            data = self._decompress(n)
            if data:
                return data

    def _decompress(self, n: int) -> bytes:
        ended = not self._input
        try:
            data = self._member.decompress(self._input, min(n, CHUNK))
        except zlib.error as error:
            raise LayerRejected(f"the layer's gzip stream is broken: {error}") from None
        self._input = self._member.unconsumed_tail
        if ended and not data and not self._member.eof:
            raise LayerRejected("the layer is truncated: its gzip stream ends early")
        return data

    def _next_member(self) -> bool:
        """Go on to the next member; zeros after the last one are padding."""
        rest = self._member.unused_data.lstrip(b"\0")
        while not rest and (more := self._read(_FEED)):
            rest = more.lstrip(b"\0")
        if not rest:
            return False
        self._members += 1
        if self._members > self._most:
            raise LayerTooLarge(f"the layer's gzip stream has more than {self._most} members")
        self._member = zlib.decompressobj(_GZIP_WINDOW)
        self._input = rest
        return True

    def close(self) -> None:
        """Nothing is held that the collector doesn't free."""
