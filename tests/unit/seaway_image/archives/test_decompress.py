import bz2
import gzip
import lzma
import os
from collections.abc import AsyncIterator, Callable
from functools import partial

import pytest

from seaway_archive.inflate import LAYER_FORMATS, Expansion
from seaway_contracts.errors import Code, SeawayError
from seaway_image.archives import decompress
from seaway_image.archives.decompress import decompressed
from seaway_testing.packing import zstd_compress

Chunked = Callable[..., AsyncIterator[bytes]]
DATA = os.urandom(1000) * 3000


async def whole(source: AsyncIterator[bytes]) -> bytes:
    return b"".join([piece async for piece in source])


@pytest.mark.parametrize("pack", [bytes, gzip.compress, bz2.compress, lzma.compress, zstd_compress])
@pytest.mark.parametrize("size", [3, 100_000, 10**8])
async def test_all_forms_are_read(chunked: Chunked, pack: Callable[[bytes], bytes], size: int) -> None:
    data = DATA[:30_000] if size == 3 else DATA
    assert await whole(decompressed(chunked(pack(data), size))) == data


async def test_members_make_one_whole(chunked: Chunked) -> None:
    packed = gzip.compress(b"a" * 1000) + gzip.compress(b"b") + bytes(100)
    assert await whole(decompressed(chunked(packed, 7))) == b"a" * 1000 + b"b"


async def test_what_may_stay_packed(chunked: Chunked) -> None:
    packed = gzip.compress(DATA)
    assert await whole(decompressed(chunked(packed), kept=LAYER_FORMATS)) == packed


async def test_nothing_is_nothing(chunked: Chunked) -> None:
    assert await whole(decompressed(chunked(b""))) == b""


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (gzip.compress(DATA)[:-9], "ends early"),
        (bz2.compress(DATA)[:-9], "ends early"),
        (lzma.compress(DATA)[:-9], "ends early"),
        (gzip.compress(DATA) + b"rubbish", "damaged"),
        (b"BZh9" + b"x" * 100, "damaged"),
        (b"\x28\xb5\x2f\xfd" + b"x" * 100, "damaged|ends early"),
    ],
)
async def test_damage_is_told(chunked: Chunked, data: bytes, why: str) -> None:
    with pytest.raises(SeawayError, match=why):
        await whole(decompressed(chunked(data, 10_000)))


@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress, lzma.compress, zstd_compress])
async def test_bombs_are_stopped_piece_by_piece(chunked: Chunked, pack: Callable[[bytes], bytes]) -> None:
    got = 0
    with pytest.raises(SeawayError) as refused:
        async for piece in decompressed(chunked(pack(bytes(30 << 20)), 10**6), limit=3 << 20):
            assert len(piece) <= 1 << 20
            got += len(piece)
    assert refused.value.code is Code.TOO_LARGE
    assert got <= 3 << 20


@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress, lzma.compress, zstd_compress])
async def test_what_expands_too_far_is_refused_early(
    chunked: Chunked, pack: Callable[[bytes], bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(decompress, "Expansion", partial(Expansion, start=3 << 20))
    got = 0
    with pytest.raises(SeawayError, match="archive expands from") as refused:
        async for piece in decompressed(chunked(pack(bytes(30 << 20)), 10**6)):
            got += len(piece)
    assert refused.value.code is Code.TOO_LARGE
    assert got <= 7 << 20
    assert await whole(decompressed(chunked(bytes(30 << 20), 10**6))) == bytes(30 << 20)
