"""The API service: its parts put together, and what it does before it answers."""

import asyncio
import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from typing import cast

from seaway_api.api import Api
from seaway_api.buildkit.entry import BuildKit
from seaway_api.cache.hub import Hub
from seaway_api.cache.lists import learn_container_nodes
from seaway_api.cache.stats_feeds import StatsFeeds
from seaway_api.http.archive_client import ArchiveClient
from seaway_api.http.dispatch import Dispatcher
from seaway_api.http.server import serve_http
from seaway_api.routes.call import Call
from seaway_api.routes.table import all_routes
from seaway_api.scraping import Scraping
from seaway_api.settings import ApiSettings
from seaway_api.translate.warnings import endpoint_warnings
from seaway_kit.listeners import Listener
from seaway_kit.service import ServiceContext

log = logging.getLogger(__name__)


@asynccontextmanager
async def build(context: ServiceContext, lent: Sequence[Listener]) -> AsyncIterator[None]:
    """What the shell enters and leaves. Clients may come before the bus is there; they are answered when it is."""
    hub = Hub(context.bus.transport, context.tasks, context.bus.down_nodes)
    archives = ArchiveClient(context.bus, context.settings.nats_ca)
    scraping = Scraping(context.bus, hub.nodes, context.tasks, context.metrics, context.settings.node)
    context.metrics.pages.update(scraping.pages)
    stack = AsyncExitStack()
    try:
        feeds = StatsFeeds(context.bus, context.tasks)
        begun = asyncio.Event()
        settings = cast(ApiSettings, context.settings)
        buildkit = BuildKit(settings, context.bus, context.tasks, partial(hub.images.current, context.bus))
        stack.push_async_callback(buildkit.close)
        api = Api(settings, context.bus, hub, context.tasks, archives, feeds, buildkit=buildkit, begun=begun)
        async with serve(api, lent):
            await _begin(context, hub)
            begun.set()
            scraping.begun = True
            yield
    finally:
        await stack.aclose()
        await archives.close()
        await hub.close()


async def _begin(context: ServiceContext, hub: Hub) -> None:
    """Event feed first, so that the first request already sees every event."""
    await context.joined
    await context.bus.prepared()
    if context.bus.local_listener is not None:
        await context.bus.local_listener.open()
    await hub.start()
    context.tasks.spawn("places", learn_container_nodes(context.bus, hub))
    context.tasks.spawn("nodes", hub.nodes.refresh(context.bus, context.tasks))


@asynccontextmanager
async def serve(api: Api, lent: Sequence[Listener] = ()) -> AsyncIterator[tuple[str, ...]]:
    """Serve the Engine API until the end of the context; gives its endpoints, with the real ports.

    Raises OSError if one can't be had.
    """
    settings = api.settings
    dispatcher = Dispatcher(
        all_routes(), partial(Call, api), lambda: api.bus.trouble, api.begun, behind_proxy=settings.behind_proxy
    )
    async with serve_http(settings, dispatcher, lent) as hosts:
        api.warnings[:] = endpoint_warnings(hosts, tls=settings.tls, verified=settings.verified)
        for text in api.warnings:
            log.warning(" ".join(text.split()))
        yield hosts
