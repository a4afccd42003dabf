"""What comes out of a layer blob: its diffID and how much it holds, found by inflating it without writing anything."""

import asyncio
import hashlib
import threading
from collections.abc import Generator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from seaway_archive.errors import ArchiveRejected
from seaway_archive.headers import BLOCK, parse_header
from seaway_archive.inflate import LAYER_FORMATS, Expansion, InflatingReader, format_of
from seaway_contracts.errors import Code, SeawayError, bad_request
from seaway_image.oci.digests import Digest
from seaway_image.store.content_size import ContentSize

MAX_LAYER: Final = 32 << 30
_CHUNK: Final = 1 << 20


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
    """`gzip`, `zstd` or empty, from a blob's first `LONGEST_MAGIC` bytes."""
    found = format_of(head)
    return found.value if found in LAYER_FORMATS else ""


def inflated(path: Path) -> Generator[bytes, None, None]:
    """The tar in a layer blob, in chunks of up to 1 MiB; blocks, so call it in a thread."""
    with path.open("rb", buffering=0) as file:
        reader = InflatingReader(file.read, accepted=LAYER_FORMATS)
        try:
            while data := reader.read(_CHUNK):
                yield data
        except ArchiveRejected as error:
            raise bad_request(f"layer sha256:{path.name}: {error.message}") from None


def check_tar(path: Path) -> None:
    """Raise SeawayError(BAD_REQUEST) unless a tar may begin as this layer blob does; blocks. An empty file is one."""
    head = b""
    with closing(inflated(path)) as pieces:
        while len(head) < BLOCK and (piece := next(pieces, b"")):
            head += piece
    if not head:
        return
    if len(head) < BLOCK:
        raise bad_request("the archive is no tar: it is shorter than a header")
    if head[:BLOCK] != bytes(BLOCK):
        parse_header(head[:BLOCK])
