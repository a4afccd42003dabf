"""Whom the image service asks on behalf of people at `/v2/`."""

import asyncio
import base64
import socket
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pytest
import uvloop

from seaway_image.http.access import Access, Rights, may_pull
from seaway_image.store.image_changes import Cause, ImageChange

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
