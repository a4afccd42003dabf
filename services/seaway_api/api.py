"""What the handlers work with."""

import secrets
import time
from dataclasses import dataclass, field

from seaway_api.blobs import ArchiveClient
from seaway_api.hub import Hub
from seaway_api.seen import Seen
from seaway_api.settings import ApiSettings
from seaway_api.stats import StatsFeeds
from seaway_bus.bus import Bus
from seaway_bus.streams import ByteStream
from seaway_contracts import catalogue as cat
from seaway_contracts.commands import ContainerLocation, ResolveContainer
from seaway_contracts.containers import ContainerRecord
from seaway_contracts.ids import is_container_id
from seaway_kit.tasks import Tasks


@dataclass(frozen=True)
class Api:
    """The connections of one API process."""

    settings: ApiSettings
    bus: Bus
    hub: Hub
    tasks: Tasks
    archives: ArchiveClient
    stats: StatsFeeds
    making: dict[str, str] = field(default_factory=dict)
    """The containers that this process is making just now, and the id of each one's image."""

    async def locate(self, ref: str) -> tuple[str, str]:
        """Id and node of a container by id, name or prefix; asks metadata only for what isn't known here."""
        if is_container_id(ref) and (node := self.hub.place(ref)) is not None:
            return ref, node
        found: ContainerLocation = await self.bus.call(cat.RESOLVE, self._asked(ref))
        self.hub.remember(found.id, found.node)
        return found.id, found.node

    async def record(self, ref: str) -> ContainerRecord:
        """A container's record; raises SeawayError(NOT_FOUND)."""
        return (await self.seen(ref)).record

    async def seen(self, ref: str) -> Seen:
        """The same, with what is known of it from before."""
        data = await self.bus.ask(cat.GET_CONTAINER, self._asked(ref))
        seen = self.hub.newest(self.hub.seen.of(data))
        self.hub.remember(seen.record.id, seen.record.node)
        return seen

    def _asked(self, ref: str) -> ResolveContainer:
        return ResolveContainer(ref=ref, basis=self.hub.answers.basis(ref))

    def stream(self, node: str | None = None) -> ByteStream:
        """A fresh byte stream, of which this is the opening side, to a node's agent or (without) another service."""
        return self.bus.new_stream(self.tasks, node)

    def new_id(self) -> str:
        """A container's id: 64 random hex digits."""
        return secrets.token_hex(32)

    def now_ns(self) -> int:
        """Unix time in nanoseconds."""
        return time.time_ns()
