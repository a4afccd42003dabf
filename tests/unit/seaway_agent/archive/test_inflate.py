import bz2
import gzip
import io
import lzma
import subprocess
from collections.abc import Callable

import pytest

from seaway_agent.archive.inflate import Inflater
from seaway_contracts.errors import SeawayError

PLAIN = b"some tar " * 200_000


def zstd(data: bytes) -> bytes:
    return subprocess.run(["zstd", "-c", "-q"], input=data, capture_output=True, check=True).stdout


PACKERS = pytest.mark.parametrize("pack", [gzip.compress, bz2.compress, lzma.compress, zstd, bytes])


def inflated(data: bytes) -> bytes:
    plain = Inflater(io.BytesIO(data).read)
    try:
        return b"".join(iter(lambda: plain.read(100_000), b""))
    finally:
        plain.close()


@PACKERS
def test_every_format(pack: Callable[[bytes], bytes]) -> None:
    assert inflated(pack(PLAIN)) == PLAIN
    assert inflated(pack(b"x" * 10)) == b"x" * 10


@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress, lzma.compress])
def test_members_and_padding(pack: Callable[[bytes], bytes]) -> None:
    assert inflated(pack(b"one") + pack(b"two") + bytes(1000)) == b"onetwo"


@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress, lzma.compress, zstd])
def test_cut_off(pack: Callable[[bytes], bytes]) -> None:
    packed = pack(PLAIN)
    with pytest.raises(SeawayError, match=r"cut off|ends early"):
        inflated(packed[: len(packed) - 12])


@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress, lzma.compress])
def test_damaged(pack: Callable[[bytes], bytes]) -> None:
    packed = bytearray(pack(PLAIN))
    packed[20:60] = b"\xff" * 40
    with pytest.raises(SeawayError, match=r"damaged|cut off"):
        inflated(bytes(packed))


def test_nothing() -> None:
    assert inflated(b"") == b""
