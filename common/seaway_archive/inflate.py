"""Decompression of gzip, bzip2, xz and zstd, recognised by their first bytes. Pure: `Inflater` is fed with bytes.

Streams may follow one another, as each of these formats allows (RFC 1952 section 2.2; eStargz has a gzip member per
file); zeros after the last one are padding. A format may make its reader hold up to 128 MiB. `Expansion` bounds how far
compressed data may expand: a few megabytes must not fill a disk.
"""

import bz2
import lzma
import sys
import zlib
from collections.abc import Callable
from collections.abc import Set as AbstractSet
from enum import Enum
from typing import Final, Protocol

from seaway_archive.errors import ArchiveTooLarge, ArchiveTruncated, CompressionRejected
from seaway_archive.reader import Read
from seaway_contracts.errors import Code, SeawayError

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

LONGEST_MAGIC: Final = 6
EXPANSION_RATIO: Final = 200
"""gzip reaches 1,032 for zeros, zstd 10,000 and more; images and archives of programs and data have 2 to 10."""
EXPANSION_FROM: Final = 1 << 30
"""The ratio counts from this many bytes on: a small layer may have a file or two of zeros."""
_FEED: Final = 256 << 10
_PIECE: Final = 1 << 20
_MEMORY_LOG: Final = 27
_DAMAGED: Final = (zlib.error, lzma.LZMAError, zstd.ZstdError, OSError, EOFError, ValueError)


class Format(Enum):
    """How an archive is compressed."""

    GZIP = "gzip"
    BZIP2 = "bzip2"
    XZ = "xz"
    ZSTD = "zstd"


ALL: Final = frozenset(Format)
LAYER_FORMATS: Final = frozenset({Format.GZIP, Format.ZSTD})
"""What image layers may be compressed with (OCI image spec, layer.md)."""

_MAGIC: Final = {
    b"\x1f\x8b": Format.GZIP,
    b"BZh": Format.BZIP2,
    b"\xfd7zXZ\0": Format.XZ,
    b"\x28\xb5\x2f\xfd": Format.ZSTD,
}


def format_of(head: bytes) -> Format | None:
    """The compression of what begins with these bytes (`LONGEST_MAGIC` of them are enough); None for any other."""
    return next((format_ for magic, format_ in _MAGIC.items() if head.startswith(magic)), None)


