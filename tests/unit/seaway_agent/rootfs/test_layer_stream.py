"""Blob streams: compression by magic, several members, digests, bombs."""

import gzip
import hashlib
import io
import lzma
import zlib
from collections.abc import Callable

import pytest

from seaway_agent.rootfs.errors import DigestMismatch, LayerRejected, LayerTooLarge
from seaway_agent.rootfs.layer_stream import LayerStream
from seaway_agent.rootfs.limits import MIB, Limits
from seaway_archive.assembly import TarLimits
from seaway_archive.errors import ArchiveRejected, ArchiveTooLarge
from seaway_contracts.errors import Code, SeawayError
from seaway_contracts.images import Layer
from seaway_testing.packing import zstd_compress

CONTENT = bytes(range(256)) * 5000


def sha256(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def layer(blob: bytes, **changes: str | int) -> Layer:
    fields = {"digest": sha256(blob), "size": len(blob), "media_type": "", "diff_id": sha256(CONTENT)}
    return Layer.model_validate(fields | changes)


def unpacked(blob: bytes, described: Layer, limits: Limits | None = None, step: int = 1 << 20) -> bytes:
    source = io.BytesIO(blob)
    stream = LayerStream(lambda n: source.read(min(n, step)), described, limits or Limits())
    parts = []
    while data := stream.read(64 * 1024):
        parts.append(data)
    stream.finish()
    return b"".join(parts)


@pytest.mark.parametrize("step", [3, 1000, 1 << 20])
def test_plain_gzip_and_zstd_are_told_by_their_magic(step: int) -> None:
    for blob in (CONTENT, gzip.compress(CONTENT), zstd_compress(CONTENT)):
        assert unpacked(blob, layer(blob), step=step) == CONTENT


def test_gzip_members_follow_each_other_and_zeros_may_follow() -> None:
    parts = [CONTENT[i : i + 100_000] for i in range(0, len(CONTENT), 100_000)]
    blob = b"".join(gzip.compress(part) for part in parts) + gzip.compress(b"") + bytes(4000)
    assert unpacked(blob, layer(blob), step=700) == CONTENT


@pytest.mark.parametrize(
    ("blob", "words"),
    [
        (gzip.compress(CONTENT)[:-9], "ends early"),
        (gzip.compress(CONTENT)[:-8] + bytes(8), "damaged"),
        (gzip.compress(CONTENT) + b"garbage", "damaged"),
        (lzma.compress(CONTENT), "compressed with xz: use gzip or zstd"),
        (b"BZh9" + bytes(100), "compressed with bzip2"),
    ],
)
def test_what_cannot_be_inflated_is_rejected(blob: bytes, words: str) -> None:
    with pytest.raises(ArchiveRejected, match=words):
        unpacked(blob, layer(blob))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"digest": sha256(b"other")}, "arrived with the digest"),
        ({"diff_id": sha256(b"other")}, "but the image names"),
        ({"size": 10}, "longer than"),
        ({"size": 10**9}, "not 1000000000"),
    ],
)
def test_other_bytes_than_promised(changes: dict[str, str | int], words: str) -> None:
    blob = gzip.compress(CONTENT)
    with pytest.raises(DigestMismatch, match=words):
        unpacked(blob, layer(blob, **changes))


@pytest.mark.parametrize(
    "digest", ["", "md5:" + "0" * 32, "sha256:../../x", f"sha256:{'A' * 64}", f"sha256:{'0' * 63}"]
)
def test_only_sha256_digests(digest: str) -> None:
    with pytest.raises(LayerRejected, match="sha256"):
        unpacked(b"", layer(b"", digest=digest))


@pytest.mark.parametrize("pack", [gzip.compress, zstd_compress])
def test_a_bomb_stops_at_the_ratio(pack: Callable[[bytes], bytes]) -> None:
    blob = pack(bytes(64 * MIB))
    with pytest.raises(SeawayError, match="expands from") as caught:
        unpacked(blob, layer(blob), Limits(ratio=100, ratio_from=MIB))
    assert caught.value.code is Code.TOO_LARGE


def test_a_small_layer_may_expand_as_far_as_gzip_goes() -> None:
    zeros = bytes(64 * MIB)
    blob = gzip.compress(zeros)
    assert unpacked(blob, layer(blob, diff_id=sha256(zeros))) == zeros


def test_the_stream_stops_at_the_total() -> None:
    blob = gzip.compress(bytes(2 * MIB))
    with pytest.raises(LayerTooLarge, match="more than 1048576 bytes"):
        unpacked(blob, layer(blob), Limits(tar=TarLimits(total=MIB)))


def test_empty_members_are_bounded() -> None:
    deflater = zlib.compressobj(wbits=31)
    blob = (deflater.compress(b"") + deflater.flush()) * 50
    with pytest.raises(ArchiveTooLarge, match="streams"):
        unpacked(blob, layer(blob), Limits(tar=TarLimits(entries=20)))


def test_few_bytes_make_no_endless_number_of_files() -> None:
    stream = LayerStream(io.BytesIO(CONTENT).read, layer(CONTENT), Limits(entries_slack=10, entry_cost=64))
    stream.read(6400)
    stream.bound_entries(10)
    with pytest.raises(LayerTooLarge, match="makes 10000000 files"):
        stream.bound_entries(10_000_000)
