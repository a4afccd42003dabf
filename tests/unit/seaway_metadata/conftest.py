"""A copy of metadata on the in-memory bus."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from seaway_bus.bus import Bus
from seaway_kit.tasks import Tasks
from seaway_metadata.service import Metadata, running
from seaway_metadata.settings import MetadataSettings
from seaway_testing.fake_transport import FakeServer, FakeTransport


@pytest.fixture
async def metadata(fake_server: FakeServer, tmp_path: Path) -> AsyncIterator[Metadata]:
    bus = Bus(FakeTransport(fake_server))
    async with running(bus, Tasks("metadata"), MetadataSettings(root=tmp_path)) as service:
        yield service
    await bus.close()


@pytest.fixture
async def other_bus(metadata: Metadata, fake_server: FakeServer, tmp_path: Path) -> AsyncIterator[Bus]:
    """The bus of a second copy."""
    bus = Bus(FakeTransport(fake_server))
    async with running(bus, Tasks("other"), MetadataSettings(root=tmp_path / "other")):
        yield bus
    await bus.close()


@pytest.fixture
async def other(metadata: Metadata, fake_server: FakeServer, tmp_path: Path) -> AsyncIterator[Metadata]:
    """A second copy."""
    bus = Bus(FakeTransport(fake_server))
    async with running(bus, Tasks("other"), MetadataSettings(root=tmp_path / "other")) as service:
        yield service
    await bus.close()