class _Stream(Protocol):
    """A decompressor of one stream, as in bz2, lzma and zstd: it keeps input that waits."""

    @property
    def eof(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    @property
    def needs_input(self) -> bool: ...
    def decompress(self, data: bytes, max_length: int, /) -> bytes: ...


class _Gzip:
    """zlib's decompressor behind the same interface; zlib hands input that waits back."""

    def __init__(self) -> None:
        self._state = zlib.decompressobj(wbits=31)
        self._waiting = b""

    @property
    def eof(self) -> bool:
        return self._state.eof

    @property
    def unused_data(self) -> bytes:
        return self._state.unused_data

    @property
    def needs_input(self) -> bool:
        return not self._waiting

    def decompress(self, data: bytes, max_length: int, /) -> bytes:
        out = self._state.decompress(self._waiting + data if self._waiting else data, max_length)
        self._waiting = self._state.unconsumed_tail
        return out


_STREAMS: Final[dict[Format, Callable[[], _Stream]]] = {
    Format.GZIP: _Gzip,
    Format.BZIP2: bz2.BZ2Decompressor,
    Format.XZ: lambda: lzma.LZMADecompressor(memlimit=1 << _MEMORY_LOG),
    # RFC 8878 lets a frame ask for much more memory.
    Format.ZSTD: lambda: zstd.ZstdDecompressor(options={zstd.DecompressionParameter.window_log_max: _MEMORY_LOG}),
}


class Inflater:
    """Feed it with an archive's bytes, read plain ones. Raises `CompressionRejected`, `ArchiveTruncated`.

    Formats that aren't `accepted` are rejected, what is `kept` goes through as it is. More than `members` streams
    raise `ArchiveTooLarge`: empty ones cost time and give nothing.
    """

    def __init__(
        self, *, accepted: AbstractSet[Format] = ALL, kept: AbstractSet[Format] = frozenset(), members: int = 1_000_000
    ) -> None:
        self._accepted, self._kept = accepted, kept
        self._members_left = members
        self._make: Callable[[], _Stream] | None = None
        self._stream: _Stream | None = None
        self._input = b""
        self._begun = self._ended = False
        self.done = False
        """Whether all has been read."""

    @property
    def plain(self) -> bool:
        """Whether reading costs nothing, as what comes goes through as it is."""
        return self._begun and self._stream is None

    def feed(self, data: bytes) -> None:
        """Take the next bytes; b"" says that there are none. To be called when `read` gives nothing."""
        self._ended = self._ended or not data
        self._input += data

    def read(self, n: int) -> bytes:
        """1 to `n` plain bytes; b"" if more must be fed first, or when `done`."""
        if not self._begun and not self._begin():
            return b""
        if self._stream is None:
            return self._passed(n)
        return self._inflated(self._stream, min(n, _PIECE))

    def _begin(self) -> bool:
        """Look at the first bytes, once they are there."""
        if len(self._input) < LONGEST_MAGIC and not self._ended:
            return False
        self._begun = True
        format_ = format_of(self._input)
        if format_ is not None and format_ not in self._kept:
            if format_ not in self._accepted:
                known = " or ".join(sorted(one.value for one in self._accepted))
                raise CompressionRejected(f"the archive is compressed with {format_.value}: use {known}")
            self._make = _STREAMS[format_]
            self._stream = self._make()
        return True

    def _passed(self, n: int) -> bytes:
        data, self._input = self._input[:n], self._input[n:]
        self.done = self._ended and not data
        return data

    def _inflated(self, stream: _Stream, n: int) -> bytes:
        while True:
            if stream.eof:
                following = self._following(stream)
                if following is None:
                    return b""
                stream = self._stream = following
            starving = stream.needs_input and not self._input
            if starving and not self._ended:
                return b""
            if data := self._step(stream, n):
                return data
            if starving and not stream.eof:
                raise ArchiveTruncated("the archive is truncated: its compressed data ends early")

    def _step(self, stream: _Stream, n: int) -> bytes:
        data, self._input = self._input, b""
        try:
            return stream.decompress(data, n)
        except _DAMAGED as error:
            raise CompressionRejected(f"the archive's compressed data is damaged: {error}") from None

    def _following(self, stream: _Stream) -> _Stream | None:
        """The stream after one that has ended; None if there is none, or if more must be fed to know."""
        self._input = (stream.unused_data + self._input).lstrip(b"\0")
        if not self._input:
            self.done = self._ended
            return None
        self._members_left -= 1
        if self._members_left <= 0:
            raise ArchiveTooLarge("the archive's compressed data consists of too many streams")
        assert self._make is not None  # there is a stream
        return self._make()


class InflatingReader:
    """The plain bytes of what `read` gives. Raises what `Inflater` does, and whatever `read` raises."""

    def __init__(self, read: Read, *, accepted: AbstractSet[Format] = ALL, members: int = 1_000_000) -> None:
        self._source = read
        self._inflater = Inflater(accepted=accepted, members=members)

    def read(self, n: int) -> bytes:
        """1 to `n` bytes, b"" at the end."""
        while not (data := self._inflater.read(n)) and not self._inflater.done:
            self._inflater.feed(self._source(_FEED))
        return data


class Expansion:
    """Counts the input and output of a decompressor."""

    def __init__(self, what: str, *, ratio: int = EXPANSION_RATIO, start: int = EXPANSION_FROM) -> None:
        self._what = what
        self._ratio = ratio
        self._start = start
        self._compressed = 0
        self._expanded = 0

    def add(self, compressed: int, expanded: int) -> None:
        """Count more bytes. Raises SeawayError (TOO_LARGE) for more than `start` bytes at more than `ratio` to one."""
        self._compressed += compressed
        self._expanded += expanded
        if self._expanded > self._start and self._expanded > self._ratio * self._compressed:
            raise SeawayError(
                Code.TOO_LARGE,
                f"{self._what} expands from {self._compressed} to more than {self._expanded} bytes: over "
                f"{self._start} bytes, {self._ratio} times the compressed size is the most that is accepted",
            )
