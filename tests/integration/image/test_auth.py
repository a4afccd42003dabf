"""Pulls over HTTPS with tokens and passwords, against Debian's docker-registry."""

import base64
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
    assert status == 500
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
