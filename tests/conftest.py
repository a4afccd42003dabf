"""Fixtures that all tests share: a message server, real and fake, started only where a test asks for it."""

import asyncio
import gc
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path

import pytest
import uvloop
from hypothesis import HealthCheck, settings

from seaway_bus.bus import Bus
from seaway_bus.nats_transport import NatsTransport
from seaway_kit.tasks import Tasks
from seaway_testing import nats_server
from seaway_testing.clock import FakeClock
from seaway_testing.fake_transport import FakeServer, FakeTransport
from seaway_testing.nats_server import NatsServer

# A machine under load may stop for a second: that says nothing of what is tested.
settings.register_profile("seaway", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("seaway")


# Suites and services that tests start take any free ports, so that they run side by side.
os.environ["SEAWAY_METRICS_PORT"] = "0"
os.environ["SEAWAY_METRICS"] = "127.0.0.1:0"

uvloop.new_event_loop().close()  # which opens a pipe that stays, so that no test is charged with it
LoopFactory = Callable[[], asyncio.AbstractEventLoop]


def pytest_asyncio_loop_factories(item: pytest.Item) -> dict[str, LoopFactory]:
    """The loop that the services run on; what depends on it is tried on asyncio's own, too."""
    loops: dict[str, LoopFactory] = {"uvloop": uvloop.new_event_loop}
    if item.get_closest_marker("both_loops"):
        loops["asyncio"] = asyncio.new_event_loop
    return loops


def pytest_collection_finish() -> None:
    """What thousands of tests are made of stays to the end: the garbage collector need not look at it again."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def nats_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """One real nats-server for the whole run: use ids of your own, and leave it running."""
    server = _server(tmp_path_factory.mktemp("nats"))
    yield server.url
    server.stop()


@pytest.fixture
def nats(tmp_path: Path) -> Iterator[NatsServer]:
    """A real nats-server for one test, which may stop, kill and start it."""
    server = _server(tmp_path / "nats")
    yield server
    server.stop()


def _server(directory: Path) -> NatsServer:
    if not nats_server.available():
        pytest.fail("nats-server is not installed: ./dev test installs it")
    return NatsServer(directory).start()


@pytest.fixture
def clock() -> FakeClock:
    """A clock that moves only when told to."""
    return FakeClock()


@pytest.fixture
def fake_server() -> FakeServer:
    """An in-memory message server."""
    return FakeServer()


@pytest.fixture
async def fake_bus(fake_server: FakeServer) -> AsyncIterator[Bus]:
    """A prepared bus on the in-memory server."""
    bus = Bus(FakeTransport(fake_server))
    await bus.prepare()
    yield bus
    await bus.close()


@pytest.fixture
async def connect_bus(nats: NatsServer) -> AsyncIterator[Callable[[], Awaitable[Bus]]]:
    """Makes prepared buses on the test's own real server; they are closed at its end."""
    made: list[Bus] = []

    async def connect() -> Bus:
        bus = Bus(await NatsTransport.connect(nats.url, name="test"))
        made.append(bus)
        await bus.prepare()
        return bus

    yield connect
    for bus in made:
        await bus.close()


@pytest.fixture
async def tasks() -> AsyncIterator[Tasks]:
    """Tasks that end with the test."""
    owned = Tasks("test")
    yield owned
    await owned.close()
