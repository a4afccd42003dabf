"""The service's calls over the fake bus, with a registry on the loopback."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from seaway_bus.bus import Bus, Command
from seaway_bus.streams import ByteStream, new_stream_id
from seaway_contracts import catalogue
from seaway_contracts.archives import GrantCommit, ImageOrder
from seaway_contracts.base import Empty
from seaway_contracts.errors import Code, SeawayError
from seaway_contracts.images import (
    BlobEndpoint,
    ImageRef,
    ListImages,
    PullRequest,
    RemoveImage,
    TagRequest,
)
from seaway_contracts.lifecycle import Envelope
from seaway_image.archives.load import load
from seaway_image.http.access import Access
from seaway_image.http.registry import Registry
from seaway_image.registry.endpoints import RegistrySettings
from seaway_image.registry.pull import Pulls
from seaway_image.registry.transport import HttpTransport
from seaway_image.service import ImageService
from seaway_image.store.events import ImageEvents
from seaway_image.store.image_store import ImageStore
from seaway_kit.tasks import Tasks
from seaway_testing.fake_transport import FakeServer, FakeTransport
from seaway_testing.waiting import until

URL = "http://127.0.0.1:1"


@pytest.fixture
async def tasks() -> AsyncIterator[Tasks]:
    made = Tasks("test")
    yield made
    await made.close()


@pytest.fixture
def server() -> FakeServer:
    return FakeServer()


@pytest.fixture
def own(server: FakeServer) -> Bus:
    return Bus(FakeTransport(server))


@pytest.fixture
def events(own: Bus, tasks: Tasks) -> ImageEvents:
    return ImageEvents(sqlite3.connect(":memory:", isolation_level=None), own.transport, tasks, "n1")


@pytest.fixture
def store(tmp_path: Path, events: ImageEvents) -> ImageStore:
    made = ImageStore(tmp_path / "image", tell=events.tell)
    made.open()
    return made


@pytest.fixture
async def bus(server: FakeServer, store: ImageStore, tasks: Tasks, own: Bus, events: ImageEvents) -> AsyncIterator[Bus]:
    """A client's bus; the service answers on its own."""
    client = Bus(FakeTransport(server))
    await own.prepare()
    http = HttpTransport()
    await http.open()
    events.start()
    pulls = Pulls(store, http, RegistrySettings(), tasks)
    access = Access("t0k")
    registry_http = Registry(store, pulls, access)
    with registry_http.open():
        await ImageService(store, pulls, own, tasks, URL, access, registry_http).serve()
        yield client
    await http.close()
    await client.close()
    await own.close()


async def pull(bus: Bus, tasks: Tasks, ref: str, **fields: Any) -> bytes:
    async with ByteStream(bus.transport, new_stream_id(), "opening", tasks) as stream:
        request = PullRequest(ref=ref, stream=stream.id, **fields)
        await bus.call(catalogue.PULL_IMAGE, request)
        await bus.call(catalogue.PULL_IMAGE, request)
        got = b""
        while data := await stream.read():
            got += data
        await stream.end()
        return got


def envelopes(server: FakeServer) -> list[Envelope]:
    return [Envelope.from_headers(message.headers) for message in server.streams["SEAWAY_EVENTS"].messages]


def told(server: FakeServer) -> list[str]:
    subjects = [message.subject for message in server.streams["SEAWAY_EVENTS"].messages]
    return [".".join(subject.split(".")[4:6]) for subject in subjects]


async def test_pull_tag_list_remove(
    bus: Bus, server: FakeServer, tasks: Tasks, store: ImageStore, registry: Any, make_image: Callable[..., Any]
) -> None:
    image = make_image(b"1")
    registry.add(image, "latest")
    name = f"{registry.host}/a"
    lines = await pull(bus, tasks, name)
    assert lines.endswith(f'Status: Downloaded newer image for {name}:latest"}}\r\n'.encode())
    assert len(registry.asked("/manifests/")) == 1
    await bus.call(catalogue.TAG_IMAGE, TagRequest(source=name, target="mine:1"))
    listed = await bus.call(catalogue.LIST_IMAGES, ListImages())
    assert [record.repo_tags for record in listed.images] == [(f"{name}:latest", "mine:1")]
    got = await bus.call(catalogue.GET_IMAGE, ImageRef(ref="mine:1"))
    assert got == listed.images[0]
    command = Command.new()
    first = await bus.call(catalogue.REMOVE_IMAGE, RemoveImage(ref=image.id, force=True), command=command)
    again = await bus.call(catalogue.REMOVE_IMAGE, RemoveImage(ref=image.id, force=True), command=command)
    assert first == again
    assert [item.untagged for item in first.items][:2] == [f"{name}:latest", "mine:1"]
    assert list(store.blobs.digests()) == []
    await until(lambda: len(told(server)) == 6, what="six events")
    assert sorted(told(server)) == sorted(["image.pull", "image.tag", *["image.untag"] * 3, "image.delete"])


