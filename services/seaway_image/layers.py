"""What comes out of a layer blob: its diffID and how much it holds, found by inflating it without writing anything."""

import asyncio
import hashlib
import subprocess
import threading
import zlib
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from io import FileIO
from pathlib import Path
from typing import Final

from seaway_contracts.errors import Code, SeawayError, bad_request
from seaway_image.content_size import ContentSize
from seaway_image.digests import Digest
from seaway_kit.expansion import Expansion

MAX_LAYER: Final = 32 << 30
_CHUNK: Final = 1 << 20
_GZIP: Final = b"\x1f\x8b"
_ZSTD: Final = b"\x28\xb5\x2f\xfd"


@dataclass(frozen=True)
class LayerFacts:
    """The tar inside a layer blob: its digest, and the bytes of the files in it, as Docker counts a layer."""

    diff_id: Digest
    size: int


async def measure_layer(path: Path, *, limit: int = MAX_LAYER) -> LayerFacts:
    """Inflate a plain, gzip or zstd layer; raises SeawayError for a damaged one, or one beyond the bounds."""
    stop = threading.Event()
    try:
        return await asyncio.to_thread(_measure, path, limit, stop)
    finally:
        stop.set()


def _measure(path: Path, limit: int, stop: threading.Event) -> LayerFacts:
    state, content, size = hashlib.sha256(), ContentSize(), 0
    expansion = Expansion(f"layer sha256:{path.name}")
    expansion.add(path.stat().st_size, 0)
    for chunk in inflated(path):
        state.update(chunk)
        content.feed(chunk)
        size += len(chunk)
        expansion.add(0, len(chunk))
        if size > limit:
            raise SeawayError(Code.TOO_LARGE, f"layer sha256:{path.name} inflates to more than {limit} bytes: refused")
        if stop.is_set():
            break
    return LayerFacts(Digest("sha256:" + state.hexdigest()), content.size)


def compression_of(head: bytes) -> str:
    """`gzip`, `zstd` or empty, from a blob's first bytes."""
    if head.startswith(_GZIP):
        return "gzip"
    return "zstd" if head.startswith(_ZSTD) else ""


def inflated(path: Path) -> Generator[bytes, None, None]:
    """The tar in a layer blob, in chunks of up to 1 MiB; blocks, so call it in a thread."""
    with path.open("rb", buffering=0) as file:  # unbuffered, as another program may go on reading it
        compression = compression_of(file.read(4))
        file.seek(0)
        if compression == "gzip":
            yield from _gunzip(file, path.name)
        elif compression == "zstd":
            yield from _unzstd(file, path.name)
        else:
            while data := file.read(_CHUNK):
                yield data


def _gunzip(file: FileIO, name: str) -> Iterator[bytes]:
    """RFC 1952: members follow one another, and make one tar; zero padding after the last one is ignored."""
    inflater = zlib.decompressobj(wbits=31)
    pending = b""
    try:
        while data := pending or file.read(_CHUNK):
            if out := inflater.decompress(data, _CHUNK):
                yield out
            pending = inflater.unconsumed_tail
            if inflater.eof:
                pending = inflater.unused_data.lstrip(b"\0")
                if not (pending := pending or file.read(_CHUNK).lstrip(b"\0")):
                    return
                inflater = zlib.decompressobj(wbits=31)
        if not inflater.eof:
            raise bad_request(f"layer sha256:{name} is cut off in the middle of its gzip stream")
    except zlib.error as error:
        raise bad_request(f"layer sha256:{name} is damaged gzip: {error}") from None


def _unzstd(file: FileIO, name: str) -> Iterator[bytes]:
    command = ["zstd", "--decompress", "--stdout", "--quiet"]
    try:
        process = subprocess.Popen(command, stdin=file, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    except FileNotFoundError:
        raise SeawayError(
            Code.INTERNAL, f"layer sha256:{name} is zstd: install the zstd program on the image service's host"
        ) from None
    with process:
        try:
            assert process.stdout is not None  # asked for above
            while data := process.stdout.read(_CHUNK):
                yield data
            if process.wait() != 0:
                raise bad_request(f"layer sha256:{name} is damaged zstd")
        finally:
            process.kill()
