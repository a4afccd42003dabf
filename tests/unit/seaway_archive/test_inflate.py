"""Real compressed streams of every format, whole and broken, in pieces of every size."""

import bz2
import gzip
import io
import lzma
import random
import tracemalloc
import zlib
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seaway_archive.errors import ArchiveRejected, ArchiveTooLarge, ArchiveTruncated, CompressionRejected
from seaway_archive.inflate import (
    EXPANSION_FROM,
    EXPANSION_RATIO,
    LAYER_FORMATS,
    Expansion,
    Format,
    Inflater,
    InflatingReader,
    format_of,
)
from seaway_contracts.errors import Code, SeawayError
from seaway_testing.packing import zstd_compress

CONTENT = random.Random(7).randbytes(300_000) + bytes(1_000_000) + b"end"
MIB = 1 << 20
Pack = Callable[[bytes], bytes]


PACKERS: dict[str, Pack] = {"gzip": gzip.compress, "bzip2": bz2.compress, "xz": lzma.compress, "zstd": zstd_compress}
every_format = pytest.mark.parametrize("name", PACKERS)


def inflated(data: bytes, step: int = MIB, piece: int = 100_000, **options: int | frozenset[Format]) -> bytes:
    source = io.BytesIO(data)
    reader = InflatingReader(lambda n: source.read(min(n, step)), **options)  # type: ignore[arg-type]
    return b"".join(iter(lambda: reader.read(piece), b""))


@every_format
@pytest.mark.parametrize("step", [7, 1000, MIB])
@pytest.mark.parametrize("piece", [999, 1 << 18])
def test_content_comes_out_whole(name: str, step: int, piece: int) -> None:
    content = CONTENT[-20_000:] if step == 7 else CONTENT
    assert inflated(PACKERS[name](content), step, piece) == content


@pytest.mark.parametrize("content", [b"", b"x", b"some tar " * 100_000])
def test_what_is_not_compressed_goes_through(content: bytes) -> None:
    assert inflated(content) == content
    assert inflated(content, step=3) == content


@every_format
@pytest.mark.parametrize("step", [5, MIB])
def test_streams_follow_one_another_and_zeros_may_follow(name: str, step: int) -> None:
    pack = PACKERS[name]
    assert inflated(pack(b"one") + pack(b"") + pack(b"two") + bytes(1000), step) == b"onetwo"


def test_skippable_frames_of_zstd_count_nothing() -> None:
    skippable = b"\x50\x2a\x4d\x18" + (5).to_bytes(4, "little") + b"notes"
    assert inflated(zstd_compress(b"one") + skippable + zstd_compress(b"two")) == b"onetwo"


@every_format
@pytest.mark.parametrize("missing", [1, 12, 100_000])
def test_a_stream_that_ends_early_is_truncated(name: str, missing: int) -> None:
    packed = PACKERS[name](CONTENT)
    with pytest.raises(ArchiveTruncated, match="ends early"):
        inflated(packed[: max(10, len(packed) - missing)])


@every_format
@pytest.mark.parametrize(
    "spoil",
    [
        lambda packed: packed + b"garbage",
        lambda packed: packed[:6] + b"no stream at all" * 10,
        lambda packed: packed[:5000] + bytes(100) + packed[5100:],
    ],
)
def test_damage_is_rejected(name: str, spoil: Callable[[bytes], bytes]) -> None:
    with pytest.raises((CompressionRejected, ArchiveTruncated)):
        inflated(spoil(PACKERS[name](CONTENT)))


@every_format
@settings(max_examples=50)
@given(data=st.data())
def test_damage_never_escapes_as_another_error(name: str, data: st.DataObject) -> None:
    packed = bytearray(PACKERS[name](CONTENT[299_000:310_000]))
    for _ in range(data.draw(st.integers(1, 4))):
        packed[data.draw(st.integers(0, len(packed) - 1))] = data.draw(st.integers(0, 255))
    try:
        inflated(bytes(packed), step=data.draw(st.integers(10, 20_000)))
    except (ArchiveRejected, ArchiveTooLarge):
        pass


def test_a_zstd_frame_that_wants_too_much_memory_is_rejected() -> None:
    assert len(inflated(zstd_compress(bytes(MIB), window_log=27))) == MIB
    with pytest.raises(CompressionRejected, match="too much memory"):
        inflated(zstd_compress(bytes(MIB), window_log=28))


