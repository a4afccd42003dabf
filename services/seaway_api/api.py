"""What the handlers work with."""

import asyncio
import contextlib
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Final

from seaway_api.buildkit.entry import BuildKit
from seaway_api.cache.containers import CachedContainer
from seaway_api.cache.hub import Hub
from seaway_api.cache.nodes import KnownNodes
from seaway_api.cache.stats_feeds import StatsFeeds
from seaway_api.http.archive_client import ArchiveClient
from seaway_api.settings import ApiSettings
from seaway_api.translate.image_catalogue import ImageCatalogue
from seaway_bus.bus import Bus
from seaway_bus.streams import ByteStream
from seaway_bus.transport import TransportError
from seaway_contracts import catalogue as cat
from seaway_contracts.commands import ListInventory
from seaway_contracts.containers import ContainerRecord
from seaway_contracts.errors import Code, SeawayError
from seaway_contracts.ids import is_container_id
from seaway_contracts.records import ContainerLocation, ResolveContainer
from seaway_kit.tasks import Tasks

_SURE_S: Final = 1.0
_NOTE_S: Final = 2.0


@dataclass(frozen=True)
class Api:
    """The connections of one API process."""

    settings: ApiSettings
    bus: Bus
    hub: Hub
    tasks: Tasks
    archives: ArchiveClient
    stats: StatsFeeds
    making: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """The containers that this process is making just now, and the ids of the images of each."""

    def needs_image(self, container: str, image: str) -> None:
        """A container that is being made has found one of its images."""
        self.making[container] = (*self.making.get(container, ()), image)

    warnings: list[str] = field(default_factory=list)
    """What `docker info` says of the endpoints."""
    buildkit: BuildKit | None = None
    """Builds by BuildKit; None where nothing is relayed to one."""
    begun: asyncio.Event | None = None
    """What has to be done before requests are carried out: the bus is joined, and its events are heard."""

    async def locate(self, ref: str) -> tuple[str, str]:
        """Id and node of a container by id, name or prefix; asks metadata only for what isn't known here."""
        if is_container_id(ref) and (node := self.hub.place(ref)) is not None:
            return ref, node
        ref = await self._linked(ref)
        if (known := await self._known(ref)) is not None:
            return known.id, known.node
        found: ContainerLocation = await self.bus.call(cat.RESOLVE, self._asked(ref))
        self.hub.remember(found.id, found.node)
        return found.id, found.node

    async def images(self) -> ImageCatalogue:
        """All images; raises SeawayError where the image service doesn't answer."""
        return await self.hub.images.current(self.bus)

    async def record(self, ref: str) -> ContainerRecord:
        """A container's record; raises SeawayError(NOT_FOUND)."""
        return (await self.cached(ref)).record

    async def cached(self, ref: str, meanwhile: Callable[[CachedContainer], object] | None = None) -> CachedContainer:
        """The same, with what is known of it from reads before.

        `meanwhile` is done with what is likely to be given, while it isn't sure.
        """
        ref = await self._linked(ref)
        if (known := await self._known(ref, meanwhile)) is not None:
            return known
        data = await self.bus.ask(cat.GET_CONTAINER, self._asked(ref))
        container = self.hub.newest(self.hub.records.of(data))
        self.hub.remember(container.id, container.node)
        return container

    async def _linked(self, ref: str) -> str:
        """The id of what `holder/alias` names, the legacy link of a container; else the reference as it is."""
        holder, slash, alias = ref.partition("/")
        if not slash:
            return ref
        try:
            links = (await self.record(holder)).spec.network.links
        except SeawayError as error:
            if error.code is not Code.NOT_FOUND:
                raise
            return ref
        return next((link.container for link in links if link.alias == alias and link.container), ref)

    async def _known(
        self, ref: str, meanwhile: Callable[[CachedContainer], object] | None = None
    ) -> CachedContainer | None:
        """A container that has been read before, once it is sure that nothing has happened to it since.

        What the server has sent before it answers has come by then: all events that were published before the request.
        """
        hub = self.hub
        likely = hub.records.current(ref)
        if likely is None or not hub.live:
            return None
        try:
            await self.bus.transport.flush(_SURE_S, partial(meanwhile, likely) if meanwhile is not None else None)
        except TransportError:
            return None
        known = hub.records.current(ref) if hub.live else None
        return hub.newest(known) if known is not None else None

    async def note_status(self, identifier: str, node: str) -> None:
        """Ask the node for the container's status: metadata may not have heard yet of a command that was acknowledged.

        Reads from now on show nothing older. Without an answer, what metadata knows counts.
        """
        asked = ListInventory(ids=(identifier,))
        with contextlib.suppress(SeawayError):
            held = await self.bus.call(cat.INVENTORY, asked, node=node, timeout_s=_NOTE_S)
            for item in held.containers:
                if item.spec.id == identifier:
                    self.hub.answers.add(identifier, item.status)

    def _asked(self, ref: str) -> ResolveContainer:
        return ResolveContainer(ref=ref, basis=self.hub.answers.basis(ref) | self.hub.records.basis(ref))

    async def nodes(self) -> KnownNodes:
        """The nodes, as far as metadata can tell."""
        await self.hub.nodes.refresh(self.bus, self.tasks)
        return self.hub.nodes

    def stream(self, node: str | None = None, service: str = "") -> ByteStream:
        """A fresh byte stream, of which this is the opening side, to a node's agent or to a service."""
        return self.bus.new_stream(self.tasks, node, service)

    def now_ns(self) -> int:
        """Unix time in nanoseconds."""
        return time.time_ns()
