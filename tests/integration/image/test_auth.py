"""Pulls over HTTPS with tokens and passwords, against Debian's docker-registry."""

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
from tests.integration.image.rig import SERVICE, TokenServer

from seaway_contracts.errors import SeawayError
from seaway_image.registry.credentials import Credentials
from seaway_image.registry.endpoints import RegistrySettings
from seaway_image.registry.login import login
from seaway_image.registry.transport import HttpTransport
from seaway_testing.ports import free_port

ANN = Credentials("ann", PASSWORD)
pytestmark = pytest.mark.usefixtures("names")
Trust = Callable[[str], Path]


async def refusal(puller: Any, name: str, credentials: Credentials | None = None) -> tuple[int, str]:
    with pytest.raises(SeawayError) as refused:
        await puller.pull(name, credentials)
    assert [path for path in puller.store.blobs.root.rglob("*") if path.is_file()] == []
    return refused.value.status, refused.value.message


async def test_a_user_pulls_what_is_private(guarded: str, authority: TokenServer, puller: Any, certs_d: Trust) -> None:
    made = await puller(certs_d(guarded) and certs_d(f"{HOST}:{authority.port}"))
    lines = await made.pull(f"{guarded}/private/thing:1", ANN)
    assert lines[-1] == f"Status: Downloaded newer image for {guarded}/private/thing:1"
    assert len((await made.store.get(f"{guarded}/private/thing:1")).layers) == 2
    assert authority.granted == [["repository:private/thing:pull"]]
    (asked,) = authority.asked
    assert (asked.query["service"], asked.query["account"]) == (SERVICE, "ann")
    assert asked.headers["Authorization"] == "Basic " + base64.b64encode(f"ann:{PASSWORD}".encode()).decode()


async def test_an_identity_token_is_exchanged(
    guarded: str, authority: TokenServer, puller: Any, certs_d: Trust
) -> None:
    made = await puller(certs_d(guarded) and certs_d(f"{HOST}:{authority.port}"))
    await made.pull(f"{guarded}/private/thing:1", Credentials(identity_token=authority.refresh))
    (asked,) = authority.asked
    assert asked.method == "POST" and "Authorization" not in asked.headers
    assert authority.granted == [["repository:private/thing:pull"]]


async def test_nobody_gets_a_token_for_what_is_public(
    guarded: str, authority: TokenServer, puller: Any, certs_d: Trust
) -> None:
    made = await puller(certs_d(guarded) and certs_d(f"{HOST}:{authority.port}"))
    await made.pull(f"{guarded}/public/thing:1")
    (asked,) = authority.asked
    assert "Authorization" not in asked.headers and "account" not in asked.query
    name = f"{guarded}/private/thing"
    assert (await made.store.get(f"{guarded}/public/thing:1")).repo_tags == (f"{guarded}/public/thing:1",)
    with pytest.raises(SeawayError) as refused:
        await made.pull(f"{name}:1")
    assert (refused.value.status, refused.value.message) == (
        404,
        f"pull access denied for {name}, repository does not exist or may require 'docker login': "
        "denied: requested access to the resource is denied",
    )


async def test_wrong_credentials_at_the_token_server(
    guarded: str, authority: TokenServer, puller: Any, certs_d: Trust
) -> None:
    made = await puller(certs_d(guarded) and certs_d(f"{HOST}:{authority.port}"))
    url = f"https://{guarded}/v2/private/thing/manifests/1"
    assert await refusal(made, f"{guarded}/private/thing:1", Credentials("ann", "wrong")) == (
        500,
        f'Get "{url}": unauthorized: incorrect username or password',
    )
    status, text = await refusal(made, f"{guarded}/private/thing:1", Credentials(identity_token="old"))
    assert (status, text) == (500, f'Get "{url}": unauthorized: authentication required')


