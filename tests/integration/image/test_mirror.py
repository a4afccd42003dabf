"""`registry_mirror`: a registry's images by way of a mirror, and without it where it fails."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientSession, web
from tests.integration.image.conftest import HUB, PASSWORD
from tests.integration.image.rig import Certificates, docker_registry

from seaway_contracts.errors import SeawayError
from seaway_image.registry import session as registry_module
from seaway_image.registry.credentials import Credentials
from seaway_testing.ports import free_port


@pytest.fixture(scope="module")
def plain(storage: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with docker_registry(tmp_path_factory.mktemp("mirror"), free_port(), storage) as port:
        yield f"http://127.0.0.1:{port}"


@pytest.fixture
def hub(certificates: Certificates, storage: Path, tmp_path: Path, names: dict[str, int | None]) -> Iterator[str]:
    """Stands for Docker Hub under its own name."""
    with docker_registry(tmp_path, free_port(), storage, tls=certificates.tls) as port:
        names[HUB] = port
        yield HUB


class Mirror:
    """Passes requests on to a registry, notes them, and may refuse some."""

    def __init__(self, origin: str) -> None:
        self.origin = origin
        self.heard: list[web.BaseRequest] = []
        self.refuses: Callable[[str], int] = lambda _: 0
        self.spoils: Callable[[str, bytes], bytes] = lambda _, body: body
        self.cuts: Callable[[str], bool] = lambda _: False

    @contextlib.asynccontextmanager
    async def serving(self) -> AsyncIterator[str]:
        async with ClientSession() as session:

            async def handle(request: web.BaseRequest) -> web.StreamResponse:
                self.heard.append(request)
                if status := self.refuses(request.path):
                    return web.Response(status=status)
                async with session.get(
                    self.origin + request.path, headers={"Accept": request.headers["Accept"]}
                ) as got:
                    kept = {key: got.headers[key] for key in ("Content-Type",) if key in got.headers}
                    body = self.spoils(request.path, await got.read())
                    if self.cuts(request.path):
                        return await cut(request, body)
                    return web.Response(status=got.status, body=body, headers=kept)

            runner = web.ServerRunner(web.Server(handle))
            await runner.setup()
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            try:
                yield f"http://127.0.0.1:{runner.addresses[0][1]}"
            finally:
                await runner.cleanup()


async def cut(request: web.BaseRequest, body: bytes) -> web.StreamResponse:
    """Half of the body; then the connection ends."""
    response = web.StreamResponse(headers={"Content-Length": str(len(body))})
    await response.prepare(request)
    await response.write(body[: len(body) // 2])
    assert request.transport is not None
    request.transport.close()
    return response


@pytest.fixture
async def mirror(plain: str) -> AsyncIterator[tuple[Mirror, str]]:
    made = Mirror(plain)
    async with made.serving() as url:
        yield made, url


async def test_the_mirror_comes_first_and_sees_no_credentials(
    mirror: tuple[Mirror, str], puller: Any, names: dict[str, int | None]
) -> None:
    names[HUB] = 1  # nobody is there
    made = await puller(mirrors=(mirror[1],))
    lines = await made.pull("thing:1", Credentials("ann", "secret"))
    assert lines[0] == "Pulling from library/thing"
    assert lines[-1] == "Status: Downloaded newer image for thing:1"
    record = await made.store.get("thing:1")
    assert record.repo_tags == ("thing:1",)
    assert record.repo_digests[0].startswith("thing@sha256:")
    assert {request.path.split("/")[4] for request in mirror[0].heard} == {"manifests", "blobs"}
    assert not any("Authorization" in request.headers for request in mirror[0].heard)


@pytest.mark.parametrize("status", [404, 403, 401])
async def test_what_the_mirror_does_not_have_comes_from_the_hub(
    mirror: tuple[Mirror, str], hub: str, puller: Any, certs_d: Callable[[str], Path], status: int
) -> None:
    mirror[0].refuses = lambda _: status
    made = await puller(certs_d(hub), mirrors=(mirror[1],))
    assert (await made.pull("thing:1"))[-1] == "Status: Downloaded newer image for thing:1"
    assert len(mirror[0].heard) == 1


async def test_layers_that_the_mirror_lacks_come_from_the_hub(
    mirror: tuple[Mirror, str], hub: str, puller: Any, certs_d: Callable[[str], Path]
) -> None:
    mirror[0].refuses = lambda path: 404 if "/blobs/" in path else 0
    made = await puller(certs_d(hub), mirrors=(mirror[1],))
    assert (await made.pull("thing:1"))[-1] == "Status: Downloaded newer image for thing:1"
    assert any("/manifests/" in request.path for request in mirror[0].heard)


async def test_a_mirror_that_is_down_is_passed_over(
    mirror: tuple[Mirror, str], puller: Any, names: dict[str, int | None]
) -> None:
    names[HUB] = 1
    made = await puller(mirrors=(f"http://127.0.0.1:{free_port()}", mirror[1]))
    async with asyncio.timeout(20):
        assert (await made.pull("thing:1"))[-1] == "Status: Downloaded newer image for thing:1"


async def test_mirrors_are_for_the_hub_alone(mirror: tuple[Mirror, str], plain: str, puller: Any) -> None:
    made = await puller(mirrors=(mirror[1],))
    await made.pull(f"{plain.removeprefix('http://')}/library/thing:1")
    assert mirror[0].heard == []


async def test_another_registry_has_mirrors_of_its_own(
    mirror: tuple[Mirror, str], hub: str, passworded: str, puller: Any, certs_d: Callable[[str], Path]
) -> None:
    certs_d(hub)
    made = await puller(certs_d(passworded), mirrors=(f"{passworded}={mirror[1]}",))
    name = f"{passworded}/library/thing:1"
    assert (await made.pull(name, Credentials("ann", PASSWORD)))[-1] == f"Status: Downloaded newer image for {name}"
    assert mirror[0].heard and not any("Authorization" in request.headers for request in mirror[0].heard)
    mirror[0].heard.clear()
    await made.pull("thing:1")
    assert mirror[0].heard == []
    mirror[0].refuses = lambda _: 404
    other = f"{passworded}/private/thing:1"
    assert (await made.pull(other, Credentials("ann", PASSWORD)))[-1].startswith("Status: Downloaded newer image")
    assert not any("Authorization" in request.headers for request in mirror[0].heard)


async def test_a_mirror_that_ends_halfway_is_continued_by_the_registry(
    mirror: tuple[Mirror, str], hub: str, puller: Any, certs_d: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registry_module, "_BACKOFF_S", 0.001)
    mirror[0].cuts = lambda path: "/blobs/" in path
    made = await puller(certs_d(hub), mirrors=(mirror[1],))
    assert (await made.pull("thing:1"))[-1] == "Status: Downloaded newer image for thing:1"


@pytest.mark.parametrize("part", ["/manifests/", "/blobs/"])
async def test_a_mirror_that_lies_is_as_good_as_none(
    mirror: tuple[Mirror, str], hub: str, puller: Any, certs_d: Callable[[str], Path], part: str
) -> None:
    mirror[0].spoils = lambda path, body: bytes(len(body)) if part in path else body
    made = await puller(certs_d(hub), mirrors=(mirror[1],))
    assert (await made.pull("thing:1"))[-1] == "Status: Downloaded newer image for thing:1"


async def test_when_nobody_has_it_the_hub_is_heard(
    mirror: tuple[Mirror, str], hub: str, puller: Any, certs_d: Callable[[str], Path]
) -> None:
    made = await puller(certs_d(hub), mirrors=(mirror[1],))
    with pytest.raises(SeawayError) as refused:
        await made.pull("nothing:1")
    assert refused.value.message == "manifest for nothing:1 not found: manifest unknown: manifest unknown"
