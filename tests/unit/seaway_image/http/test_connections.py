"""Connections that only hold their place stop nobody."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from aiohttp import web

from seaway_image.http.connections import Connections
from seaway_image.http.server import serve_http
from seaway_testing.waiting import until

HEAD = b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"


@asynccontextmanager
async def serving(connections: Connections, head_s: float = 60.0) -> AsyncIterator[int]:
    async def answer(_: web.Request) -> web.StreamResponse:
        return web.Response(text="here")

    app = web.Application()
    app.router.add_get("/", answer)
    async with serve_http(app, "127.0.0.1", 0, connections=connections, head_s=head_s) as port:
        yield port


async def asked(port: int) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(HEAD + b"\r\n")
    try:
        return await reader.read()
    finally:
        writer.close()


async def half_sent(port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(HEAD)
    return reader, writer


async def test_1000_half_sent_heads_stop_nobody() -> None:
    connections = Connections(most=200, most_of_one=100)
    async with serving(connections) as port:
        held = [await half_sent(port) for _ in range(1000)]
        assert (await asked(port)).endswith(b"here")
        await until(lambda: len(connections) <= 100, what="as many connections as are allowed")
        for _, writer in held:
            writer.close()


async def test_a_head_that_does_not_end_is_cut_off() -> None:
    connections = Connections()
    async with serving(connections, head_s=0.05) as port:
        reader, writer = await half_sent(port)
        with pytest.raises(ConnectionError):
            assert await reader.read() == b""
            raise ConnectionResetError
        assert len(connections) == 0
        writer.close()


async def test_whoever_has_asked_keeps_its_place() -> None:
    connections = Connections(most=2, most_of_one=2)
    async with serving(connections) as port:
        kept = [await asyncio.open_connection("127.0.0.1", port) for _ in range(2)]
        for reader, writer in kept:
            writer.write(HEAD.replace(b"close", b"keep-alive") + b"\r\n")
            assert await reader.readuntil(b"here")
        reader, writer = await half_sent(port)
        try:
            assert await reader.read() == b""
        except ConnectionError:
            pass
        for _, one in kept:
            one.write(HEAD + b"\r\n")
        assert all([(await one.read()).endswith(b"here") for one, _ in kept])
        for one in (writer, *(writer for _, writer in kept)):
            one.close()
