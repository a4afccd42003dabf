"""The way from a Docker client's request through the API and the image service to a registry."""

import base64
import gzip
import json
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from tests.integration.image.conftest import HOST, PASSWORD
from tests.integration.image.rig import TokenServer, write_archive

from seaway_api.api import Api
from seaway_api.cache.hub import Hub
from seaway_api.cache.stats_feeds import StatsFeeds
from seaway_api.http.archive_client import ArchiveClient
from seaway_api.service import serve
from seaway_api.settings import ApiSettings
from seaway_bus.bus import Bus
from seaway_image.http.access import Access
from seaway_image.http.application import ImageHttp
from seaway_image.http.archives import ArchiveRoutes
from seaway_image.http.registry import Registry
from seaway_image.service import ImageService
from seaway_kit.tasks import Tasks
from seaway_testing.fake_transport import FakeServer, FakeTransport
from seaway_testing.packing import tar_of

pytestmark = pytest.mark.usefixtures("names")


@pytest.fixture
async def docker(tmp_path: Path, puller: Any, certs_d: Callable[[str], Path]) -> AsyncIterator[Any]:
    """Both services on a bus in memory; gives a function that makes them trust hosts and returns a client."""
    server = FakeServer()
    async with AsyncExitStack() as stack:

        async def start(*trusted: str) -> aiohttp.ClientSession:
            made = await puller([certs_d(host) for host in trusted][-1] if trusted else None)
            own, bus, tasks = Bus(FakeTransport(server)), Bus(FakeTransport(server)), Tasks("test")
            await own.prepare()
            access = Access("t0k")
            registry = Registry(made.store, made.pulls, access)
            stack.enter_context(registry.open())
            routes = [*registry.routes(), *ArchiveRoutes(made.store, access).routes()]
            runner = web.AppRunner(ImageHttp(access, routes).application())
            await runner.setup()
            stack.push_async_callback(runner.cleanup)
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            url = f"http://127.0.0.1:{runner.addresses[0][1]}"
            await ImageService(made.store, made.pulls, own, tasks, url, access, registry).serve()
            stack.push_async_callback(own.close)
            stack.push_async_callback(bus.close)
            stack.push_async_callback(tasks.close)
            hub, archives = Hub(bus.transport, tasks), ArchiveClient(bus)
            await hub.start()
            stack.push_async_callback(hub.close)
            stack.push_async_callback(archives.close)
            settings = ApiSettings(run=tmp_path, root=tmp_path, node="n1", socket_group="nobody-has-this-group")
            await stack.enter_async_context(serve(Api(settings, bus, hub, tasks, archives, StatsFeeds(bus, tasks))))
            connector = aiohttp.UnixConnector(str(tmp_path / "docker.sock"))
            return await stack.enter_async_context(aiohttp.ClientSession("http://docker", connector=connector))

        yield start


def login(**fields: str) -> dict[str, str]:
    """What `docker pull` sends after `docker login`."""
    return {"X-Registry-Auth": base64.urlsafe_b64encode(json.dumps(fields).encode()).decode()}


async def answer(response: aiohttp.ClientResponse) -> tuple[int, list[dict[str, Any]]]:
    return response.status, [json.loads(line) for line in (await response.read()).splitlines()]


async def test_a_login_reaches_the_registry(guarded: str, authority: TokenServer, docker: Any) -> None:
    client = await docker(guarded, f"{HOST}:{authority.port}")
    path = f"/v1.45/images/create?fromImage={guarded}/private/thing&tag=1"
    status, lines = await answer(await client.post(path))
    assert status == 404
    assert lines[0]["message"].startswith(f"pull access denied for {guarded}/private/thing, ")
    status, lines = await answer(await client.post(path, headers=login(username="ann", password="wrong")))
    assert (status, lines[0]["message"].partition('": ')[2]) == (500, "unauthorized: incorrect username or password")
    good = login(username="ann", password=PASSWORD, serveraddress=guarded)
    status, lines = await answer(await client.post(path, headers=good))
    assert status == 200
    assert lines[0] == {"status": "Pulling from private/thing", "id": "1"}
    assert lines[-1] == {"status": f"Status: Downloaded newer image for {guarded}/private/thing:1"}
    _, shown = await answer(await client.get("/v1.45/images/json"))
    assert shown[0][0]["RepoTags"] == [f"{guarded}/private/thing:1"]


async def test_load_tells_its_layers_when_asked(docker: Any, tmp_path: Path) -> None:
    client = await docker()
    archive = write_archive(tmp_path / "thing.tar").read_bytes()
    for query, layers in (("", []), ("?quiet=1", []), ("?quiet=0", ["0", "1"])):
        status, lines = await answer(await client.post(f"/images/load{query}", data=archive))
        assert status == 200
        assert [line["id"] for line in lines if line.get("status") == "Loading layer"] == layers
        assert lines[-1] == {"stream": "Loaded image: thing:1\n"}


@pytest.mark.parametrize("query", ["", "?quiet=0"])
async def test_load_says_in_the_stream_what_is_wrong(docker: Any, tmp_path: Path, query: str) -> None:
    client = await docker()
    whole = write_archive(tmp_path / "thing.tar").read_bytes()
    for data, words in (
        (b"rubbish" * 500, "no tar"),
        (tar_of({"x": b"1"}), "holds no image"),
        (whole[: len(whole) - 200_000], "truncated"),
        (gzip.compress(whole)[:-100_000], "truncated"),
    ):
        status, lines = await answer(await client.post(f"/images/load{query}", data=data))
        assert status == 200
        assert words in lines[-1]["error"] and lines[-1]["errorDetail"]["message"] == lines[-1]["error"]
    assert await (await client.get("/v1.45/images/json?all=1")).json() == []


async def test_sizes_are_those_of_the_files(docker: Any, tmp_path: Path) -> None:
    client = await docker()
    await client.post("/images/load", data=write_archive(tmp_path / "thing.tar").read_bytes())
    history = await (await client.get("/images/thing:1/history")).json()
    assert [step["Size"] for step in history] == [500_000, 2_000_000]
    image = await (await client.get("/images/thing:1/json")).json()
    assert (image["Size"], image["GraphDriver"]) == (2_500_000, {"Data": {}, "Name": "overlay2"})
