"""Uploads in progress: blobs that come in pieces, each piece perhaps over another connection.

An upload lives in this process and in `tmp/`: it ends with the process, and the next one sweeps what is left of it. A
client that finds its upload gone begins again, as with any registry that has lost one.
"""

import asyncio
import secrets
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Final

from seaway_contracts.errors import Code, SeawayError, bad_request, not_found
from seaway_image.oci.digests import Digest
from seaway_image.store.blobs import BlobStore, Lease
from seaway_image.store.ingest import BlobWriter
from seaway_kit.failpoints import Failpoint, reach

MOST: Final = 1024
MOST_OF_ONE: Final = 128
IDLE_S: Final = 3600.0


class TooManyUploads(SeawayError):
    """More uploads are open than one user, or all, may have."""

    def __init__(self, message: str) -> None:
        super().__init__(Code.UNAVAILABLE, message)


class OutOfOrder(SeawayError):
    """A piece that doesn't continue where its upload stands."""

    def __init__(self, offset: int, start: int) -> None:
        super().__init__(Code.BAD_REQUEST, f"the chunk begins at byte {start}, the upload goes on at byte {offset}")


class WrongDigest(SeawayError):
    """The bytes that came are not those that were named."""

    def __init__(self, named: Digest, actual: Digest) -> None:
        super().__init__(Code.BAD_REQUEST, f"the bytes received have the digest {actual}, not {named}")


class Upload:
    """One blob on its way. Pieces come one after another: `turn` is held while one does."""

    def __init__(self, repository: str, owner: str, writer: BlobWriter, stack: AsyncExitStack) -> None:
        self.id = secrets.token_hex(16)
        self.repository = repository
        self.owner = owner
        self.turn = asyncio.Lock()
        self.used = 0.0
        self._writer = writer
        self._stack = stack

    @property
    def offset(self) -> int:
        """How many bytes have come."""
        return self._writer.offset

    async def take(self, pieces: AsyncIterator[bytes], *, length: int | None = None) -> None:
        """The next bytes, `length` of them if that was announced. What has come stays when the sender breaks off.

        Raises SeawayError: BAD_REQUEST for another length, TOO_LARGE, NO_SPACE.
        """
        end = None if length is None else self.offset + length
        async for piece in pieces:
            if end is not None and self.offset + len(piece) > end:
                raise bad_request(f"the chunk is longer than the {length} bytes that its Content-Range announces")
            await self._writer.write(piece)
        if end is not None and self.offset != end:
            raise bad_request(f"the chunk is shorter than the {length} bytes that its Content-Range announces")

    async def finish(self, digest: Digest) -> None:
        """Place the blob, durably. Raises WrongDigest, and then, as after any end, nothing is left of the upload."""
        async with self._stack:
            reach(Failpoint.UPLOAD_WRITTEN)
            actual = await self._writer.finish()
            if actual != digest:
                self._writer.finished = None
                raise WrongDigest(digest, actual)
        reach(Failpoint.UPLOAD_PLACED)

    async def cancel(self) -> None:
        """Remove what has come."""
        await self._stack.aclose()


class Uploads:
    """All uploads in progress, so many for each owner and no more in all."""

    def __init__(self, blobs: BlobStore, lease: Lease, now: Callable[[], float] = time.monotonic) -> None:
        """`lease` takes the blobs that are uploaded."""
        self._blobs = blobs
        self._lease = lease
        self._now = now
        self._open: dict[str, Upload] = {}
        self._opening: Counter[str] = Counter()

    async def begin(self, repository: str, owner: str) -> Upload:
        """A new upload; raises TooManyUploads."""
        self._check_room(owner)
        stack = AsyncExitStack()
        self._opening[owner] += 1
        try:
            writer = await stack.enter_async_context(self._blobs.writer(lease=self._lease))
        finally:
            self._opening -= Counter({owner: 1})
        assert writer is not None  # there is none only for a digest that is stored
        upload = Upload(repository, owner, writer, stack)
        self._open[upload.id] = upload
        upload.used = self._now()
        return upload

    def _check_room(self, owner: str) -> None:
        if len(self._open) + self._opening.total() >= MOST:
            raise TooManyUploads(f"{MOST} uploads are open, no more are taken: try again later")
        own = sum(upload.owner == owner for upload in self._open.values())
        if own + self._opening[owner] >= MOST_OF_ONE:
            raise TooManyUploads(f"you have {MOST_OF_ONE} uploads open, no more are taken: finish or cancel some")

    def find(self, upload: str, repository: str, owner: str) -> Upload:
        """One's own upload to this repository; raises SeawayError(NOT_FOUND)."""
        found = self._open.get(upload)
        if found is None or (found.repository, found.owner) != (repository, owner):
            raise not_found("the upload is not known: it was finished or cancelled, or waited too long; begin again")
        found.used = self._now()
        return found

    @asynccontextmanager
    async def using(self, upload: Upload) -> AsyncIterator[None]:
        """Take its turn. An upload whose bytes were refused, or can't be written, can't go on: it is cancelled.

        Raises SeawayError(NOT_FOUND) if it ended while this waited.
        """
        async with upload.turn:
            self.find(upload.id, upload.repository, upload.owner)
            try:
                yield
            except SeawayError:
                await self.cancel(upload)
                raise
            finally:
                upload.used = self._now()

    def close(self, upload: Upload) -> None:
        """Strike an upload that has ended, whichever way, or is about to."""
        self._open.pop(upload.id, None)

    async def cancel(self, upload: Upload) -> None:
        """Give it up, with what has come."""
        self.close(upload)
        await upload.cancel()

    async def expire(self, idle_s: float = IDLE_S) -> int:
        """Cancel those for which nothing came for so long; how many there were."""
        old = [one for one in self._open.values() if not one.turn.locked() and self._now() - one.used > idle_s]
        for upload in old:
            await self.cancel(upload)
        return len(old)

    async def cancel_of(self, owner: str) -> None:
        """Cancel all uploads of one owner that don't receive just now."""
        for upload in [one for one in self._open.values() if one.owner == owner and not one.turn.locked()]:
            await self.cancel(upload)
