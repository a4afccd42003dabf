"""Blobs and layers between a node and an image service that goes and comes back at another port."""

import asyncio
import secrets
from collections.abc import AsyncIterator
from contextlib import suppress

import pytest
from aiohttp import web

from seaway_agent.commands import blobs
from seaway_agent.commands.blobs import BlobClient
from seaway_bus.bus import Bus, Command
from seaway_contracts.archives import Committed
from seaway_contracts.base import Empty
from seaway_contracts.catalogue import NODE_BLOB_ENDPOINT
from seaway_contracts.errors import Code, SeawayError
from seaway_contracts.images import BlobEndpoint

_BLOB = secrets.token_bytes(3 << 20)
_DIGEST = "sha256:" + "5" * 64
_LAYER = [b"layer " * 1000, b"end"]


class Images:
    """What a node sees of the image service: a server that says where it is, and breaks off after `breaks_at` bytes.

    It takes `token` for blobs, and `granted` for an upload.
    """

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self._runner: web.AppRunner | None = None
        self._url = "http://127.0.0.1:1"
        self.token = "token"
        self.granted = "granted"
        self.breaks_at: int | None = None
        self.ranges: list[str] = []
        self.committed: list[bytes] = []

    async def announce(self) -> None:
        await self._bus.serve(NODE_BLOB_ENDPOINT, self._locate)

    async def start(self) -> None:
        """At a port of its own."""
        app = web.Application()
        app.add_routes([web.get("/v2/seaway/blobs/{digest}", self._blob), web.post("/commit", self._commit)])
        self._runner = web.AppRunner(app)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self._url = f"http://127.0.0.1:{self._runner.addresses[0][1]}"

    async def stop(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def _locate(self, _: Empty, command: Command) -> BlobEndpoint:
        assert command.node == "n1"
        return BlobEndpoint(url=self._url, token=self.token)

    def upload(self) -> BlobEndpoint:
        """Leave to send one layer."""
        return BlobEndpoint(url=self._url, token=self.granted)

    async def _blob(self, request: web.Request) -> web.StreamResponse:
        if request.headers["Authorization"] != f"Bearer {self.token}":
            return web.Response(status=401)
        self.ranges.append(request.headers.get("Range", ""))
        first = request.http_range.start or 0
        if request.match_info["digest"] != _DIGEST:
            return web.Response(status=404)
        response = web.StreamResponse(status=206 if first else 200)
        response.content_length = len(_BLOB) - first
        await response.prepare(request)
        await response.write(_BLOB[first : self.breaks_at])
        if self.breaks_at is not None and request.transport is not None:
            request.transport.close()
        return response

    async def _commit(self, request: web.Request) -> web.StreamResponse:
        if request.headers["Authorization"] != f"Bearer {self.granted}":
            return web.json_response({"message": "authentication required"}, status=401)
        self.committed.append(await request.read())
        return web.json_response(Committed(id=_DIGEST).model_dump())


@pytest.fixture
async def images(fake_bus: Bus) -> AsyncIterator[Images]:
    made = Images(fake_bus)
    await made.announce()
    await made.start()
    yield made
    await made.stop()


@pytest.fixture
async def client(fake_bus: Bus) -> AsyncIterator[BlobClient]:
    made = BlobClient(fake_bus, "n1")
    yield made
    await made.close()


async def fetched(client: BlobClient, digest: str = _DIGEST) -> bytes:
    return b"".join([piece async for piece in client.fetch(digest, len(_BLOB))])


async def layer() -> AsyncIterator[bytes]:
    for piece in _LAYER:
        yield piece


async def test_one_that_has_moved_is_found(client: BlobClient, images: Images) -> None:
    assert await fetched(client) == _BLOB
    await images.stop()
    await images.start()
    assert await fetched(client) == _BLOB


async def test_one_that_comes_later_is_waited_for(client: BlobClient, images: Images) -> None:
    await images.stop()
    waiting = asyncio.ensure_future(fetched(client))
    with suppress(TimeoutError):
        async with asyncio.timeout(0.2):
            await asyncio.shield(waiting)
    assert not waiting.done()
    await images.start()
    assert await waiting == _BLOB


async def test_a_token_whose_time_is_over_is_replaced(client: BlobClient, images: Images) -> None:
    assert await fetched(client) == _BLOB
    images.token = "next"
    assert await fetched(client) == _BLOB
    assert images.ranges == ["", ""]


async def test_the_rest_comes_with_the_next_token(client: BlobClient, images: Images) -> None:
    images.breaks_at = 1 << 20
    had = b""
    async for piece in client.fetch(_DIGEST, len(_BLOB)):
        had += piece
        if len(had) == images.breaks_at:
            images.token, images.breaks_at = "next", None
    assert had == _BLOB
    assert images.ranges == ["", f"bytes={1 << 20}-"]


async def test_a_layer_is_sent_where_it_was_granted(client: BlobClient, images: Images) -> None:
    assert (await client.commit(images.upload(), layer())).id == _DIGEST
    assert images.committed == [b"".join(_LAYER)]


async def test_without_its_grant_a_layer_is_refused(client: BlobClient, images: Images) -> None:
    """As by an image service that was started anew. Who asked may ask for a new grant."""
    upload = images.upload()
    images.granted = "another"
    with pytest.raises(SeawayError, match="authentication required") as refused:
        await client.commit(upload, layer())
    assert (refused.value.code, images.committed) == (Code.UNAVAILABLE, [])


async def test_the_rest_comes_from_the_next_one(client: BlobClient, images: Images) -> None:
    images.breaks_at = 1 << 20
    had = b""
    async for piece in client.fetch(_DIGEST, len(_BLOB)):
        had += piece
        if len(had) == images.breaks_at:
            await images.stop()
            images.breaks_at = None
            await images.start()
    assert had == _BLOB
    assert images.ranges == ["", f"bytes={1 << 20}-"]


async def test_nobody_waits_for_ever(client: BlobClient, images: Images, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blobs, "_PATIENCE_S", 0.2)
    await images.stop()
    with pytest.raises(SeawayError, match=f"blob {_DIGEST} can't be fetched from the image service: ") as fetch:
        await fetched(client)
    with pytest.raises(SeawayError, match="the layer can't be sent to the image service: ") as commit:
        await client.commit(images.upload(), layer())
    assert (fetch.value.code, commit.value.code) == (Code.UNAVAILABLE, Code.UNAVAILABLE)


async def test_what_is_not_there_is_said_at_once(client: BlobClient, images: Images) -> None:
    missing = "sha256:" + "0" * 64
    with pytest.raises(SeawayError, match=f"no blob {missing} any more; pull the image again"):
        await fetched(client, missing)
    assert images.ranges == [""]