async def test_the_event_of_a_pull_tells_who_asked(
    bus: Bus, server: FakeServer, tasks: Tasks, registry: Any, make_image: Callable[..., Any]
) -> None:
    registry.add(make_image(b"1"), "latest")
    command = Command.new("uid:7")
    async with ByteStream(bus.transport, new_stream_id(), "opening", tasks) as stream:
        request = PullRequest(ref=f"{registry.host}/a", stream=stream.id)
        await bus.call(catalogue.PULL_IMAGE, request, command=command)
        while await stream.read():
            pass
        await stream.end()
    await until(lambda: told(server) == ["image.pull"])
    (envelope,) = envelopes(server)
    assert (envelope.cause, envelope.actor) == (command.id, "uid:7")


async def test_errors_come_through(bus: Bus, tasks: Tasks, registry: Any) -> None:
    with pytest.raises(SeawayError, match=r"No such image: nope:latest") as refused:
        await bus.call(catalogue.GET_IMAGE, ImageRef(ref="nope"))
    assert refused.value.code is Code.NOT_FOUND
    with pytest.raises(SeawayError, match="manifest unknown"):
        await pull(bus, tasks, f"{registry.host}/a")
    with pytest.raises(SeawayError, match="unknown operating system"):
        await pull(bus, tasks, "x", platform="foo")
    with pytest.raises(SeawayError, match="invalid reference format"):
        await pull(bus, tasks, "a b")


async def test_where_blobs_are(bus: Bus) -> None:
    assert await bus.call(catalogue.BLOB_ENDPOINT, Empty()) == BlobEndpoint(url=URL, token="t0k")
    first, other = [await bus.call(catalogue.NODE_BLOB_ENDPOINT, Empty(), node=node) for node in ("n7", "n8")]
    assert (first.url, other.url) == (URL, URL)
    assert len({"t0k", first.token, other.token}) == 3


async def test_a_commit_is_granted_in_the_name_of_whoever_commands_it(bus: Bus) -> None:
    order = ImageOrder(image="sha256:below", target="made:1", actor="uid:0", cause="another")
    request = GrantCommit(node="n7", order=order)
    granted = await bus.call(catalogue.GRANT_COMMIT, request, command=Command("c9", "uid:9"))
    assert granted.url == URL
    with pytest.raises(SeawayError, match="more than the"):
        large = request.model_copy(update={"order": order.model_copy(update={"comment": "x" * (600 << 10)})})
        await bus.call(catalogue.GRANT_COMMIT, large)


async def test_nodes_list_images(
    bus: Bus, store: ImageStore, make_image: Callable[..., Any], chunked: Callable[..., AsyncIterator[bytes]]
) -> None:
    await load(store, chunked(make_image(b"1").archive("a:1")))
    listed = await bus.call(catalogue.NODE_IMAGES, ListImages(), node="n7")
    assert [record.repo_tags for record in listed.images] == [("a:1",)]
    assert listed == await bus.call(catalogue.LIST_IMAGES, ListImages())


async def test_a_client_that_has_gone_ends_its_pull(
    bus: Bus, tasks: Tasks, store: ImageStore, registry: Any, make_image: Callable[..., Any]
) -> None:
    image = make_image(b"1")
    registry.add(image, "latest")
    reached, cut = asyncio.Event(), asyncio.Event()

    async def stalled(request: web.Request) -> None:
        if "/blobs/" in request.path:
            reached.set()
            await cut.wait()

    registry.before.append(stalled)
    async with ByteStream(bus.transport, new_stream_id(), "opening", tasks) as stream:
        await bus.call(catalogue.PULL_IMAGE, PullRequest(ref=f"{registry.host}/a", stream=stream.id))
        await reached.wait()
    await until(lambda: not any(task.get_name().startswith("test/pull") for task in asyncio.all_tasks()))
    cut.set()
    assert await store.all() == []
