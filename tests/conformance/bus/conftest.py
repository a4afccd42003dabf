"""The two message servers that the one suite runs on."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from seaway_bus.bus import Bus
from seaway_bus.transport import Transport
from seaway_testing.wire import FakeWire, NatsWire, Wire


@pytest.fixture(params=["fake", "nats"])
async def wire(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Wire]:
    made: Wire = FakeWire() if request.param == "fake" else NatsWire(tmp_path / "nats")
    yield made
    await made.close()


@pytest.fixture
async def transport(wire: Wire) -> Transport:
    return await wire.connect()


@pytest.fixture
async def other(wire: Wire) -> Transport:
    """A second connection."""
    return await wire.connect()


@pytest.fixture
async def client(transport: Transport) -> Bus:
    return Bus(transport)


@pytest.fixture
async def server(other: Transport) -> Bus:
    return Bus(other)
