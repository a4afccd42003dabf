"""Whole lists from services that answer page by page."""

from collections.abc import AsyncIterator

import orjson

from seaway_api.api import Api
from seaway_api.seen import Seen
from seaway_bus.bus import Bus
from seaway_contracts import catalogue as cat
from seaway_contracts.commands import ListContainers
from seaway_contracts.containers import ContainerRecord
from seaway_contracts.images import ImageRecord, ListImages


async def all_containers(api: Api, *, stopped: bool = True) -> AsyncIterator[ContainerRecord]:
    """All containers, newest first; without `stopped` only those that run."""
    after = ""
    while True:
        page = await api.bus.call(cat.LIST_CONTAINERS, _asked(api, after, stopped))
        for record in page.containers:
            yield record
        if not page.next:
            return
        after = page.next


async def listed_containers(api: Api, *, stopped: bool = True) -> AsyncIterator[Seen]:
    """The same, with what is known of them from lists before."""
    after = ""
    while True:
        page = orjson.loads(await api.bus.ask(cat.LIST_CONTAINERS, _asked(api, after, stopped)))
        for raw in page.get("containers", ()):
            yield api.hub.seen.of(raw)
        after = page.get("next", "")
        if not after:
            return


def _asked(api: Api, after: str, stopped: bool) -> ListContainers:
    return ListContainers(all=stopped, after=after, basis={} if after else api.hub.answers.basis())


async def all_images(bus: Bus) -> AsyncIterator[ImageRecord]:
    """All images, newest first."""
    after = ""
    while True:
        page = await bus.call(cat.LIST_IMAGES, ListImages(after=after))
        for image in page.images:
            yield image
        if not page.next:
            return
        after = page.next
