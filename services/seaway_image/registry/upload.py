"""One blob into one repository of a registry (OCI distribution spec 1.1, pushing): whole, in a stream or in chunks.

A registry says where to send, how much it has, and what it made of it; all of that is checked, and none of it believed.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Final, Protocol
from urllib.parse import quote, urlencode, urlsplit

from seaway_contracts.errors import Code, SeawayError
from seaway_image.oci.digests import Digest
from seaway_image.registry.endpoints import Endpoint, follow
from seaway_image.registry.push_plan import uploaded_range
from seaway_image.registry.refusals import Refusal
from seaway_image.registry.session import RegistrySession
from seaway_image.registry.transport import Broken, Response
from seaway_image.store.blobs import Blob, BlobStore

_CHUNK: Final = 16 << 20
_LARGEST_CHUNK: Final = 1 << 30
_TOO_LARGE: Final = 413
_CANCEL_S: Final = 2.0
_OCTETS: Final = {"Content-Type": "application/octet-stream"}


@dataclass(frozen=True)
class UploadTimeouts:
    """Bounds in seconds: `stall`: the registry takes nothing; `commit`: it has all and does not answer."""

    stall: float = 60.0
    commit: float = 300.0


class Content(Protocol):
    """The bytes of a blob. `blob` is None until all of them are there."""

    @property
    def blob(self) -> Blob | None:
        """Digest and size."""

    async def whole(self) -> Blob:
        """Wait until all of it is there; raises why it can't be."""

    def read(self, start: int, end: int | None = None) -> AsyncGenerator[bytes, None]:
        """From `start` to `end`, or to the last."""

    def raise_failure(self) -> None:
        """Raise why the content can't be read, if it can't."""


class StoredContent:
    """A blob of the store."""

    def __init__(self, blobs: BlobStore, blob: Blob) -> None:
        self._blobs = blobs
        self.blob: Blob | None = blob
        self._digest = blob.digest

    async def whole(self) -> Blob:
        """As `Content`."""
        assert self.blob is not None  # from the beginning
        return self.blob

    async def read(self, start: int, end: int | None = None) -> AsyncGenerator[bytes, None]:
        """As `Content`."""
        async for piece in self._blobs.read(self._digest, start, None if end is None else end - start):
            yield piece

    def raise_failure(self) -> None:
        """Nothing can fail but the disk, which the reader hears of."""


class Target:
    """A repository that blobs are pushed to, at the endpoint that answers."""

    def __init__(self, session: RegistrySession, endpoint: Endpoint, timeouts: UploadTimeouts) -> None:
        self.session = session
        self.endpoint = endpoint
        self.timeouts = timeouts

    async def holds(self, digest: Digest, size: int) -> bool:
        """Whether the repository has this blob, of that size; what can't be asked counts as no."""
        url = self.session.url(self.endpoint, f"blobs/{digest}")
        try:
            async with self.session.exchange(self.endpoint, "HEAD", url, {}, good=(200,)) as response:
                return response.headers.get("Content-Length", "") in ("", str(size))
        except Refusal:
            return False

    async def mount(self, digest: Digest, repository: str) -> str | None:
        """Take a blob over from another repository: None if that is done, else the upload that was opened instead."""
        async with self._opened({"mount": digest, "from": repository}, good=(201, 202)) as (response, place):
            return None if response.status == 201 else place

    async def begin(self) -> tuple[str, int]:
        """Open an upload: where, and the least size of chunks if the registry wants such, else 0."""
        async with self._opened({}, good=(202,)) as (response, place):
            wanted = response.headers.get("OCI-Chunk-Min-Length", "")
            is_size = wanted.isascii() and wanted.isdigit() and len(wanted) <= 12
            return place, min(max(int(wanted), _CHUNK), _LARGEST_CHUNK) if is_size else 0

    @asynccontextmanager
    async def _opened(self, query: dict[str, str], good: tuple[int, ...]) -> AsyncIterator[tuple[Response, str]]:
        url = self.session.url(self.endpoint, "blobs/uploads/") + (f"?{urlencode(query)}" if query else "")
        async with self.session.exchange(self.endpoint, "POST", url, {"Content-Length": "0"}, good=good) as response:
            yield response, self.location(response, url)

    async def cancel(self, place: str) -> None:
        """Give an upload up; nothing depends on it."""
        with suppress(SeawayError, Refusal, TimeoutError):
            async with (
                asyncio.timeout(_CANCEL_S),
                self.session.exchange(self.endpoint, "DELETE", place, {}, good=(200, 202, 204)),
            ):
                pass

    def location(self, response: Response, asked: str) -> str:
        """Where the registry wants the next request; raises SeawayError(FORBIDDEN) for a place that it can't mean."""
        given = response.headers.get("Location", "")
        return follow(self.endpoint, asked, given, "upload") if given else asked


