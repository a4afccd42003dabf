"""The registries: ours, and Debian's docker-registry where it has what a test is about."""

import shutil
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest
from tests.conformance.registry.client import Client
from tests.integration.image.rig import docker_registry

from seaway_image.http.access import Access, Rights, may_push
from seaway_image.http.application import ImageHttp
from seaway_image.http.registry import Registry
from seaway_image.http.server import serve_http
from seaway_image.registry.endpoints import RegistrySettings
from seaway_image.registry.pull import Pulls
from seaway_image.registry.transport import HttpTransport
from seaway_image.store.image_store import ImageStore
from seaway_kit.tasks import Tasks
from seaway_testing.ports import free_port

LOGIN = ("ann", "secret")
OLDER = frozenset({"referrers", "tag deletion", "strict chunks", "strict manifests", "sorted tags"})
"""What docker-registry 2.8 hasn't: it is of the specification's version 1.0."""


async def _authorize(user: str, password: str) -> Rights | None:
    return may_push(user) if (user, password) == LOGIN else None


@asynccontextmanager
async def seaway_registry(root: Path) -> AsyncIterator[str]:
    """Our registry alone; nothing is pulled through, as nobody is where its mirror is."""
    store, tasks, transport = ImageStore(root), Tasks("test"), HttpTransport()
    store.open()
    await transport.open()
    nowhere = RegistrySettings(mirrors=("http://127.0.0.1:1",))
    access = Access("t0k", authorize=_authorize)
    registry = Registry(store, Pulls(store, transport, nowhere, tasks), access)
    application = ImageHttp(access, registry.routes()).application()
    with registry.open():
        async with serve_http(application, "127.0.0.1", 0) as port:
            yield f"http://127.0.0.1:{port}"
    await tasks.close()
    await transport.close()


@pytest.fixture(scope="module")
def debians(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    directory = tmp_path_factory.mktemp("registry")
    with docker_registry(directory, free_port(), directory / "data", deletable=True) as port:
        yield f"http://127.0.0.1:{port}"


@pytest.fixture(params=["seaway", "docker-registry"])
async def client(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Client]:
    async with aiohttp.ClientSession(headers={"Authorization": aiohttp.encode_basic_auth(*LOGIN)}) as session:
        if request.param == "seaway":
            async with seaway_registry(tmp_path) as url:
                yield Client(session, url)
            return
        if not shutil.which("docker-registry"):
            pytest.skip("docker-registry is missing")
        yield Client(session, request.getfixturevalue("debians"), OLDER)


@pytest.fixture
def name() -> str:
    """A repository that no other test has."""
    return f"conformance/{uuid.uuid4().hex}"


@pytest.fixture(autouse=True)
def _only_where_it_is_there(request: pytest.FixtureRequest) -> None:
    parts = {part for marker in request.node.iter_markers("part") for part in marker.args}
    if missing := parts & request.getfixturevalue("client").lacks:
        pytest.skip(f"this registry has no {', '.join(sorted(missing))}")
