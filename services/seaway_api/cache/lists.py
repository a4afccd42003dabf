"""Whole lists from services that answer page by page."""

import logging
from collections.abc import AsyncIterator

import orjson

from seaway_api.cache.containers import CachedContainer
from seaway_api.cache.hub import Hub
from seaway_bus.bus import Bus
from seaway_contracts import catalogue as cat
from seaway_contracts.containers import ContainerRecord
from seaway_contracts.errors import SeawayError
from seaway_contracts.networks import ListNetworks, NetworkRecord
from seaway_contracts.records import ListContainers, page_lines
from seaway_contracts.volumes import ListVolumes, VolumeRecord

log = logging.getLogger(__name__)


async def all_containers(bus: Bus, hub: Hub, *, stopped: bool = True) -> AsyncIterator[ContainerRecord]:
    """All containers, newest first; without `stopped` only those that run."""
    after = ""
    while True:
        page = await bus.call(cat.LIST_CONTAINERS, _asked(hub, after, stopped))
        for record in page.containers:
            yield record
        if not page.next:
            return
        after = page.next


async def listed_containers(bus: Bus, hub: Hub, *, stopped: bool = True) -> AsyncIterator[list[CachedContainer]]:
    """The same by the page, with what is known of them from lists before."""
    after = ""
    while True:
        lines, after = _lines(await bus.ask(cat.LIST_CONTAINERS, _asked(hub, after, stopped)))
        yield [*map(hub.records.of, lines)]
        if not after:
            return


def _lines(page: bytes) -> tuple[list[bytes], str]:
    """The records of a page, each as JSON, and where the next page begins."""
    found = page_lines(page)
    if found is not None:
        return found
    read = orjson.loads(page)
    return [orjson.dumps(raw) for raw in read.get("containers", ())], read.get("next", "")


def _asked(hub: Hub, after: str, stopped: bool) -> ListContainers:
    return ListContainers(all=stopped, after=after, basis={} if after else hub.answers.basis())


async def learn_container_nodes(bus: Bus, hub: Hub) -> None:
    """Learn where all containers are. What can't be read now is learnt from their next events."""
    after = ""
    while True:
        try:
            lines, after = _lines(await bus.ask(cat.LIST_CONTAINERS, ListContainers(after=after)))
        except SeawayError as error:
            log.info("where containers are is learnt later: %s", error)
            return
        for line in lines:
            record = orjson.loads(line)
            hub.remember(record["spec"]["id"], record["node"])
        if not after:
            return


async def all_networks(bus: Bus, hub: Hub) -> tuple[NetworkRecord, ...]:
    """The networks of users, in order of creation."""
    page = await bus.call(cat.LIST_NETWORKS, ListNetworks(basis=hub.networks.basis()))
    found = [*page.networks]
    while page.next:
        page = await bus.call(cat.LIST_NETWORKS, ListNetworks(after=page.next))
        found += page.networks
    return tuple(reversed(found))


async def all_volumes(bus: Bus, hub: Hub) -> tuple[VolumeRecord, ...]:
    """All volumes, newest first."""
    basis = ListVolumes(basis=hub.volumes.basis(), containers=hub.answers.basis())
    page = await bus.call(cat.LIST_VOLUMES, basis)
    found = [*page.volumes]
    while page.next:
        page = await bus.call(cat.LIST_VOLUMES, ListVolumes(after=page.next))
        found += page.volumes
    return tuple(found)
