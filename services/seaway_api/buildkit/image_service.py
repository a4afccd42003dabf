"""The image service's `/v2/`, as builds read bases from it and write their results into it."""

import asyncio
from collections.abc import AsyncIterator, Coroutine, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

import aiohttp
import orjson

from seaway_bus.bus import Bus, Command
from seaway_contracts import catalogue as cat
from seaway_contracts.base import Empty
from seaway_contracts.builds import BASES, BUILT
from seaway_contracts.errors import Code, SeawayError, not_found, unavailable
from seaway_contracts.images import BlobEndpoint, GrantBuild, ImageRef, RevokeBuild, TagRequest
from seaway_docker.references import parse_reference
from seaway_kit import tls
from seaway_kit.tasks import Tasks, cancel

_TIMEOUT: Final = aiohttp.ClientTimeout(total=None, sock_connect=5)
_QUEUE: Final = 4
_MOST_MANIFEST: Final = 4 << 20
_MOST_ANSWER: Final = 65_536
_ANY: Final = f"{BUILT}any"
_CODES: Final = {
    400: Code.BAD_REQUEST,
    403: Code.FORBIDDEN,
    404: Code.NOT_FOUND,
    413: Code.TOO_LARGE,
    503: Code.UNAVAILABLE,
    507: Code.NO_SPACE,
}