async def test_passwords(passworded: str, puller: Any, certs_d: Trust) -> None:
    made, name = await puller(certs_d(passworded)), f"{passworded}/private/thing:1"
    url = f"https://{passworded}/v2/private/thing/manifests/1"
    assert await refusal(made, name) == (500, f'Get "{url}": no basic auth credentials')
    assert await refusal(made, name, Credentials("ann", "wrong")) == (500, "unauthorized: authentication required")
    assert (await made.pull(name, ANN))[-1] == f"Status: Downloaded newer image for {name}"


async def test_a_certificate_that_nobody_vouches_for(passworded: str, puller: Any, tmp_path: Path) -> None:
    made = await puller(tmp_path / "none")
    status, text = await refusal(made, f"{passworded}/private/thing:1", ANN)
    assert status == 503
    assert text.startswith(f'Get "https://{passworded}/v2/": tls: failed to verify certificate: x509: ')


async def test_an_insecure_registry_needs_no_ca(passworded: str, puller: Any) -> None:
    made = await puller(insecure=(passworded,))
    assert await made.pull(f"{passworded}/private/thing:1", ANN)


@asynccontextmanager
async def listener(challenge: str) -> AsyncIterator[tuple[int, list[web.BaseRequest]]]:
    """A registry on plain HTTP that asks for credentials, and what it was sent."""
    heard: list[web.BaseRequest] = []

    async def handle(request: web.BaseRequest) -> web.StreamResponse:
        heard.append(request)
        return web.Response(status=401, headers={"WWW-Authenticate": challenge})

    runner = web.ServerRunner(web.Server(handle))
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield runner.addresses[0][1], heard
    finally:
        await runner.cleanup()


@pytest.mark.parametrize("challenge", ['Basic realm="r"', 'Bearer realm="http://registry.test:1/token",service="s"'])
async def test_no_credentials_over_plain_http(puller: Any, challenge: str) -> None:
    async with listener(challenge) as (port, heard):
        made = await puller(insecure=(f"{HOST}:{port}",))
        for credentials in (ANN, Credentials(identity_token="i"), Credentials(registry_token="t")):
            await refusal(made, f"{HOST}:{port}/a:1", credentials)
    assert heard and not any("Authorization" in request.headers for request in heard)


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
        monkeypatch.setenv("no_proxy", HOST)
        again = await puller(certs_d(passworded))
        await again.pull(f"{passworded}/private/thing:1", ANN)
        assert proxy.heads == []


class Proxy:
    """A proxy that makes tunnels (RFC 9110 section 9.3.6), to the loopback wherever the name points."""

    def __init__(self) -> None:
        self.heads: list[str] = []
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
        port = int(head.split(" ")[1].rpartition(":")[2])
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", port)
        self._ends += [writer, far_writer]
        writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        await asyncio.gather(_copy(reader, far_writer), _copy(far_reader, writer))


async def _copy(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionError):
        while data := await source.read(1 << 16):
            target.write(data)
            await target.drain()
    target.close()


async def test_a_login_is_judged_by_the_registry(
    guarded: str, passworded: str, authority: TokenServer, certs_d: Trust
) -> None:
    for host in (guarded, passworded):
        certs_d(host)
    transport = HttpTransport(certificates=certs_d(f"{HOST}:{authority.port}"))
    await transport.open()
    try:
        await login(transport, RegistrySettings(), f"https://{guarded}", ANN)
        assert [asked.query.get("account") for asked in authority.asked] == ["ann"]
        with pytest.raises(SeawayError) as refused:
            await login(transport, RegistrySettings(), guarded, Credentials("ann", "wrong"))
        text = f'Get "https://{guarded}/v2/": unauthorized: incorrect username or password'
        assert (refused.value.status, refused.value.message) == (401, text)
        await login(transport, RegistrySettings(), passworded, ANN)
        with pytest.raises(SeawayError, match="unauthorized") as refused:
            await login(transport, RegistrySettings(), passworded, Credentials("ann", "wrong"))
        assert refused.value.status == 401
        with pytest.raises(SeawayError, match="connection refused") as refused:
            await login(transport, RegistrySettings(), f"127.0.0.1:{free_port()}", ANN)
        assert refused.value.status == 500
    finally:
        await transport.close()
