"""The content-addressed blob store: `<root>/blobs/sha256/<hex>`, filled through `<root>/tmp/`.

A blob appears under its digest only once it is whole, verified and on disk, so whoever finds one may use it. What is
on its way stays in `tmp/`: `<hex>.partial` where the digest is known (it can be resumed), `*.ingest` where it isn't.
A `Lease` keeps the blobs that a running operation relies on out of the reach of the collection.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from weakref import WeakValueDictionary

from seaway_contracts.errors import Code, SeawayError, not_found
from seaway_image.oci.digests import Digest, digest_of, hex_of, is_digest, parse_digest
from seaway_image.store.durable import storage_errors, sync_directory
from seaway_image.store.ingest import BlobWriter

CHUNK: Final = 1 << 20
PARTIAL_GRACE_S: Final = 7 * 24 * 3600.0
MAX_BLOB: Final = 64 << 30


@dataclass(frozen=True)
class Blob:
    """A stored blob; `size` in bytes."""

    digest: Digest
    size: int


@dataclass(eq=False)
class Lease:
    """The blobs that one operation relies on, and those of them that it made."""

    held: set[Digest] = field(default_factory=set)
    created: set[Digest] = field(default_factory=set)

    def hold(self, digest: Digest) -> None:
        """Keep this blob from being collected for as long as the lease lives."""
        self.held.add(digest)


class BlobStore:
    """Blobs by digest. One process owns a root; any number of operations may run in it at once.

    `tmp` holds what is being made: `*.ingest` there goes when a process starts.
    """

    def __init__(self, root: Path, *, max_blob: int = MAX_BLOB) -> None:
        self.root = root
        self.max_blob = max_blob
        self._blobs = root / "blobs" / "sha256"
        self.tmp = root / "tmp"
        self._leases: set[Lease] = set()
        self._locks: WeakValueDictionary[Digest, asyncio.Lock] = WeakValueDictionary()

    def open(self, *, now: float | None = None, partial_grace_s: float = PARTIAL_GRACE_S) -> None:
        """Make the directories and sweep what an earlier process left: all `*.ingest`, and old partials."""
        with storage_errors(self.root):
            for directory in (self._blobs, self.tmp):
                directory.mkdir(parents=True, exist_ok=True, mode=0o700)
            oldest = (time.time() if now is None else now) - partial_grace_s
            for path in self.tmp.iterdir():
                if path.suffix != ".partial" or path.stat().st_mtime < oldest:
                    path.unlink(missing_ok=True)

    def path(self, digest: Digest) -> Path:
        """Where this blob's bytes are, or would be; raises SeawayError(BAD_REQUEST) for what is no sha256 digest."""
        return self._blobs / hex_of(parse_digest(digest))

    def size(self, digest: Digest) -> int | None:
        """The blob's size in bytes, or None if the store doesn't hold it."""
        try:
            return self.path(digest).stat().st_size
        except FileNotFoundError:
            return None

    def require(self, digest: Digest) -> int:
        """The blob's size in bytes; raises SeawayError(NOT_FOUND) if the store doesn't hold it."""
        size = self.size(digest)
        if size is None:
            raise not_found(f"blob {digest} is not in the image store: pull or load the image again")
        return size

    async def read(self, digest: Digest, start: int = 0, length: int | None = None) -> AsyncIterator[bytes]:
        """The blob's bytes from `start`, at most `length` of them, in chunks of up to 1 MiB."""
        left = self.require(digest) - start if length is None else length
        with self.path(digest).open("rb") as file:
            file.seek(start)
            while left > 0 and (data := await asyncio.to_thread(file.read, min(CHUNK, left))):
                left -= len(data)
                yield data

    async def read_bytes(self, digest: Digest, limit: int) -> bytes:
        """A small blob whole; raises SeawayError: TOO_LARGE beyond `limit` bytes, INTERNAL if its content rotted."""
        size = self.require(digest)
        if size > limit:
            raise SeawayError(Code.TOO_LARGE, f"blob {digest} has {size} bytes, more than the {limit} taken here")
        data = await asyncio.to_thread(self.path(digest).read_bytes)
        if digest_of(data) != digest:
            raise SeawayError(Code.INTERNAL, f"blob {digest} is damaged on disk: remove the image and pull it again")
        return data

    @contextmanager
    def lease(self, lease: Lease | None = None) -> Iterator[Lease]:
        """A lease for the length of one operation: a new one, or that which is given."""
        lease = Lease() if lease is None else lease
        self._leases.add(lease)
        try:
            yield lease
        finally:
            self._leases.discard(lease)

    @asynccontextmanager
    async def writer(
        self, *, lease: Lease | None = None, digest: Digest | None = None, size: int | None = None
    ) -> AsyncIterator[BlobWriter | None]:
        """A writer for a new blob; None if `digest` is already stored (perhaps by whoever wrote it while we waited).

        With `digest` the writer goes on where an earlier one was cut off (`writer.offset`), and an abandoned writer
        leaves its partial. Without, nothing is left. Raises SeawayError(NO_SPACE), and nothing is left either.
        """
        if lease is not None and digest is not None:
            lease.hold(digest)
        if digest is None:
            writer = BlobWriter(self.tmp, limit=self.max_blob, size=size)
            async with self._filling(writer, lease):
                yield writer
            return
        async with self._locks.setdefault(digest, asyncio.Lock()):
            if self.size(digest) is not None:
                yield None
                return
            writer = BlobWriter(self.tmp, limit=self.max_blob, digest=digest, size=size)
            async with self._filling(writer, lease):
                yield writer

    @asynccontextmanager
    async def _filling(self, writer: BlobWriter, lease: Lease | None) -> AsyncIterator[None]:
        try:
            await writer.open()
            yield
            if writer.finished is not None:
                if lease is not None:
                    lease.hold(writer.finished)  # before it can be seen, or a collection beside us takes it
                new = await asyncio.to_thread(writer.place, self._blobs)
                if lease is not None:
                    lease.created |= {writer.finished} if new else set()
        finally:
            writer.close()

    async def put(self, data: bytes, *, lease: Lease | None = None) -> Blob:
        """Store a small blob, such as a manifest, durably."""
        digest = digest_of(data)
        async with self.writer(lease=lease, digest=digest, size=len(data)) as writer:
            if writer is not None:
                await writer.restart()
                await writer.write(data)
                await writer.finish()
        return Blob(digest, len(data))

    def digests(self) -> Iterable[Digest]:
        """All blobs in the store."""
        return [Digest("sha256:" + p.name) for p in self._blobs.iterdir() if is_digest("sha256:" + p.name)]

    def discard(self, lease: Lease, referenced: frozenset[Digest]) -> None:
        """Take away what this operation made and nobody needs: for an operation that failed or stored too much."""
        others: set[Digest] = set().union(*(other.held for other in self._leases if other is not lease))
        for digest in (lease.held | lease.created) - referenced - others:
            (self.tmp / f"{hex_of(digest)}.partial").unlink(missing_ok=True)
            if digest in lease.created:
                self.path(digest).unlink(missing_ok=True)

    def remove(self, digest: Digest) -> bool:
        """Delete a blob that no running operation relies on; says whether it did."""
        if any(digest in lease.held for lease in self._leases):
            return False
        self.path(digest).unlink(missing_ok=True)
        sync_directory(self._blobs)
        return True

    def collect(self, referenced: frozenset[Digest], *, grace_s: float, now: float | None = None) -> list[Blob]:
        """Delete blobs that are neither referenced nor leased nor younger than the grace; returns what went."""
        leased: set[Digest] = set().union(*(lease.held for lease in self._leases))
        oldest = (time.time() if now is None else now) - grace_s
        gone = []
        for digest in self.digests():
            path = self.path(digest)
            if digest in referenced or digest in leased or (stat := path.stat()).st_mtime > oldest:
                continue
            path.unlink()
            gone.append(Blob(digest, stat.st_size))
        if gone:
            sync_directory(self._blobs)
        return gone
