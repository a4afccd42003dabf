"""Archives as users send them: plain, gzip, bzip2, xz or zstd, inflated piece by piece within bounds."""

import asyncio
from collections.abc import AsyncIterator
from collections.abc import Set as AbstractSet
from typing import Final

from seaway_archive.inflate import Expansion, Format, Inflater
from seaway_archive.reader import next_bytes
from seaway_contracts.errors import Code, SeawayError

MAX_ARCHIVE: Final = 256 << 30
_PIECE: Final = 1 << 20


async def decompressed(
    source: AsyncIterator[bytes], *, limit: int = MAX_ARCHIVE, kept: AbstractSet[Format] = frozenset()
) -> AsyncIterator[bytes]:
    """The archive's plain bytes; what is compressed in a `kept` format goes through as it is.

    Raises SeawayError: BAD_REQUEST for damaged input, TOO_LARGE beyond `limit` bytes, or for what expands too far.
    """
    inflater, total, expansion = Inflater(kept=kept), 0, Expansion("archive")
    while not inflater.done:
        piece = inflater.read(_PIECE) if inflater.plain else await asyncio.to_thread(inflater.read, _PIECE)
        total += len(piece)
        expansion.add(0, len(piece))
        if total > limit:
            raise SeawayError(Code.TOO_LARGE, f"archive holds more than {limit} bytes")
        if piece:
            yield piece
        elif not inflater.done:
            data = await next_bytes(source)
            expansion.add(len(data), 0)
            inflater.feed(data)
