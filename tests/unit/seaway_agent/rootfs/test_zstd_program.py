"""Real zstd streams through the real program."""

import hashlib
import io
import os
import random
import shutil
import subprocess
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from seaway_agent.rootfs import zstd_program
from seaway_agent.rootfs.errors import LayerRejected
from seaway_agent.rootfs.inflate import LayerStream
from seaway_agent.rootfs.limits import MIB, Limits
from seaway_agent.rootfs.zstd_program import ZstdProgram
from seaway_contracts.errors import Code, SeawayError
from seaway_contracts.images import Layer
from seaway_testing.descriptors import none_left_open

pytestmark = pytest.mark.skipif(shutil.which("zstd") is None, reason="the program zstd is missing")
CONTENT = random.Random(7).randbytes(700_000) + bytes(1_000_000) + b"end"


def zstd(data: bytes, *options: str) -> bytes:
    return subprocess.run(["zstd", "-q", "-c", *options], input=data, capture_output=True, check=True).stdout


def children() -> set[str]:
    return set(Path(f"/proc/self/task/{os.getpid()}/children").read_text().split())


@pytest.fixture(autouse=True)
def nothing_left() -> object:
    """Neither processes nor descriptors."""
    before = children()
    with none_left_open():
        yield
    assert children() <= before


def described(blob: bytes, content: bytes) -> Layer:
    digest, diff_id = (f"sha256:{hashlib.sha256(data).hexdigest()}" for data in (blob, content))
    return Layer(digest=digest, size=len(blob), media_type="", diff_id=diff_id)


def unpacked(blob: bytes, content: bytes, limits: Limits | None = None, step: int = 1 << 20) -> bytes:
    source = io.BytesIO(blob)
    stream = LayerStream(lambda n: source.read(min(n, step)), described(blob, content), limits or Limits())
    with closing(stream):
        parts = list(iter(lambda: stream.read(50_000), b""))
        stream.finish()
    return b"".join(parts)


@pytest.mark.parametrize("step", [999, 65_536, 1 << 20])
@pytest.mark.parametrize("options", [(), ("-19", "--long=27"), ("--no-check",)])
def test_content_comes_out_whole(step: int, options: tuple[str, ...]) -> None:
    assert unpacked(zstd(CONTENT, *options), CONTENT, step=step) == CONTENT


def test_frames_follow_each_other_and_skippable_ones_count_nothing() -> None:
    skippable = b"\x50\x2a\x4d\x18" + (5).to_bytes(4, "little") + b"notes"
    blob = zstd(CONTENT[:1000]) + zstd(b"") + skippable + zstd(CONTENT[1000:])
    assert unpacked(blob, CONTENT) == CONTENT


@pytest.mark.parametrize(
    "spoil",
    [
        lambda blob: blob[: len(blob) // 2],
        lambda blob: blob[:-1],
        lambda blob: blob[:4] + b"no frame at all" * 10,
        lambda blob: blob + b"garbage",
        lambda blob: blob[:5000] + bytes(100) + blob[5100:],
    ],
)
def test_what_is_broken_is_rejected(spoil: Callable[[bytes], bytes]) -> None:
    with pytest.raises(LayerRejected, match="broken, or ends early"):
        unpacked(spoil(zstd(CONTENT)), CONTENT)


def test_a_frame_that_wants_too_much_memory_is_rejected() -> None:
    blob = zstd(bytes(300 * MIB), "--ultra", "--long=30", "--no-content-size", "--stream-size=0")
    with pytest.raises(LayerRejected, match="broken"):
        unpacked(blob, b"")


def test_a_bomb_stops_at_the_ratio() -> None:
    content = bytes(64 * MIB)
    with pytest.raises(SeawayError, match="expands from"):
        unpacked(zstd(content), content, Limits(ratio=100, ratio_from=MIB))


def test_what_the_source_raises_comes_through() -> None:
    pieces = iter([zstd(CONTENT)[:100_000]])

    def read(_: int) -> bytes:
        try:
            return next(pieces)
        except StopIteration:
            raise ConnectionError("the blob broke off") from None

    with closing(ZstdProgram(read)) as program, pytest.raises(ConnectionError, match="broke off"):
        while program.read(1 << 20):
            pass


def test_closing_in_the_middle_ends_the_program() -> None:
    source = io.BytesIO(zstd(CONTENT))
    before = children()
    program = ZstdProgram(source.read)
    assert program.read(10)
    program.close()
    assert children() <= before


def test_without_the_program_the_error_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(zstd_program, "_COMMAND", ("zstd-is-not-here",))
    with pytest.raises(SeawayError, match="install the program zstd") as refused:
        ZstdProgram(io.BytesIO(b"").read)
    assert refused.value.code is Code.INTERNAL
