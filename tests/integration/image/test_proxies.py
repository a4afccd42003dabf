"""Registries by way of the proxy that the environment names."""

import asyncio
import base64
import contextlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from tests.integration.image.conftest import HOST, PASSWORD

from seaway_contracts.errors import SeawayError
from seaway_image.registry.credentials import Credentials
from seaway_testing.ports import free_port

ANN = Credentials("ann", PASSWORD)
pytestmark = pytest.mark.usefixtures("names")
Trust = Callable[[str], Path]


class Proxy:
    """A proxy that makes tunnels (RFC 9110 section 9.3.6), to the loopback wherever the name points.

    With `login` it asks for that user and password.
    """

    def __init__(self, login: str = "") -> None:
        self.heads: list[str] = []
        self._login = base64.b64encode(login.encode()).decode()
        self._ends: list[asyncio.StreamWriter] = []

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[int]:
        server = await asyncio.start_server(self._tunnel, "127.0.0.1", 0)
        try:
            yield server.sockets[0].getsockname()[1]
        finally:
            server.close()
            for end in self._ends:
                end.close()
            await server.wait_closed()

    async def _tunnel(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        self.heads.append(head)
        self._ends.append(writer)
        if self._login and f"Proxy-Authorization: Basic {self._login}\r\n" not in head:
            writer.write(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n")
            writer.close()
            return
        port = int(head.split(" ")[1].rpartition(":")[2])
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", port)
        self._ends.append(far_writer)
        writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        await asyncio.gather(_copy(reader, far_writer), _copy(far_reader, writer))


async def _copy(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionError):
        while data := await source.read(1 << 16):
            target.write(data)
            await target.drain()
    target.close()


async def refusal(made: Any, name: str) -> tuple[int, str]:
    with pytest.raises(SeawayError) as refused:
        await made.pull(name, ANN)
    return refused.value.status, refused.value.message


async def test_the_proxy_of_the_environment_is_used(
    passworded: str, puller: Any, certs_d: Trust, monkeypatch: pytest.MonkeyPatch
) -> None:
    proxy = Proxy()
    async with proxy.serving() as port:
        monkeypatch.setenv("https_proxy", f"http://127.0.0.1:{port}")
        monkeypatch.setenv("no_proxy", "")
        made = await puller(certs_d(passworded))
        await made.pull(f"{passworded}/private/thing:1", ANN)
        assert proxy.heads and all(head.startswith(f"CONNECT {passworded} ") for head in proxy.heads)
        assert "Authorization" not in "".join(proxy.heads)
        proxy.heads.clear()
        monkeypatch.setenv("no_proxy", f"other.test, {HOST.partition('.')[2]}")
        again = await puller(certs_d(passworded))
        await again.pull(f"{passworded}/private/thing:1", ANN)
        assert proxy.heads == []


async def test_credentials_of_the_proxy(
    passworded: str, puller: Any, certs_d: Trust, monkeypatch: pytest.MonkeyPatch
) -> None:
    proxy = Proxy("bob:s€cret@")
    name = f"{passworded}/private/thing:1"
    async with proxy.serving() as port:
        monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{port}")
        refused = await refusal(await puller(certs_d(passworded)), name)
        assert refused == (500, f'Get "https://{passworded}/v2/": Proxy Authentication Required')
        assert len(proxy.heads) == 1  # asking again would change nothing
        monkeypatch.setenv("HTTPS_PROXY", f"http://bob:s%E2%82%ACcret%40@127.0.0.1:{port}")
        made = await puller(certs_d(passworded))
        assert (await made.pull(name, ANN))[-1] == f"Status: Downloaded newer image for {name}"


async def test_plain_requests_tell_the_proxy_who_asks(
    puller: Any, names: dict[str, int | None], monkeypatch: pytest.MonkeyPatch
) -> None:
    heard: list[web.BaseRequest] = []

    async def handle(request: web.BaseRequest) -> web.StreamResponse:
        heard.append(request)
        return web.Response(status=404)

    runner = web.ServerRunner(web.Server(handle))
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        monkeypatch.setenv("HTTP_PROXY", f"http://bob:secret@127.0.0.1:{runner.addresses[0][1]}")
        names["registry-1.docker.io"] = 1
        made = await puller(mirrors=("http://mirror.test",))
        with pytest.raises(SeawayError):
            await made.pull("thing:1")
    finally:
        await runner.cleanup()
    assert heard[0].host == "mirror.test"
    assert heard[0].headers["Proxy-Authorization"] == "Basic " + base64.b64encode(b"bob:secret").decode()


async def test_a_proxy_that_is_away_or_unusable(
    passworded: str, puller: Any, certs_d: Trust, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone, name = f"127.0.0.1:{free_port()}", f"{passworded}/private/thing:1"
    monkeypatch.setenv("HTTPS_PROXY", f"http://bob:secret@{gone}")
    status, text = await refusal(await puller(certs_d(passworded)), name)
    words = f"proxyconnect tcp: dial tcp {gone}: connect: connection refused"
    assert (status, text) == (500, f'Get "https://{passworded}/v2/": {words}')
    monkeypatch.setenv("HTTPS_PROXY", f"socks5://bob:secret@{gone}")
    status, text = await refusal(await puller(certs_d(passworded)), name)
    assert status == 503 and "only http and https proxies can be used" in text and "secret" not in text
