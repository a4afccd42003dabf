"""Registries with certificates and passwords, and a puller that finds them by name."""

import shutil
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import uvloop
from aiohttp import web
from tests.integration.image.rig import (
    Certificates,
    TokenServer,
    bcrypt,
    docker_registry,
    push,
    write_archive,
)

from seaway_docker.references import parse_reference
from seaway_image.registry.credentials import Credentials
from seaway_image.registry.endpoints import RegistrySettings
from seaway_image.registry.pull import PullOrder, Pulls
from seaway_image.registry.transport import HttpTransport
from seaway_image.store.image_store import ImageStore
from seaway_kit.tasks import Tasks
from seaway_testing.ports import free_port

HUB = "registry-1.docker.io"
HOST = "registry.test"
PASSWORD = "pässword"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    missing = [name for name in ("docker-registry", "skopeo", "openssl", "perl") if shutil.which(name) is None]
    for item in items:
        if missing and here in item.path.parents:
            item.add_marker(pytest.mark.skip(reason=f"{', '.join(missing)} missing"))


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return Certificates.make(tmp_path_factory.mktemp("certificates"), HOST, HUB)


@pytest.fixture(scope="session")
def storage(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the registries serve: `thing` in three repositories, put there without any guard."""
    directory = tmp_path_factory.mktemp("storage")
    archive = write_archive(directory / "thing.tar")
    with docker_registry(directory, free_port(), directory / "data") as port:
        for name in ("private/thing", "public/thing", "library/thing"):
            push(f"docker-archive:{archive}", f"127.0.0.1:{port}/{name}:1")
    return directory / "data"


@pytest.fixture(scope="module")
def tokens(certificates: Certificates) -> TokenServer:
    return TokenServer(certificates, free_port())


@pytest.fixture(scope="module")
def guarded(
    tokens: TokenServer, certificates: Certificates, storage: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    """A registry behind TLS that wants a bearer token for everything."""
    auth, directory = tokens.auth(HOST), tmp_path_factory.mktemp("guarded")
    with docker_registry(directory, free_port(), storage, tls=certificates.tls, auth=auth) as port:
        yield f"{HOST}:{port}"


@pytest.fixture(scope="module")
def passworded(certificates: Certificates, storage: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A registry behind TLS with user and password (Basic)."""
    directory = tmp_path_factory.mktemp("passworded")
    (directory / "users").write_text(f"ann:{bcrypt(PASSWORD)}\n")
    auth = {"htpasswd": {"realm": "r", "path": str(directory / "users")}}
    with docker_registry(directory, free_port(), storage, tls=certificates.tls, auth=auth) as port:
        yield f"{HOST}:{port}"


@pytest.fixture
async def authority(tokens: TokenServer) -> AsyncIterator[TokenServer]:
    """The token server, at work."""
    tokens.asked.clear()
    tokens.granted.clear()
    runner = web.AppRunner(tokens.application)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", tokens.port, ssl_context=tokens.certificates.context).start()
    yield tokens
    await runner.cleanup()


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> dict[str, int | None]:
    """Hosts that resolve to the loopback, and the port that stands for 443 there."""
    known: dict[str, int | None] = {HOST: None, HUB: None}

    async def resolve(_: object, host: Any, port: Any, **options: Any) -> Any:
        if host not in known:
            return socket.getaddrinfo(host, port, **options)
        place = ("127.0.0.1", known[host] or port)
        return [(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", place)]

    monkeypatch.setattr(uvloop.Loop, "getaddrinfo", resolve)
    return known


@pytest.fixture
def certs_d(certificates: Certificates, tmp_path: Path) -> Callable[[str], Path]:
    """Makes `certs.d` trust the CA for one more host."""

    def trust(host: str) -> Path:
        directory = tmp_path / "certs.d" / host
        directory.mkdir(parents=True, exist_ok=True)
        shutil.copy(certificates.ca, directory / "ca.crt")
        return directory.parent

    return trust


@dataclass
class Puller:
    """Pulls as the image service does."""

    store: ImageStore
    pulls: Pulls
    lines: list[str] = field(default_factory=list)

    async def pull(self, name: str, credentials: Credentials | None = None) -> list[str]:
        order = PullOrder(parse_reference(name), None, credentials or Credentials())
        return [progress.status async for progress in self.pulls.pull(order)]


@pytest.fixture
async def puller(tmp_path: Path) -> AsyncIterator[Callable[..., Any]]:
    """Makes pullers: `await puller(certs, mirrors=…, insecure=…)`."""
    async with AsyncExitStack() as stack:

        async def make(certificates: Path | None = None, **settings: tuple[str, ...]) -> Puller:
            store, tasks = ImageStore(tmp_path / "image"), Tasks("test")
            store.open()
            transport = HttpTransport(certificates=certificates)
            await transport.open()
            stack.push_async_callback(transport.close)
            stack.push_async_callback(tasks.close)
            return Puller(store, Pulls(store, transport, RegistrySettings(**settings), tasks))

        yield make
