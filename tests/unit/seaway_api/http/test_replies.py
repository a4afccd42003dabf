"""Answers of JSON: sent at once or in aiohttp's way, they are the same to a client."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

import pytest
from aiohttp import web

from seaway_api.http import replies
from seaway_testing.waiting import until

BODY: Final = b'{"a": 1}\n'
_TURNS: Final = 1000
LARGE: Final = b"[" + b"1," * 40_000 + b"1]"


class Server:
    """Answers each request in both ways, by its path: `/plain` in aiohttp's."""

    def __init__(self, socket: Path) -> None:
        self.answered = 0
        self.status, self.body = 200, BODY
        self.headers: dict[str, str] = {}
        self.closes = False
        self._socket = socket
        self._transport: asyncio.Transport | None = None

    async def serve(self) -> asyncio.Server:
        http = web.Server(self._handle)  # type: ignore[arg-type]
        return await asyncio.get_running_loop().create_unix_server(http, str(self._socket))

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        self.answered += 1
        self._transport = request.transport
        made = replies.json_bytes(self.body, self.status)
        if request.path == "/plain":
            made = web.Response(body=self.body, status=self.status, headers=made.headers)
        made.headers.update(self.headers)
        if self.closes:
            made.force_close()
        return made

    def unsent(self) -> int:
        """How much of the last answers the client has not taken."""
        return self._transport.get_write_buffer_size() if self._transport is not None else 0

    async def raw(self, method: str, path: str, version: str = "1.1", *lines: str) -> bytes:
        """All that comes as an answer to one request, and to a last one behind it where the connection lives on."""
        reader, writer = await asyncio.open_unix_connection(str(self._socket))
        lives_on = version == "1.1" if not lines or "Connection" not in lines[0] else "keep-alive" in lines[0]
        last = f"GET {path} HTTP/1.1\r\nHost: d\r\nConnection: close\r\n\r\n" if lives_on else ""
        head = "".join(f"{line}\r\n" for line in ("Host: d", *lines))
        writer.write(f"{method} {path} HTTP/{version}\r\n{head}\r\n{last}".encode())
        got = await reader.read()
        writer.close()
        return got


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Server]:
    made = Server(tmp_path / "s")
    serving = await made.serve()
    yield made
    serving.close()


def without_order(raw: bytes) -> list[object]:
    """Each part between empty lines, in which the order of lines says nothing."""
    return [sorted(line for line in part.split(b"\r\n") if b"Date: " not in line) for part in raw.split(b"\r\n\r\n")]


@pytest.mark.parametrize(
    ("method", "version", "lines"),
    [
        ("GET", "1.1", ()),
        ("POST", "1.1", ("Content-Length: 0",)),
        ("HEAD", "1.1", ()),
        ("GET", "1.1", ("Connection: close",)),
        ("GET", "1.0", ()),
        ("GET", "1.0", ("Connection: keep-alive",)),
    ],
)
@pytest.mark.parametrize("status", [200, 201, 404])
@pytest.mark.parametrize("body", [BODY, b"", LARGE], ids=["short", "none", "large"])
async def test_it_is_the_same_both_ways(
    server: Server, method: str, version: str, lines: tuple[str, ...], status: int, body: bytes
) -> None:
    server.status, server.body = status, body
    plain, sent = [await server.raw(method, path, version, *lines) for path in ("/plain", "/")]
    assert without_order(sent) == without_order(plain)
    assert sent.count(b"Date: ") == plain.count(b"Date: ") == server.answered // 2


async def test_what_was_added_to_it_is_sent(server: Server) -> None:
    server.headers = {"X-More": "yes"}
    assert (await server.raw("GET", "/")).count(b"\r\nX-More: yes\r\n") == 2


async def test_one_that_is_to_be_the_last_is(server: Server) -> None:
    server.closes = True
    answer = await server.raw("GET", "/")
    assert b"\r\nConnection: close\r\n" in answer
    assert server.answered == answer.count(b"HTTP/1.1 200 OK") == 1


async def test_a_client_that_reads_nothing_is_asked_nothing_more(server: Server, tmp_path: Path) -> None:
    """Its answers would pile up here."""
    server.body = b"x" * 60_000
    reader, writer = await asyncio.open_unix_connection(str(tmp_path / "s"), limit=1 << 16)
    writer.write(b"GET / HTTP/1.1\r\nHost: d\r\n\r\n" * 400 + b"GET / HTTP/1.1\r\nHost: d\r\nConnection: close\r\n\r\n")
    await until(lambda: server.unsent() > 0, what="a connection that takes no more")
    for _ in range(_TURNS):  # all that there is to be done is done in this loop
        await asyncio.sleep(0)
    assert 0 < server.answered < 100
    size = 0
    while piece := await reader.read(1 << 20):
        size += len(piece)
    assert server.answered == 401
    assert size > 401 * 60_000
    writer.close()
