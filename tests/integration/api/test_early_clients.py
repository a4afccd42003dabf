"""Clients that come while the API can't hear the bus yet: a real server that is away, the API as a process."""

import asyncio
import http.client
import json
import re
import signal
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
from tests.integration.forked import Forked

from seaway_bus.bus import Bus
from seaway_testing.nats_server import NatsServer
from seaway_testing.waiting import until

_PATIENT_S = 20.0


@pytest.fixture
async def away(nats: NatsServer, connect_bus: Callable[[], Awaitable[Bus]]) -> NatsServer:
    """A server that knows Seaway's streams, and is down."""
    await (await connect_bus()).close()
    nats.stop()
    return nats


@pytest.fixture
async def path(away: NatsServer, tmp_path: Path) -> AsyncIterator[Path]:
    """Where the API listens."""
    places = ["--root", f"{tmp_path}/root", "--run", f"{tmp_path}/run", "--host", f"unix://{tmp_path}/docker.sock"]
    service = Forked("seaway_api.main", ["--nats", away.url, *places], tmp_path / "api.log")
    try:
        await until((tmp_path / "docker.sock").exists, _PATIENT_S, "its socket")
        yield tmp_path / "docker.sock"
    finally:
        service.send_signal(signal.SIGTERM)
        assert service.wait(_PATIENT_S) == 0, (tmp_path / "api.log").read_text()


def asked(path: Path, method: str, target: str) -> http.client.HTTPConnection:
    """A connection with a request on its way."""
    connection = http.client.HTTPConnection("localhost")
    connection.sock = socket.socket(socket.AF_UNIX)
    connection.sock.settimeout(_PATIENT_S)
    connection.sock.connect(str(path))
    connection.request(method, target)
    return connection


async def answer(connection: http.client.HTTPConnection) -> tuple[int, bytes]:
    """What it gets, in the end."""
    try:
        reply = await asyncio.to_thread(connection.getresponse)
        return reply.status, await asyncio.to_thread(reply.read)
    finally:
        connection.close()


async def test_they_are_told_why_nothing_can_be_asked(path: Path, away: NatsServer) -> None:
    waiting = [asked(path, "GET", "/containers/json"), asked(path, "POST", "/containers/create?name=early")]
    assert await answer(asked(path, "GET", "/_ping")) == (200, b"OK")
    assert (await answer(asked(path, "GET", "/version")))[0] == 200
    status, body = await answer(asked(path, "GET", "/info"))
    absent = rf"the bus is away: .*no NATS server answers at 127\.0\.0\.1:{away.port} "
    assert status == 200 and re.match(f"WARNING: {absent}", json.loads(body)["Warnings"][-1]), body
    for connection in waiting:
        status, body = await answer(connection)
        assert status == 503 and re.match(f"{absent}.*; try again when it is back$", json.loads(body)["message"]), body


async def test_what_they_asked_is_answered_when_it_is_back(path: Path, away: NatsServer) -> None:
    waiting = [asked(path, "GET", "/events?since=0&until=1") for _ in range(3)]
    away.start()
    for connection in waiting:
        assert await answer(connection) == (200, b"")
