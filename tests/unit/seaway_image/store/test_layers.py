import gzip
import lzma
from functools import partial
from pathlib import Path

import pytest

from seaway_archive.inflate import Expansion
from seaway_contracts.errors import Code, SeawayError
from seaway_image.oci.digests import digest_of
from seaway_image.store import layers
from seaway_image.store.layers import LayerFacts, measure_layer
from seaway_testing.packing import zstd_compress

DATA = bytes(range(256)) * 20_000


@pytest.mark.parametrize("form", ["plain", "gzip", "members", "padded", "zstd"])
async def test_what_is_in_a_layer(tmp_path: Path, form: str) -> None:
    half = len(DATA) // 2
    packed = {
        "plain": lambda: DATA,
        "gzip": lambda: gzip.compress(DATA),
        "members": lambda: gzip.compress(DATA[:half]) + gzip.compress(DATA[half:]),
        "padded": lambda: gzip.compress(DATA) + bytes(1000),
        "zstd": lambda: zstd_compress(DATA),
    }[form]()
    path = tmp_path / "layer"
    path.write_bytes(packed)
    assert await measure_layer(path) == LayerFacts(digest_of(DATA), len(DATA))


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (gzip.compress(DATA)[:-20], "ends early"),
        (gzip.compress(DATA) + b"rubbish", "damaged"),
        (b"\x1f\x8b" + b"x" * 100, "damaged"),
        (b"\x28\xb5\x2f\xfd" + b"x" * 100, "damaged|ends early"),
        (lzma.compress(DATA), "compressed with xz"),
    ],
)
async def test_damaged_layers_are_refused(tmp_path: Path, data: bytes, why: str) -> None:
    path = tmp_path / "layer"
    path.write_bytes(data)
    with pytest.raises(SeawayError, match=why):
        await measure_layer(path)


async def test_bombs_are_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "layer"
    path.write_bytes(gzip.compress(bytes(30 << 20)))
    with pytest.raises(SeawayError) as refused:
        await measure_layer(path, limit=4 << 20)
    assert refused.value.code is Code.TOO_LARGE
    monkeypatch.setattr(layers, "Expansion", partial(Expansion, start=1 << 20))
    with pytest.raises(SeawayError, match="expands from"):
        await measure_layer(path)
