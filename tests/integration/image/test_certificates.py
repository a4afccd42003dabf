"""`certs.d`: CAs and client certificates of registries, against Debian's docker-registry that asks for one."""

import shutil
import ssl
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from tests.integration.image.conftest import HOST, HUB
from tests.integration.image.rig import Certificates, docker_registry, openssl

from seaway_contracts.errors import SeawayError
from seaway_testing.ports import free_port

pytestmark = pytest.mark.usefixtures("names")
Trust = Callable[[str], Path]
NEEDED = "remote error: tls: certificate required"


@pytest.fixture(scope="module")
def mutual(certificates: Certificates, storage: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A registry that lets in who has a certificate by its CA."""
    tls: dict[str, Any] = certificates.tls | {"clientcas": [str(certificates.ca)]}
    with docker_registry(tmp_path_factory.mktemp("mutual"), free_port(), storage, tls=tls) as port:
        yield f"{HOST}:{port}"


async def refusal(made: Any, name: str) -> tuple[int, str]:
    with pytest.raises(SeawayError) as refused:
        await made.pull(name)
    return refused.value.status, refused.value.message


async def test_what_is_put_there_counts_from_then_on(
    mutual: str, certificates: Certificates, puller: Any, certs_d: Trust
) -> None:
    directory, name = certs_d(mutual) / mutual, f"{mutual}/public/thing:1"
    made = await puller(directory.parent)
    status, text = await refusal(made, name)
    assert (status, text) == (500, f'Get "https://{mutual}/v2/": {NEEDED}')
    certificates.give_client(directory)
    assert (await made.pull(name))[-1] == f"Status: Downloaded newer image for {name}"
    (directory / "client.key").unlink()
    words = "missing key client.key for client certificate client.cert. CA certificates must use the extension .crt"
    assert await refusal(made, name) == (400, words)
    (directory / "client.cert").rename(directory / "other.key")
    assert await refusal(made, name) == (400, "missing client certificate other.cert for key other.key")
    (directory / "other.key").unlink()
    assert (await refusal(made, name))[1].endswith(NEEDED)
    certificates.give_client(directory, "again")
    assert (await made.pull(name))[-1] == f"Status: Image is up to date for {name}"
    (directory / "ca.crt").unlink()
    assert "tls: failed to verify certificate: x509" in (await refusal(made, name))[1]


async def test_a_key_of_another_certificate(
    mutual: str, certificates: Certificates, puller: Any, certs_d: Trust
) -> None:
    directory = certs_d(mutual) / mutual
    certificates.give_client(directory)
    shutil.copy(certificates.directory / "server.key", directory / "client.key")
    status, text = await refusal(await puller(directory.parent), f"{mutual}/public/thing:1")
    cert = directory / "client.cert"
    assert (status, text) == (500, f"client certificate {cert}: tls: private key does not match public key")


async def test_a_key_with_a_password_asks_nobody(
    mutual: str, certificates: Certificates, puller: Any, certs_d: Trust
) -> None:
    directory = certs_d(mutual) / mutual
    certificates.give_client(directory)
    locked = ("pkey", "-in", certificates.directory / "client.key", "-aes256", "-passout", "pass:x")
    (directory / "client.key").write_bytes(openssl(*locked))
    status, text = await refusal(await puller(directory.parent), f"{mutual}/public/thing:1")
    assert status == 500 and "without a password" in text


@pytest.fixture
async def elsewhere(certificates: Certificates) -> AsyncIterator[tuple[int, list[bool]]]:
    """A host that asks for a certificate, and notes whether it got one."""
    shown: list[bool] = []

    async def handle(request: web.BaseRequest) -> web.StreamResponse:
        assert request.transport is not None
        shown.append(bool(request.transport.get_extra_info("peercert")))
        return web.Response(status=404)

    context = certificates.context
    context.load_verify_locations(certificates.ca)
    context.verify_mode = ssl.CERT_OPTIONAL
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT  # as other programs' servers
    runner = web.ServerRunner(web.Server(handle))
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context).start()
    yield runner.addresses[0][1], shown
    await runner.cleanup()


@pytest.mark.parametrize("host", [HOST, HUB])
async def test_hosts_that_a_registry_names_are_shown_no_certificate(
    certificates: Certificates,
    elsewhere: tuple[int, list[bool]],
    puller: Any,
    certs_d: Trust,
    host: str,
    names: dict[str, int | None],
) -> None:
    """Neither the registry's own nor one that lies ready for them: nobody but the user sends it there."""
    port, shown = elsewhere

    async def redirect(_: web.BaseRequest) -> web.StreamResponse:
        return web.Response(status=307, headers={"Location": f"https://{host}:{port}/x"})

    runner = web.ServerRunner(web.Server(redirect))
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=certificates.context).start()
    try:
        registry = f"{HOST}:{runner.addresses[0][1]}"
        for name in (registry, f"{host}:{port}"):
            certificates.give_client(certs_d(name) / name)
        made = await puller(certs_d(registry))
        status, text = await refusal(made, f"{registry}/public/thing:1")
        if host == HOST:
            assert (status, shown) == (404, [False])
        else:  # a name that leads to this machine, where only the user may point
            assert (status, shown) == (500, []) and "where no registry may be" in text
        await refusal(made, f"{host}:{port}/public/thing:1")
        assert shown[-1:] == [True]
        await refusal(made, f"{registry}/public/thing:1")
        assert shown.count(True) == 1
    finally:
        await runner.cleanup()