def test_an_xz_stream_that_wants_too_much_memory_is_rejected() -> None:
    packed = bytearray(lzma.compress(b"x", filters=[{"id": lzma.FILTER_LZMA2, "preset": 0}]))
    packed[16] = 32  # a dictionary of 256 MiB (XZ file format, 5.3.1), as packing with one takes a gigabyte
    packed[20:24] = zlib.crc32(bytes(packed[12:20])).to_bytes(4, "little")
    with pytest.raises(CompressionRejected, match="Memory usage limit"):
        inflated(bytes(packed))


@every_format
def test_a_bomb_is_read_in_bounded_memory(name: str) -> None:
    bomb = PACKERS[name](bytes(64 * MIB))
    reader, size = InflatingReader(io.BytesIO(bomb).read), 0
    tracemalloc.start()
    try:
        while data := reader.read(64 * MIB):
            assert len(data) <= MIB
            size += len(data)
        assert tracemalloc.get_traced_memory()[1] < 24 * MIB
    finally:
        tracemalloc.stop()
    assert size == 64 * MIB


@every_format
def test_empty_streams_are_bounded(name: str) -> None:
    blob = PACKERS[name](b"") * 50
    assert inflated(blob, members=50) == b""
    with pytest.raises(ArchiveTooLarge, match="streams"):
        inflated(blob, members=20)


def test_only_accepted_formats_are_inflated() -> None:
    assert inflated(gzip.compress(b"x"), accepted=LAYER_FORMATS) == b"x"
    with pytest.raises(CompressionRejected, match="compressed with xz: use gzip or zstd"):
        inflated(lzma.compress(b"x"), accepted=LAYER_FORMATS)


def test_what_is_kept_goes_through_as_it_is() -> None:
    for name, packed in ((name, pack(b"x")) for name, pack in PACKERS.items()):
        inflater = Inflater(kept=LAYER_FORMATS)
        inflater.feed(packed)
        kept = name in ("gzip", "zstd")
        assert inflater.read(1000) == (packed if kept else b"x")
        assert inflater.plain is kept


def test_an_inflater_says_when_it_needs_more_and_when_it_is_done() -> None:
    inflater, packed = Inflater(), gzip.compress(b"hello")
    assert (inflater.read(9), inflater.done) == (b"", False)
    inflater.feed(packed[:4])
    assert (inflater.read(9), inflater.done) == (b"", False)
    inflater.feed(packed[4:])
    assert (inflater.read(3), inflater.read(9), inflater.read(9), inflater.done) == (b"hel", b"lo", b"", False)
    inflater.feed(b"")
    assert (inflater.read(9), inflater.done) == (b"", True)


def test_what_the_source_raises_comes_through() -> None:
    pieces = iter([zstd_compress(CONTENT)[:100_000]])

    def read(_: int) -> bytes:
        try:
            return next(pieces)
        except StopIteration:
            raise ConnectionError("the blob broke off") from None

    reader = InflatingReader(read)
    with pytest.raises(ConnectionError, match="broke off"):
        while reader.read(MIB):
            pass


@every_format
def test_formats_are_known_by_their_first_bytes(name: str) -> None:
    assert format_of(PACKERS[name](b"x")) is Format(name)
    assert format_of(b"") is format_of(b"plain text") is None


def test_up_to_the_size_any_ratio_passes() -> None:
    count = Expansion("layer x")
    count.add(1, EXPANSION_FROM)
    with pytest.raises(SeawayError, match=f"layer x expands from 1 to more than {EXPANSION_FROM + 1} bytes") as caught:
        count.add(0, 1)
    assert caught.value.code is Code.TOO_LARGE


def test_up_to_the_ratio_any_size_passes() -> None:
    count = Expansion("layer x")
    for _ in range(100):
        count.add(EXPANSION_FROM // 4, EXPANSION_RATIO * (EXPANSION_FROM // 4))
    with pytest.raises(SeawayError, match="200 times"):
        count.add(0, 1)


def test_both_can_be_chosen() -> None:
    count = Expansion("layer x", ratio=10, start=100)
    count.add(2, 100)
    with pytest.raises(SeawayError, match="10 times"):
        count.add(8, 1)