class BlobUpload:
    """A blob on its way; each `attempt` goes on where the one before was cut off, if the registry can."""

    def __init__(self, target: Target, content: Content, progress: Callable[[int], None], place: str = "") -> None:
        """`place`: an upload that is open already. `progress` hears of the bytes that went out."""
        self._target = target
        self._content = content
        self._progress = progress
        self._place = place
        self._offset = 0
        self._chunk = 0
        self._failed = False

    async def attempt(self) -> Blob:
        """Send what is missing. Raises Refusal, Unreachable; SeawayError if the content can't be read or sent."""
        try:
            # Behind a failure by its size: a registry may have cut off a stream that was too long for it.
            blob = await self._content.whole() if self._failed else None
            if blob is not None and await self._target.holds(blob.digest, blob.size):
                return blob  # only the answer was lost
            await self._stand()
            return await self._send()
        except BaseException:
            self._failed = True
            self._content.raise_failure()
            raise

    async def give_up(self) -> None:
        """Tell the registry that no more will come."""
        if self._place:
            await self._target.cancel(self._place)

    async def _stand(self) -> None:
        """Find out how much the registry has, or begin."""
        if self._place and self._failed:
            try:
                async with self._exchange("GET", self._place, {}, (204,)) as response:
                    self._accept(response, self._place, None)
            except Refusal:
                self._place = ""
        if not self._place:
            self._offset = 0
            self._place, wanted = await self._target.begin()
            self._chunk = max(self._chunk, wanted)

    async def _send(self) -> Blob:
        if self._chunk:
            return await self._send_chunks(await self._content.whole())
        blob = self._content.blob
        if blob is not None and not self._offset:
            try:
                return await self._put(blob, whole=True)
            except Refusal as refusal:
                if refusal.status != _TOO_LARGE or blob.size <= _CHUNK:
                    raise
            self._chunk, self._place = _CHUNK, ""
            await self._stand()
            return await self._send_chunks(blob)
        if blob is None or self._offset < blob.size:
            await self._patch(blob.size if blob is not None else None)
        return await self._finish(await self._content.whole())

    async def _send_chunks(self, blob: Blob) -> Blob:
        """Each chunk must bring the registry further."""
        while self._offset < blob.size:
            before = self._offset
            await self._patch(min(before + self._chunk, blob.size))
            if self._offset <= before:
                self._place = ""
                raise Broken(f"upload of {blob.digest}: the registry stays at {before} bytes")
        return await self._finish(blob)

    async def _finish(self, blob: Blob) -> Blob:
        if self._offset != blob.size:
            raise Broken(f"upload of {blob.digest}: the registry has {self._offset} of {blob.size} bytes")
        return await self._put(blob, whole=False)

    async def _patch(self, end: int | None) -> None:
        """Send the bytes from the offset to `end`, or to the last."""
        headers, start = dict(_OCTETS), self._offset
        if end is not None:
            headers |= {"Content-Length": str(end - start), "Content-Range": f"{start}-{end - 1}"}
        async with self._exchange("PATCH", self._place, headers, (202, 204), (start, end)) as response:
            blob = self._content.blob
            self._accept(response, self._place, end if blob is None else end or blob.size)

    def _accept(self, response: Response, asked: str, sent: int | None) -> None:
        """How much the registry has, by its own word. It can't have more than was sent."""
        stated = response.headers.get("Range", "")
        have, blob = uploaded_range(stated), self._content.blob
        limit = sent if sent is not None else blob.size if blob is not None else None
        if have is None or (limit is not None and have > limit):
            self._place = ""
            raise Broken(f"upload: the registry claims to have the range {stated[:100]!r}, which was not sent")
        self._place, self._offset = self._target.location(response, asked), have

    async def _put(self, blob: Blob, *, whole: bool) -> Blob:
        """Finish, with all bytes in the request if `whole`."""
        url = self._place + ("&" if urlsplit(self._place).query else "?") + f"digest={quote(blob.digest, safe='')}"
        end = blob.size if whole else 0
        headers = _OCTETS | {"Content-Length": str(end)}
        async with self._exchange("PUT", url, headers, (201, 204), (0, end)) as response:
            stored = response.headers.get("Docker-Content-Digest", "")
            if stored and stored != blob.digest:
                text = f"the registry has stored {stored[:100]!r} where {blob.digest} was sent"
                raise SeawayError(Code.INTERNAL, text)
        return blob

    @asynccontextmanager
    async def _exchange(
        self,
        method: str,
        url: str,
        headers: dict[str, str],
        good: tuple[int, ...],
        span: tuple[int, int | None] = (0, 0),
    ) -> AsyncIterator[Response]:
        """An exchange with these bytes of the content. A registry that takes none of them for a while is given up."""
        target, times, has_body = self._target, self._target.timeouts, span[0] != span[1]
        try:
            async with asyncio.timeout(times.stall if has_body else times.commit) as limit:
                exchange = target.session.exchange(
                    target.endpoint,
                    method,
                    url,
                    headers,
                    good=good,
                    body=(lambda: self._pieces(span, limit)) if has_body else None,
                    patience=times.commit,
                )
                async with exchange as response:
                    yield response
        except TimeoutError:
            raise Broken(f'{method.capitalize()} "{url}": the registry takes no more bytes: i/o timeout') from None

    async def _pieces(self, span: tuple[int, int | None], limit: asyncio.Timeout) -> AsyncIterator[bytes]:
        at, end = span
        async with aclosing(self._content.read(at, end)) as pieces:
            async for piece in pieces:
                self._defer(limit, self._target.timeouts.stall)
                yield piece
                at += len(piece)
                self._progress(at)
        self._defer(limit, self._target.timeouts.commit)

    @staticmethod
    def _defer(limit: asyncio.Timeout, seconds: float) -> None:
        with suppress(RuntimeError):  # a registry may answer before it has all, and then the exchange is over
            limit.reschedule(asyncio.get_running_loop().time() + seconds)
