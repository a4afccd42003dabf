"""Clients that never send the head of a request are sent away; those that have sent one are not."""

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from aiohttp import web

from seaway_api.http.connection import HEAD_S, Connection, HttpServer
from seaway_testing.waiting import GUARD_S

_HEAD_S = 3.0  # a stopped machine must not make an honest client of these tests late
PING = b"GET /ping HTTP/1.1\r\nHost: d\r\n\r\n"
TUNNEL = b"POST /tunnel HTTP/1.1\r\nHost: d\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n"
SLOW = b"GET /slow HTTP/1.1\r\nHost: d\r\n\r\n"
Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Server:
    """An HTTP server on a unix socket; `/slow` answers once `finish` is set."""

    def __init__(self, path: Path) -> None:
        self.path = str(path)
        self.finish = asyncio.Event()
        self.http = HttpServer(self.answer, head_s=_HEAD_S, access_log=None)

    async def answer(self, request: web.BaseRequest) -> web.StreamResponse:
        connection = request.protocol
        assert isinstance(connection, Connection)
        if request.path == "/tunnel":
            tunnel = connection.take_over(b"HTTP/1.1 101 UPGRADED\r\n\r\n")
            while data := await tunnel.read():
                await tunnel.write(data)
            tunnel.close()
            return web.Response()
        if request.path == "/slow":
            await self.finish.wait()
        connection.answered()
        return web.Response(body=b"OK")

    async def connect(self, sent: bytes = b"") -> Streams:
        reader, writer = await asyncio.open_unix_connection(self.path)
        writer.write(sent)
        return reader, writer


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Server]:
    made = Server(tmp_path / "socket")
    listening = await asyncio.get_running_loop().create_unix_server(made.http, made.path)
    yield made
    listening.close()
    made.finish.set()
    await made.http.shutdown(1.0)


async def sent_away(client: Streams) -> bytes:
    """What it was answered before its connection ended."""
    async with asyncio.timeout(GUARD_S):
        return await client[0].read()


async def is_answered(client: Streams, sent: bytes = b"") -> bool:
    client[1].write(sent)
    async with asyncio.timeout(GUARD_S):
        await client[0].readuntil(b"\r\n\r\n")
        return await client[0].readexactly(2) == b"OK"


async def trickle(client: Streams, ended: Callable[[], bool]) -> None:
    """A byte of a head now and then, without an end."""
    while not ended():
        client[1].write(b"x")
        await asyncio.sleep(0.1)


async def test_who_sends_no_head_is_sent_away_and_nobody_else(server: Server) -> None:
    served = [await server.connect() for _ in range(2)]
    for client in served:
        assert await is_answered(client, PING)
    slow, tunnel = await server.connect(SLOW), await server.connect(TUNNEL)
    assert (await tunnel[0].readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 101")
    half, pipelined = await server.connect(PING[:-2]), await server.connect(PING + PING[:-2])
    silent, trickling = await server.connect(), await server.connect(PING[:-2])
    served[1][1].write(PING[:-2])  # the next request of a connection that has had one

    closed = [asyncio.ensure_future(sent_away(client)) for client in (silent, half, trickling, served[1])]
    closed.append(asyncio.ensure_future(_second_head(pipelined)))
    async with asyncio.TaskGroup() as group:
        group.create_task(trickle(trickling, closed[2].done))
        assert await asyncio.gather(*closed) == [b""] * len(closed)

    assert await is_answered(served[0], PING), "a connection between two requests was closed"
    tunnel[1].write(b"through")
    assert await tunnel[0].readexactly(7) == b"through"
    server.finish.set()
    assert await is_answered(slow)
    for client in (*served, slow, tunnel, half, pipelined, silent, trickling):
        client[1].close()


async def _second_head(client: Streams) -> bytes:
    """The first request is answered; then a byte shows that the next head is still on its way."""
    assert await is_answered(client)
    client[1].write(b"x")
    return await sent_away(client)


def test_the_time_for_a_head() -> None:
    assert HEAD_S == 30.0
