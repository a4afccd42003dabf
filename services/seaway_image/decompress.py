"""Archives as users send them: plain, gzip, bzip2 or xz, inflated piece by piece within bounds."""

import asyncio
import bz2
import lzma
import zlib
from collections.abc import AsyncIterator, Callable
from typing import Final

from seaway_contracts.errors import Code, SeawayError, bad_request
from seaway_kit.expansion import Expansion

MAX_ARCHIVE: Final = 256 << 30
_PIECE: Final = 1 << 20
_MEMORY: Final = 256 << 20
_ZSTD: Final = b"\x28\xb5\x2f\xfd"


class _Gzip:
    def __init__(self) -> None:
        self._state = zlib.decompressobj(wbits=31)

    @property
    def eof(self) -> bool:
        return self._state.eof

    @property
    def unused_data(self) -> bytes:
        return self._state.unused_data

    def feed(self, data: bytes) -> tuple[bytes, bytes]:
        """Inflate: at most a piece of output, and the input that still waits."""
        out = self._state.decompress(data, _PIECE)
        return out, self._state.unconsumed_tail


class _Buffering:
    """bz2 and lzma keep the waiting input themselves."""

    def __init__(self, state: bz2.BZ2Decompressor | lzma.LZMADecompressor) -> None:
        self._state = state

    @property
    def eof(self) -> bool:
        return self._state.eof

    @property
    def unused_data(self) -> bytes:
        return self._state.unused_data

    def feed(self, data: bytes) -> tuple[bytes, bytes]:
        return self._state.decompress(data, _PIECE), b""

    @property
    def hungry(self) -> bool:
        return self._state.needs_input


_FORMATS: Final[dict[bytes, Callable[[], "_Gzip | _Buffering"]]] = {
    b"\x1f\x8b": _Gzip,
    b"BZh": lambda: _Buffering(bz2.BZ2Decompressor()),
    b"\xfd7zXZ\0": lambda: _Buffering(lzma.LZMADecompressor(memlimit=_MEMORY)),
}


async def decompressed(
    source: AsyncIterator[bytes], *, limit: int = MAX_ARCHIVE, keep: frozenset[str] = frozenset()
) -> AsyncIterator[bytes]:
    """The archive's plain bytes; `keep` may hold `gzip` or `zstd`, which then go through as they are.

    Raises SeawayError: BAD_REQUEST for damaged input, TOO_LARGE beyond `limit` bytes, or for what expands too far.
    """
    head = b""
    async for data in source:
        head += data
        if len(head) >= 6:
            break
    make = next((make for magic, make in _FORMATS.items() if head.startswith(magic)), None)
    if make is _Gzip and "gzip" in keep:
        make = None
    if head.startswith(_ZSTD) and "zstd" not in keep:
        raise bad_request("archive is compressed with zstd: send it plain, or compressed with gzip, bzip2 or xz")
    total, expansion = 0, Expansion("archive")
    given = _counted(_joined(head, source), expansion)
    async for piece in given if make is None else _inflate(make, given):
        total += len(piece)
        expansion.add(0, len(piece))
        if total > limit:
            raise SeawayError(Code.TOO_LARGE, f"archive holds more than {limit} bytes")
        yield piece


async def _joined(head: bytes, source: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    if head:
        yield head
    async for data in source:
        yield data


async def _counted(source: AsyncIterator[bytes], expansion: Expansion) -> AsyncIterator[bytes]:
    async for data in source:
        expansion.add(len(data), 0)
        yield data


async def _inflate(make: "Callable[[], _Gzip | _Buffering]", source: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    state = make()
    begun = False
    try:
        async for data in source:
            if state.eof:
                data = data.lstrip(b"\0")
            while data:
                if state.eof:
                    state = make()
                out, data = await asyncio.to_thread(_step, state, data)
                begun = not state.eof
                if out:
                    yield out
                while isinstance(state, _Buffering) and not state.eof and not state.hungry:
                    yield (await asyncio.to_thread(state.feed, b""))[0]
                if state.eof:
                    data = (state.unused_data or data).lstrip(b"\0")
                    begun = False
    except (zlib.error, OSError, lzma.LZMAError, EOFError, ValueError) as error:
        raise bad_request(f"archive is damaged: {error}") from None
    if begun:
        raise bad_request("archive is cut off")


def _step(state: "_Gzip | _Buffering", data: bytes) -> tuple[bytes, bytes]:
    return state.feed(data)
