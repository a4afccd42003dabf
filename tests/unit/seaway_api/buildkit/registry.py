"""A stand-in for the image service's `/v2/`: blobs and manifests in memory, and its calls on the bus."""

import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from aiohttp import web

from seaway_bus.bus import Bus, Command
from seaway_contracts import catalogue as cat
from seaway_contracts.base import Empty
from seaway_contracts.errors import not_found
from seaway_contracts.images import BlobEndpoint, GrantBuild, ImageRecord, ImageRef, RevokeBuild, TagRequest
from seaway_testing import builders


def digest_of(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


@dataclass
class Registry:
    """What it holds, and what it was asked. `url` is known once it serves."""

    blobs: dict[str, bytes] = field(default_factory=dict)
    manifests: list[bytes] = field(default_factory=list)
    tags: list[tuple[str, str]] = field(default_factory=list)
    uploads: int = 0
    open_grants: int = 0
    url: str = ""

    def put(self, data: bytes) -> str:
        """Hold a blob; its digest."""
        self.blobs[digest_of(data)] = data
        return digest_of(data)

    # --- HTTP

    async def _blob(self, request: web.Request) -> web.StreamResponse:
        data = self.blobs.get(request.match_info["digest"])
        if data is None:
            return web.json_response({"message": "no such blob"}, status=404)
        part = request.http_range
        data = data[part]
        if request.method == "HEAD":
            return web.Response(headers={"Content-Length": str(len(data))})
        return web.Response(body=data, status=206 if "Range" in request.headers else 200)

    async def _upload(self, request: web.Request) -> web.StreamResponse:
        self.uploads += 1
        data = await request.read()
        if digest_of(data) != request.query["digest"]:
            return web.json_response({"message": "the blob is not what its digest says"}, status=400)
        self.put(data)
        return web.Response(status=201)

    async def _manifest(self, request: web.Request) -> web.StreamResponse:
        self.manifests.append(await request.read())
        return web.Response(status=201)

    # --- the bus

    async def _endpoint(self, _: Empty, __: Command) -> BlobEndpoint:
        return BlobEndpoint(url=self.url, token="all")

    async def _grant(self, _: GrantBuild, __: Command) -> BlobEndpoint:
        self.open_grants += 1
        return BlobEndpoint(url=self.url, token="one")

    async def _revoke(self, _: RevokeBuild, __: Command) -> Empty:
        self.open_grants -= 1
        return Empty()

    async def _tag(self, asked: TagRequest, _: Command) -> ImageRecord:
        self.tags.append((asked.source, asked.target))
        return builders.image()

    async def _image(self, asked: ImageRef, _: Command) -> ImageRecord:
        if not self.manifests:
            raise not_found("no such image")
        return builders.image()

    async def serve_bus(self, bus: Bus) -> None:
        await bus.serve(cat.BLOB_ENDPOINT, self._endpoint)
        await bus.serve(cat.GRANT_BUILD, self._grant)
        await bus.serve(cat.REVOKE_BUILD, self._revoke)
        await bus.serve(cat.TAG_IMAGE, self._tag)
        await bus.serve(cat.GET_IMAGE, self._image)

    def routes(self) -> list[web.RouteDef]:
        prefix = "/v2/{name:.+}"
        return [
            web.get(prefix + "/blobs/{digest}", self._blob),
            web.post(prefix + "/blobs/uploads/", self._upload),
            web.put(prefix + "/manifests/{tag}", self._manifest),
        ]


@asynccontextmanager
async def registry(bus: Bus) -> AsyncIterator[Registry]:
    """One that serves on loopback and on the bus."""
    one, application = Registry(), web.Application(client_max_size=64 << 20)
    application.router.add_routes(one.routes())
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    one.url = "http://{}:{}".format(*runner.addresses[0][:2])
    await one.serve_bus(bus)
    try:
        yield one
    finally:
        await runner.cleanup()
