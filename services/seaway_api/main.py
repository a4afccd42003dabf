"""The API service as a process."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import cast

from seaway_api.api import Api
from seaway_api.blobs import ArchiveClient
from seaway_api.hub import Hub
from seaway_api.server import Running, serve
from seaway_api.settings import ApiSettings
from seaway_api.stats import StatsFeeds
from seaway_api.version import SERVER_VERSION
from seaway_kit.service import ServiceContext, run_service
from seaway_kit.settings import load_settings


@asynccontextmanager
async def running(context: ServiceContext) -> AsyncIterator[Running]:
    """The API on a bus: event feed first, so that the first request already sees every event."""
    hub = Hub(context.bus.transport, context.tasks, context.bus.absence)
    await context.bus.prepared()
    if context.bus.doors is not None:
        await context.bus.doors.open()
    await hub.start()
    archives = ArchiveClient(context.bus, context.settings.nats_ca)
    try:
        feeds = StatsFeeds(context.bus, context.tasks)
        api = Api(cast(ApiSettings, context.settings), context.bus, hub, context.tasks, archives, feeds)
        await context.bus.announce("api", SERVER_VERSION)
        async with serve(api) as server:
            yield server
    finally:
        await archives.close()
        await hub.close()


@asynccontextmanager
async def build(context: ServiceContext) -> AsyncIterator[None]:
    """What the shell enters and leaves."""
    async with running(context) as server:
        context.hosts.extend(server.hosts)
        yield


def run(settings: ApiSettings) -> int:
    """Run the service until it is told to end; its exit code."""
    return run_service("api", settings, build)


def main(argv: Sequence[str] | None = None) -> int:
    """`seaway-api`"""
    return run(load_settings(ApiSettings, argv, prog="seaway-api"))
