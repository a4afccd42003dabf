"""The whole HTTP side on a store of its own."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp.test_utils import TestClient, TestServer

from seaway_image.http.access import Access
from seaway_image.http.application import ImageHttp
from seaway_image.http.archives import ArchiveRoutes
from seaway_image.http.registry import Registry
from seaway_image.registry.endpoints import RegistrySettings
from seaway_image.registry.pull import Pulls
from seaway_image.registry.transport import HttpTransport
from seaway_image.store.image_store import ImageStore
from seaway_kit.tasks import Tasks


@pytest.fixture
def access() -> Access:
    return Access("t0k")


@pytest.fixture
async def pulls(store: ImageStore) -> AsyncIterator[Pulls]:
    tasks, transport = Tasks("test"), HttpTransport()
    await transport.open()
    yield Pulls(store, transport, RegistrySettings(mirrors=("http://127.0.0.1:1",)), tasks)
    await tasks.close()
    await transport.close()


@pytest.fixture
async def registry_http(store: ImageStore, access: Access, pulls: Pulls) -> AsyncIterator[Registry]:
    made = Registry(store, pulls, access)
    with made.open():
        yield made


@pytest.fixture
async def client(store: ImageStore, access: Access, registry_http: Registry) -> AsyncIterator[TestClient[Any, Any]]:
    http = ImageHttp(access, [*registry_http.routes(), *ArchiveRoutes(store, access).routes()])
    async with TestClient(TestServer(http.application())) as made:
        yield made