class ImageService:
    """Its HTTP side, as one API process talks to it."""

    def __init__(self, bus: Bus, node: str, ca: Path | None = None) -> None:
        """`ca`: who has signed the image service's certificate, where it has one."""
        self._bus = bus
        self._node = node
        self._ca = ca
        self._session: aiohttp.ClientSession | None = None

    async def close(self) -> None:
        """Let go of all connections."""
        if self._session is not None:
            await self._session.close()

    def result(self, command: Command) -> "BuildResult":
        """A place for what one build makes, in the name of whoever commands it."""
        return BuildResult(self, self._bus, self._node, command)

    # --- reading

    async def manifest_of(self, identifier: str) -> str:
        """The digest of an image's manifest, by the image's id; raises SeawayError."""
        path = f"/v2/{BASES}{identifier.removeprefix('sha256:')}/manifests/latest"
        async with self.request("HEAD", path) as response:
            return str(response.headers["Docker-Content-Digest"])

    async def size(self, digest: str) -> int:
        """A blob's size in bytes; raises SeawayError(NOT_FOUND)."""
        async with self.request("HEAD", f"/v2/{_ANY}/blobs/{digest}") as response:
            return int(response.headers.get("Content-Length", 0))

    @asynccontextmanager
    async def open(self, digest: str, offset: int = 0, size: int = 0) -> AsyncIterator[aiohttp.StreamReader]:
        """A blob's bytes from `offset` on, `size` of them or all; raises SeawayError."""
        last = str(offset + size - 1) if size else ""
        headers = {"Range": f"bytes={offset}-{last}"} if offset or size else {}
        async with self.request("GET", f"/v2/{_ANY}/blobs/{digest}", headers=headers) as response:
            yield response.content

    @asynccontextmanager
    async def request(
        self,
        method: str,
        path: str,
        *,
        endpoint: BlobEndpoint | None = None,
        headers: dict[str, str] | None = None,
        data: "bytes | Body | None" = None,
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """An answer other than an error; raises SeawayError with the service's own sentence."""
        place = endpoint or await self._bus.call(cat.BLOB_ENDPOINT, Empty())
        sent = {"Authorization": f"Bearer {place.token}", **(headers or {})}
        url = place.url.rstrip("/") + path
        try:
            async with self._client().request(method, url, headers=sent, data=data) as response:
                if response.status >= 400:
                    raise _error(response.status, await response.content.read(_MOST_ANSWER))
                yield response
        except (aiohttp.ClientError, TimeoutError) as error:
            why = str(error) or type(error).__name__
            raise unavailable(f"the image service can't be reached at {place.url}: {why}; try again") from error

    def _client(self) -> aiohttp.ClientSession:
        if self._session is None:
            connector = aiohttp.TCPConnector(ssl=tls.trusting(self._ca) if self._ca else True, limit=0)
            self._session = aiohttp.ClientSession(connector=connector, timeout=_TIMEOUT, trust_env=False)
        return self._session


class BuildResult:
    """Where one build's image goes: a repository of its own, until the image has its names."""

    def __init__(self, service: ImageService, bus: Bus, node: str, command: Command) -> None:
        self._service = service
        self._bus = bus
        self._node = node
        self._command = command
        self._repository = f"{BUILT}{uuid4().hex}"
        self._endpoint: BlobEndpoint | None = None
        self._turn = asyncio.Lock()

    async def _place(self) -> BlobEndpoint:
        async with self._turn:
            if self._endpoint is None:
                request = GrantBuild(node=self._node, repository=self._repository)
                self._endpoint = await self._bus.call(cat.GRANT_BUILD, request, command=self._command)
            return self._endpoint

    async def close(self) -> None:
        """Give the place back."""
        if self._endpoint is not None:
            endpoint, self._endpoint = self._endpoint, None
            await self._bus.call(cat.REVOKE_BUILD, RevokeBuild(token=endpoint.token))

    async def has(self, digest: str) -> bool:
        """Whether a blob is there; it stays until the image is complete. Raises SeawayError."""
        try:
            async with self._service.request("HEAD", self._path(f"blobs/{digest}"), endpoint=await self._place()):
                return True
        except SeawayError as error:
            if error.code is not Code.NOT_FOUND:
                raise
            return False

    @asynccontextmanager
    async def upload(self, digest: str, tasks: Tasks) -> AsyncIterator["Upload"]:
        """Send one blob, which is there when `finish` has returned. Raises SeawayError."""
        upload = Upload(tasks, self._send(digest, body := Body()), body)
        try:
            yield upload
        finally:
            await upload.close()

    async def _send(self, digest: str, body: "Body") -> SeawayError | None:
        path = self._path(f"blobs/uploads/?digest={digest}")
        headers = {"Content-Type": "application/octet-stream"}
        try:
            async with self._service.request("POST", path, endpoint=await self._place(), headers=headers, data=body):
                return None
        except SeawayError as error:
            return error

    async def finish(self, manifest: str, names: Sequence[str]) -> str:
        """Make the image of this manifest, and give it its names; its id. Raises SeawayError."""
        async with self._service.request(
            "GET", self._path(f"blobs/{manifest}"), endpoint=await self._place()
        ) as response:
            data = await response.content.read(_MOST_MANIFEST)
            while piece := await response.content.read(_MOST_MANIFEST):
                data += piece
                if len(data) > _MOST_MANIFEST:
                    raise SeawayError(Code.TOO_LARGE, f"the image's manifest has more than {_MOST_MANIFEST} bytes")
        identifier = _image_of(data)
        await self._put(data)
        for name in names:
            command = Command.new(self._command.actor)  # one for each: a command that comes twice does its work once
            target = parse_reference(name).familiar
            await self._bus.call(cat.TAG_IMAGE, TagRequest(source=identifier, target=target), command=command)
        await self._bus.call(cat.GET_IMAGE, ImageRef(ref=identifier))
        return identifier

    async def _put(self, data: bytes) -> None:
        headers = {"Content-Type": str(orjson.loads(data).get("mediaType", ""))}
        path = self._path("manifests/latest")
        async with self._service.request("PUT", path, endpoint=await self._place(), headers=headers, data=data):
            pass

    def _path(self, rest: str) -> str:
        return f"/v2/{self._repository}/{rest}"


class Body:
    """The body of an upload, piece by piece. (No generator: nobody has to close it.)"""

    def __init__(self) -> None:
        self.pieces: asyncio.Queue[bytes] = asyncio.Queue(_QUEUE)

    def __aiter__(self) -> "Body":
        return self

    async def __anext__(self) -> bytes:
        piece = await self.pieces.get()
        if not piece:
            raise StopAsyncIteration
        return piece


class Upload:
    """A blob that is being sent."""

    def __init__(self, tasks: Tasks, sending: Coroutine[Any, Any, SeawayError | None], body: Body) -> None:
        """`sending` ends with what went wrong."""
        self._tasks = tasks
        self._body = body
        self._sending = tasks.spawn("upload", sending)

    async def write(self, data: bytes) -> None:
        """The next bytes. Raises SeawayError when the image service has refused the blob."""
        if data:
            await self._give(data)

    async def finish(self) -> None:
        """All has been written; wait until it is kept. Raises SeawayError."""
        await self._give(b"")
        if (error := await self._sending) is not None:
            raise error

    async def close(self) -> None:
        """Give up what is not finished."""
        await cancel(self._sending)

    async def _give(self, data: bytes) -> None:
        """Hand a piece on, unless nobody takes it any more."""
        giving = self._tasks.spawn("piece", self._body.pieces.put(data))
        await asyncio.wait((giving, self._sending), return_when=asyncio.FIRST_COMPLETED)
        if self._sending.done():
            await cancel(giving)
            if (error := self._sending.result()) is not None:
                raise error


def _image_of(manifest: bytes) -> str:
    """The id of a manifest's image."""
    try:
        document = orjson.loads(manifest)
        return str(document["config"]["digest"])
    except (orjson.JSONDecodeError, KeyError, TypeError):
        raise not_found("the builder has sent no image's manifest: it names no config") from None


def _error(status: int, body: bytes) -> SeawayError:
    """The image service's error."""
    try:
        said = str(orjson.loads(body)["message"])
    except (orjson.JSONDecodeError, KeyError, TypeError):
        said = body.decode("utf-8", "replace").strip() or f"the image service refused with status {status}"
    return SeawayError(_CODES.get(status, Code.INTERNAL), said)
