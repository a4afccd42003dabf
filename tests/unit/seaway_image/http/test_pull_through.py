"""Whom the image service asks on behalf of people at `/v2/`."""

import asyncio
import base64
import socket
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pytest
import uvloop
from aiohttp import web

from seaway_docker.references import parse_reference
from seaway_image.http.access import Access, Rights, may_pull
from seaway_image.http.pull_through import PullThrough
from seaway_image.oci.digests import digest_of
from seaway_image.registry.pull import PARALLEL, PullOrder, Pulls
from seaway_image.store.image_changes import Cause, ImageChange
from seaway_image.store.image_store import ImageStore
from seaway_testing.waiting import until

SERVICES = {"Authorization": "Bearer t0k"}


@pytest.fixture
def reader(access: Access) -> dict[str, str]:
    async def authorize(user: str, password: str) -> Rights | None:
        return may_pull(user)

    access._authorize = authorize
    return {"Authorization": f"Basic {base64.b64encode(b'reader:secret').decode()}"}


@dataclass
class Listener:
    """Something else on this machine, and how often it was called."""

    port: int = 0
    calls: int = 0


@pytest.fixture
async def listener() -> AsyncIterator[Listener]:
    made = Listener()

    async def hang_up(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        made.calls += 1
        writer.close()

    server = await asyncio.start_server(hang_up, "127.0.0.1", 0)
    made.port = server.sockets[0].getsockname()[1]
    yield made
    server.close()


@pytest.fixture
def inside(monkeypatch: pytest.MonkeyPatch) -> str:
    """A name that resolves to this machine."""

    async def resolve(_: object, host: Any, port: Any, **options: Any) -> Any:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))]

    monkeypatch.setattr(uvloop.Loop, "getaddrinfo", resolve)
    return "inside.test"


@pytest.mark.parametrize("host", ["inside.test", "0.0.0.0", "127.0.0.1", "[::ffff:7f00:1]"])
async def test_a_pull_login_reaches_nothing_on_this_machine(
    client: Any, reader: dict[str, str], listener: Listener, inside: str, host: str
) -> None:
    """Not by another way to write its address, nor by a name that resolves to it."""
    refused = await client.get(f"/v2/{host}:{listener.port}/x/manifests/1", headers=reader)
    assert (refused.status, listener.calls) == (404, 0)


async def test_names_that_resolve_to_this_machine_are_for_services(
    client: Any, listener: Listener, inside: str
) -> None:
    await client.get(f"/v2/{inside}:{listener.port}/x/manifests/1", headers=SERVICES)
    assert listener.calls > 0


async def test_a_pull_is_told_in_the_name_of_who_asked(
    client: Any, registry: Any, make_image: Any, access: Access, heard: list[ImageChange]
) -> None:
    registry.add(make_image(), "1")
    token = access.build("localhost/x", Cause("c1", "uid:7"))
    got = await client.get(f"/v2/{registry.host}/base/manifests/1", headers={"Authorization": f"Bearer {token}"})
    assert got.status == 200
    assert [(one.action, one.cause, one.actor) for one in heard] == [("pull", "c1", "uid:7")]


async def test_a_registry_without_an_end_takes_no_place_of_other_pulls(
    registry: Any, pulls: Pulls, make_image: Any
) -> None:
    slow, image = make_image(*(bytes([n]) for n in range(6))), make_image(b"x")
    registry.add(slow, "slow")
    registry.add(image, "1")
    never, begun = asyncio.Event(), 0

    async def stall(request: web.Request) -> web.Response | None:
        nonlocal begun
        if request.path.rpartition("/")[2] in {digest_of(blob) for blob in slow.blobs}:
            begun += 1
            await never.wait()
        return None

    registry.before.append(stall)

    async def pull(tag: str, *, outside: bool) -> None:
        order = PullOrder(parse_reference(f"{registry.host}/base:{tag}"), outside=outside)
        async for _ in pulls.pull(order):
            pass

    stalled = asyncio.create_task(pull("slow", outside=True))
    try:
        await until(lambda: begun == PARALLEL, what="as many downloads as are allowed")
        async with asyncio.timeout(20):
            await pull("1", outside=False)
    finally:
        never.set()
        await stalled


async def test_a_pull_ends_with_who_asked_for_it(
    registry: Any, pulls: Pulls, make_image: Any, store: ImageStore
) -> None:
    registry.add(make_image(), "1")
    wanted = parse_reference(f"{registry.host}/base:1")
    rights = Rights("x", fetch=True, local=True)
    assert "nobody waits" in await PullThrough(pulls).pull(wanted, rights, lambda: True)
    await until(lambda: not pulls._running, what="no pull")
    assert store.table.tags == {}
    assert await PullThrough(pulls).pull(wanted, rights, lambda: False) == ""
