"""The scheduler service: hears beats, answers PLACE."""

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncIterator
from typing import Final

from seaway_bus.bus import Bus, Command
from seaway_bus.transport import Message
from seaway_contracts.base import Empty
from seaway_contracts.catalogue import BEAT, CONTAINER_CREATE, CONTAINER_DESTROY, LIST_NODES, PLACE
from seaway_contracts.commands import Placement, PlaceRequest
from seaway_contracts.errors import Code, SeawayError, unavailable
from seaway_contracts.nodes import Beat
from seaway_contracts.version import VERSION
from seaway_kit.failpoints import Failpoint, reach
from seaway_kit.service import ServiceContext
from seaway_scheduler.place import Rejected, place
from seaway_scheduler.snapshot import Cluster

log = logging.getLogger(__name__)
_FIRST_BEAT_S: Final = 3.0
_ASK_S: Final = 2.0


@contextlib.asynccontextmanager
async def scheduler_service(context: ServiceContext) -> AsyncIterator[None]:
    """The service, running."""
    scheduler = Scheduler(context.bus)
    await scheduler.start()
    await context.bus.announce("scheduler", VERSION)
    yield


class Scheduler:
    """Places containers on nodes. Any number of copies may run; each counts its own placements."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self._cluster = Cluster()
        self._first_beat = asyncio.Event()

    async def start(self) -> None:
        """Listen, learn what metadata knows, serve."""
        await self._bus.on_beat(BEAT, self._beat)
        subscribe = self._bus.transport.subscribe
        await subscribe(CONTAINER_CREATE.template.wildcard(), self._created)
        await subscribe(CONTAINER_DESTROY.template.wildcard(), self._destroyed)
        self._bus.transport.on_reconnect(lambda: self._cluster.excuse(time.monotonic()))
        await self._learn()
        await self._bus.serve(PLACE, self.place)
        await self._bus.transport.flush()

    async def place(self, request: PlaceRequest, command: Command) -> Placement:
        """Choose a node; the same container again gets the same one. Raises UNPLACEABLE, UNAVAILABLE, BAD_REQUEST."""
        if not self._cluster:
            await self._wait_for_a_node()
        now = time.monotonic()
        node = self._cluster.placement(request.container_id, now)
        if node is None:
            snapshot = self._cluster.snapshot(now)
            found = place(request, snapshot)
            if isinstance(found, Rejected):
                code = Code.UNPLACEABLE if any(view.up for view in snapshot) else Code.UNAVAILABLE
                raise SeawayError(code, str(found))
            node = found.node
            self._cluster.placed(request, node, now)
            reach(Failpoint.PLACE_CHOSEN)
        return Placement(node=node)

    async def _wait_for_a_node(self) -> None:
        """Right after the start of everything the first beat is still on its way."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_FIRST_BEAT_S):
                await self._first_beat.wait()
        if not self._cluster:
            raise unavailable("no node has joined the cluster yet; start seaway-agent on a machine and try again")

    async def _learn(self) -> None:
        """Nodes that are silent just now are known to metadata; without it the beats will do."""
        try:
            known = await self._bus.call(LIST_NODES, Empty(), timeout_s=_ASK_S)
        except SeawayError as error:
            log.info("nodes are learnt from their beats alone: %s", error)
            return
        self._cluster.load(known.nodes, time.monotonic())

    def _beat(self, beat: Beat) -> None:
        self._cluster.beat(beat, time.monotonic())
        self._first_beat.set()

    def _created(self, message: Message) -> None:
        with contextlib.suppress(ValueError):
            self._cluster.made(CONTAINER_CREATE.template.parse(message.subject)["id"])

    def _destroyed(self, message: Message) -> None:
        with contextlib.suppress(ValueError):
            self._cluster.gone(CONTAINER_DESTROY.template.parse(message.subject)["id"])
