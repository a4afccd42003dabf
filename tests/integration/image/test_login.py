"""`docker login`: the registry judges, and its token server may give an identity token for later."""

from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from tests.integration.image.conftest import HOST, PASSWORD
from tests.integration.image.rig import TokenServer

from seaway_contracts.errors import SeawayError
from seaway_image.registry.credentials import Credentials
from seaway_image.registry.endpoints import RegistrySettings
from seaway_image.registry.login import login
from seaway_image.registry.transport import HttpTransport
from seaway_testing.ports import free_port

ANN = Credentials("ann", PASSWORD)
pytestmark = pytest.mark.usefixtures("names")
Trust = Callable[[str], Path]


@pytest.fixture
async def transport(
    guarded: str, passworded: str, authority: TokenServer, certs_d: Trust
) -> AsyncIterator[HttpTransport]:
    for host in (guarded, passworded):
        certs_d(host)
    made = HttpTransport(certificates=certs_d(f"{HOST}:{authority.port}"))
    await made.open()
    yield made
    await made.close()


async def refusal(transport: HttpTransport, address: str, credentials: Credentials) -> tuple[int, str]:
    with pytest.raises(SeawayError) as refused:
        await login(transport, RegistrySettings(), address, credentials)
    return refused.value.status, refused.value.message


async def test_a_login_is_judged_by_the_registry(
    guarded: str, passworded: str, authority: TokenServer, transport: HttpTransport
) -> None:
    await login(transport, RegistrySettings(), f"https://{guarded}", ANN)
    assert [asked.query.get("account") for asked in authority.asked] == ["ann"]
    text = f'Get "https://{guarded}/v2/": unauthorized: incorrect username or password'
    assert await refusal(transport, guarded, Credentials("ann", "wrong")) == (401, text)
    assert await login(transport, RegistrySettings(), passworded, ANN) == ""
    status, text = await refusal(transport, passworded, Credentials("ann", "wrong"))
    assert status == 401 and "unauthorized" in text
    status, text = await refusal(transport, f"127.0.0.1:{free_port()}", ANN)
    assert status == 500 and "connection refused" in text


async def test_an_identity_token_takes_the_passwords_place(
    guarded: str, authority: TokenServer, transport: HttpTransport, puller: Any, certs_d: Trust
) -> None:
    identity = await login(transport, RegistrySettings(), guarded, ANN)
    assert identity == authority.refresh
    assert authority.asked[0].query["offline_token"] == "true"
    assert await login(transport, RegistrySettings(), guarded, Credentials("ann", identity_token=identity)) == identity
    assert authority.asked[1].method == "POST"
    made = await puller(certs_d(guarded))
    await made.pull(f"{guarded}/private/thing:1", Credentials("ann", identity_token=identity))
    assert {asked.method for asked in authority.asked[1:]} == {"POST"}
    assert not any("Authorization" in asked.headers for asked in authority.asked[1:])


async def test_a_newer_identity_token_is_handed_on(
    guarded: str, authority: TokenServer, transport: HttpTransport, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(authority, "rotates", "another")
    found = await login(transport, RegistrySettings(), guarded, Credentials("ann", identity_token=authority.refresh))
    assert found == "another"


async def test_an_identity_token_that_is_no_longer_good(
    guarded: str, authority: TokenServer, transport: HttpTransport
) -> None:
    status, text = await refusal(transport, guarded, Credentials("ann", identity_token="old"))
    assert (status, text) == (401, f'Get "https://{guarded}/v2/": unauthorized: authentication required')


async def test_a_registry_without_tokens_takes_no_identity(passworded: str, transport: HttpTransport) -> None:
    status, text = await refusal(transport, passworded, Credentials("ann", identity_token="x"))
    assert (status, text) == (401, f'Get "https://{passworded}/v2/": no basic auth credentials')


async def test_a_pull_asks_for_no_identity_token(
    guarded: str, authority: TokenServer, puller: Any, certs_d: Trust
) -> None:
    made = await puller(certs_d(guarded) and certs_d(f"{HOST}:{authority.port}"))
    await made.pull(f"{guarded}/private/thing:1", ANN)
    assert "offline_token" not in authority.asked[0].query


async def test_a_registry_token_is_used_as_it_is(
    guarded: str, authority: TokenServer, certificates: Any, puller: Any, certs_d: Trust
) -> None:
    name, access = f"{guarded}/private/thing:1", {"type": "repository", "name": "private/thing", "actions": ["pull"]}
    made = await puller(certs_d(guarded))
    await made.pull(name, Credentials(registry_token=authority.token("ann", [access])))
    assert authority.asked == []
