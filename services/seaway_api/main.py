"""The API service as a process."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import cast

from seaway_api.api import Api
from seaway_api.blobs import ArchiveClient
from seaway_api.hub import Hub
from seaway_api.lists import learn_places
from seaway_api.server import serve
from seaway_api.settings import ApiSettings
from seaway_api.stats import StatsFeeds
from seaway_contracts.version import VERSION
from seaway_kit.listeners import Listener
from seaway_kit.service import ServiceContext, run_service
from seaway_kit.settings import load_settings


@asynccontextmanager
async def build(context: ServiceContext, lent: Sequence[Listener]) -> AsyncIterator[None]:
    """What the shell enters and leaves. Clients may come before the bus is there; they are answered when it is."""
    hub = Hub(context.bus.transport, context.tasks, context.bus.absence)
    archives = ArchiveClient(context.bus, context.settings.nats_ca)
    try:
        feeds = StatsFeeds(context.bus, context.tasks)
        begun = asyncio.Event()
        api = Api(cast(ApiSettings, context.settings), context.bus, hub, context.tasks, archives, feeds, begun=begun)
        async with serve(api, lent):
            await _begin(context, hub)
            begun.set()
            yield
    finally:
        await archives.close()
        await hub.close()


async def _begin(context: ServiceContext, hub: Hub) -> None:
    """Event feed first, so that the first request already sees every event."""
    await context.joined
    await context.bus.prepared()
    if context.bus.doors is not None:
        await context.bus.doors.open()
    await hub.start()
    context.tasks.spawn("places", learn_places(context.bus, hub))
    await context.bus.announce("api", VERSION)


def run(settings: ApiSettings, lent: Sequence[Listener] = ()) -> int:
    """Run the service until it is told to end; its exit code. `lent` are sockets that its parent keeps."""
    return run_service("api", settings, partial(build, lent=lent), without_bus=True)


def main(argv: Sequence[str] | None = None) -> int:
    """`seaway-api`"""
    return run(load_settings(ApiSettings, argv, prog="seaway-api"))
