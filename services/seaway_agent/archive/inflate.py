"""Archives as users send them: plain, gzip, bzip2, xz, zstd, recognised by their first bytes.

Everything is inflated in this process, but for zstd: the program of the host, which never sees the container's files.
"""

import bz2
import lzma
import zlib
from collections.abc import Callable
from typing import Final, Protocol

from seaway_agent.rootfs.tar import Read
from seaway_agent.rootfs.zstd_program import ZstdProgram
from seaway_contracts.errors import SeawayError, internal

_FEED: Final = 64 << 10
_PIECE: Final = 1 << 20
_MEMORY: Final = 128 << 20
_ZSTD: Final = b"\x28\xb5\x2f\xfd"
_LONGEST_MAGIC: Final = 6
_SKIPPABLE: Final = b"\0"


class _State(Protocol):
    """What zlib's, bz2's and lzma's decompressors have in common."""

    @property
    def eof(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: bytes, max_length: int, /) -> bytes: ...


_FORMATS: Final[tuple[tuple[bytes, Callable[[], _State]], ...]] = (
    (b"\x1f\x8b", lambda: zlib.decompressobj(wbits=31)),
    (b"BZh", bz2.BZ2Decompressor),
    (b"\xfd7zXZ\0", lambda: lzma.LZMADecompressor(memlimit=_MEMORY)),
)


class Inflater:
    """The plain bytes of what `read` gives. To be closed. Raises SeawayError for a damaged or cut off archive."""

    def __init__(self, read: Read) -> None:
        head = b""
        while len(head) < _LONGEST_MAGIC and (more := read(_FEED)):
            head += more
        self._head, self._source = head, read
        make = next((make for magic, make in _FORMATS if head.startswith(magic)), None)
        self._zstd = ZstdProgram(self._raw) if head.startswith(_ZSTD) else None
        self._members = _Members(self._raw, make) if make is not None else None

    def read(self, n: int) -> bytes:
        """1 to `n` bytes, b"" at the end."""
        if self._members is not None:
            return self._members.read(n)
        try:
            return self._raw(n) if self._zstd is None else self._zstd.read(n)
        except SeawayError as error:
            raise internal(error.message.replace("layer", "archive")) from error

    def close(self) -> None:
        """Let go of what inflates."""
        if self._zstd is not None:
            self._zstd.close()

    def _raw(self, n: int) -> bytes:
        if self._head:
            data, self._head = self._head[:n], self._head[n:]
            return data
        return self._source(n)


class _Members:
    """One compressed stream after another, as gzip, bzip2 and xz allow; zeros at the end are padding."""

    def __init__(self, read: Read, make: Callable[[], _State]) -> None:
        self._read, self._make = read, make
        self._state = make()
        self._input = b""

    def read(self, n: int) -> bytes:
        while True:
            if self._state.eof and not self._next():
                return b""
            ended = False
            if not self._input and self._hungry():
                self._input = self._read(_FEED)
                ended = not self._input
            if data := self._step(min(n, _PIECE)):
                return data
            if ended and not self._state.eof:
                raise internal("the archive is cut off in the middle of its compressed data")

    def _step(self, n: int) -> bytes:
        try:
            data = self._state.decompress(self._input, n)
        except (zlib.error, lzma.LZMAError, OSError, ValueError) as error:
            raise internal(f"the archive's compressed data is damaged: {error}") from None
        # zlib hands back what waits, the others keep it.
        self._input = getattr(self._state, "unconsumed_tail", b"")
        return data

    def _hungry(self) -> bool:
        return bool(getattr(self._state, "needs_input", True))

    def _next(self) -> bool:
        rest = self._state.unused_data.lstrip(_SKIPPABLE)
        while not rest and (more := self._read(_FEED)):
            rest = more.lstrip(_SKIPPABLE)
        if not rest:
            return False
        self._state, self._input = self._make(), rest
        return True
