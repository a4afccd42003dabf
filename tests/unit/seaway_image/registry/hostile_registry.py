"""A registry on the loopback that takes pushes as the distribution spec says, and misbehaves on order."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from aiohttp import web
from aiohttp.test_utils import TestServer

from seaway_image.oci.digests import digest_of

Handler = Callable[[web.Request], Awaitable[web.StreamResponse | None]]
_PIECE = 1 << 14


@dataclass
class Faults:
    """What is wrong with the registry.

    `drop_at`: for each body in turn, after how many bytes the connection is cut off (None: not). `forgets`: what was
    cut off is lost. `stall_at`: it takes no more behind that many bytes. `max_body`: larger ones are refused.
    `chunk_min`: the least size of chunks that it asks for. `ranges`, `digest`, `place`: what it says instead.
    `swallow`: it has the blob and cuts the connection off instead of saying so.
    """

    drop_at: list[int | None] = field(default_factory=list)
    forgets: bool = False
    stall_at: int | None = None
    max_body: int | None = None
    chunk_min: int = 0
    ranges: Callable[[int], str] = lambda have: f"0-{max(0, have - 1)}"
    digest: str = ""
    place: Callable[[str], str] = str
    swallow: bool = False
    mounts: bool = False


class HostileRegistry:
    """`before` may answer a request in its place; `bodies` are the spans of bytes that came, by request."""

    def __init__(self) -> None:
        self.faults = Faults()
        self.blobs: dict[str, bytes] = {}
        self.manifests: dict[str, bytes] = {}
        self.uploads: dict[str, bytearray] = {}
        self.requests: list[web.Request] = []
        self.bodies: list[tuple[str, int, int]] = []
        self.before: list[Handler] = []
        self.released = asyncio.Event()
        app = web.Application(client_max_size=0)
        app.router.add_route("*", "/{path:.*}", self._handle)
        self.server = TestServer(app)

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.server.port}"

    def methods(self, part: str = "") -> list[str]:
        """The methods of requests whose path has this part."""
        return [request.method for request in self.requests if part in request.path]

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        self.requests.append(request)
        for handler in list(self.before):
            if (answer := await handler(request)) is not None:
                return answer
        parts = request.path.removeprefix("/v2/").split("/")
        if parts[-3:-1] == ["blobs", "uploads"]:
            return await self._upload(request, parts[-1])
        if parts[-2:-1] == ["blobs"]:
            return self._blob(parts[-1])
        if parts[-2:-1] == ["manifests"] and request.method == "PUT":
            self.manifests[parts[-1]] = data = await request.read()
            return web.Response(status=201, headers={"Docker-Content-Digest": self.faults.digest or digest_of(data)})
        return web.Response(status=200 if parts == [""] else 404)

    def _blob(self, digest: str) -> web.Response:
        if digest not in self.blobs:
            return web.Response(status=404)
        return web.Response(body=self.blobs[digest], headers={"Docker-Content-Digest": digest})

    async def _upload(self, request: web.Request, name: str) -> web.StreamResponse:
        if request.method == "POST":
            if self.faults.mounts and request.query.get("mount") in self.blobs:
                return web.Response(status=201)
            name = uuid.uuid4().hex
            self.uploads[name] = bytearray()
            chunks = {"OCI-Chunk-Min-Length": str(self.faults.chunk_min)} if self.faults.chunk_min else {}
            return web.Response(status=202, headers=self._state(request, name) | chunks)
        if name not in self.uploads:
            return web.Response(status=404)
        if request.method == "DELETE":
            del self.uploads[name]
            return web.Response(status=204)
        if request.method == "GET":
            return web.Response(status=204, headers=self._state(request, name))
        if self.faults.max_body is not None and (request.content_length or 0) > self.faults.max_body:
            return web.Response(status=413)
        await self._take(request, name)
        if request.method == "PATCH":
            return web.Response(status=202, headers=self._state(request, name))
        return self._commit(request, name)

    def _state(self, request: web.Request, name: str) -> dict[str, str]:
        path = request.path.rpartition("/")[0]
        return {
            "Location": self.faults.place(f"{path}/{name}"),
            "Range": self.faults.ranges(len(self.uploads[name])),
        }

    async def _take(self, request: web.Request, name: str) -> None:
        upload = self.uploads[name]
        start = len(upload)
        drop_at = self.faults.drop_at.pop(0) if self.faults.drop_at and request.content_length != 0 else None
        try:
            async for piece in request.content.iter_chunked(_PIECE):
                upload += piece
                if drop_at is not None and len(upload) - start >= drop_at:
                    await self._cut(request)
                if self.faults.stall_at is not None and len(upload) - start >= self.faults.stall_at:
                    await self.released.wait()
        finally:
            self.bodies.append((request.method, start, len(upload)))
            if drop_at is not None and self.faults.forgets:
                del self.uploads[name]

    async def _cut(self, request: web.Request) -> None:
        assert request.transport is not None
        request.transport.abort()
        raise ConnectionResetError

    def _commit(self, request: web.Request, name: str) -> web.Response:
        data = bytes(self.uploads.pop(name))
        if digest_of(data) != request.query["digest"]:
            error = {"code": "DIGEST_INVALID", "message": "provided digest did not match uploaded content"}
            return web.json_response({"errors": [error]}, status=400)
        self.blobs[request.query["digest"]] = data
        if self.faults.swallow and request.transport is not None:
            self.faults.swallow = False
            request.transport.abort()
        stored = self.faults.digest or request.query["digest"]
        return web.Response(status=201, headers={"Docker-Content-Digest": stored})


@asynccontextmanager
async def hostile_registry() -> AsyncIterator[HostileRegistry]:
    """One that serves."""
    registry = HostileRegistry()
    await registry.server.start_server()
    try:
        yield registry
    finally:
        registry.released.set()
        await registry.server.close()


def refusing(part: str, status: int, times: int, method: str = "", **headers: str) -> Handler:
    """Refuses so many requests whose path has this part."""
    left = [times]

    async def handler(request: web.Request) -> web.Response | None:
        if part in request.path and method in ("", request.method) and left[0] > 0:
            left[0] -= 1
            return web.Response(status=status, headers={key.replace("_", "-"): text for key, text in headers.items()})
        return None

    return handler


def endless(part: str, status: int = 200, kind: str = "application/json") -> Handler:
    """Answers with a body that never ends."""

    async def handler(request: web.Request) -> web.StreamResponse | None:
        if part not in request.path:
            return None
        response = web.StreamResponse(status=status, headers={"Content-Type": kind})
        await response.prepare(request)
        while True:
            await response.write(b"[" * _PIECE)

    return handler
