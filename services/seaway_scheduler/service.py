"""The scheduler service: hears beats and events, answers PLACE and EXPLAIN_PLACE."""

import asyncio
import contextlib
import logging
import secrets
import time
from collections.abc import AsyncIterator
from typing import Final

from seaway_bus.bus import Bus, Command
from seaway_bus.events import Event
from seaway_bus.feed import EventFeed
from seaway_bus.node_facts import FactsOfNodes
from seaway_contracts.base import Empty
from seaway_contracts.catalogue import (
    BEAT,
    CLUSTER_UPDATE,
    CONTAINER_CREATE,
    CONTAINER_DESTROY,
    CONTAINER_RENAME,
    EXPLAIN_PLACE,
    GET_CONTAINER,
    LIST_CONTAINERS,
    LIST_NODES,
    NODE_REMOVE,
    NODE_UPDATE,
    PLACE,
    UNPLACED,
)
from seaway_contracts.errors import Code, SeawayError, unavailable
from seaway_contracts.lifecycle import ContainerEvent, PublicContainerEvent
from seaway_contracts.node_settings import ClusterUpdated, NodeUpdated
from seaway_contracts.nodes import Beat, NodeEvent
from seaway_contracts.placement import Placement, PlacementExplanation, PlaceRequest
from seaway_contracts.records import ListContainers, ResolveContainer
from seaway_kit import memory
from seaway_kit.failpoints import Failpoint, reach
from seaway_kit.service import ServiceContext
from seaway_kit.tasks import Tasks
from seaway_scheduler.cluster import Cluster
from seaway_scheduler.conditions import matcher
from seaway_scheduler.explain import explain
from seaway_scheduler.holdings import Held
from seaway_scheduler.measures import PLACEMENT_SECONDS, PLACEMENTS, count_refusal
from seaway_scheduler.node import NodeTerms, Policy
from seaway_scheduler.place import Rejected, place

log = logging.getLogger(__name__)
_FIRST_BEAT_S: Final = 3.0
_SETTINGS_S: Final = 3.0
_ASK_S: Final = 2.0
_RETRY_S: Final = 1.0
_EVENTS: Final = (CONTAINER_CREATE, CONTAINER_RENAME, CONTAINER_DESTROY, NODE_REMOVE, NODE_UPDATE, CLUSTER_UPDATE)
_HEARD: Final = tuple(channel.template.wildcard() for channel in _EVENTS)


@contextlib.asynccontextmanager
async def scheduler_service(context: ServiceContext) -> AsyncIterator[None]:
    """The service, running."""
    await context.bus.prepared()
    scheduler = Scheduler(context.bus, context.tasks)
    with memory.loading():
        await scheduler.start()
    try:
        yield
    finally:
        await scheduler.close()


class Scheduler:
    """Places containers on nodes. Any number of copies may run; each counts its own placements."""

    def __init__(self, bus: Bus, tasks: Tasks) -> None:
        self._bus = bus
        self._tasks = tasks
        self._cluster = Cluster()
        self._facts = FactsOfNodes(bus, tasks, self._beat)
        self._feed = EventFeed(bus.transport, self._receive, tasks, _HEARD)
        self._first_beat = asyncio.Event()
        self._settings_known = asyncio.Event()
        self._began = time.monotonic()

    async def start(self) -> None:
        """Listen, learn what metadata knows, serve."""
        await self._bus.on_message(BEAT, self._facts.receive)
        await self._bus.on_message(UNPLACED, lambda unplaced: self._cluster.unplaced(unplaced.id))
        self._bus.transport.on_reconnect(lambda: self._cluster.excuse(time.monotonic()))
        await self._feed.start()
        if not await self._learn():
            self._tasks.spawn("learn", self._learn_later())
        await self._bus.serve(PLACE, self.place)
        await self._bus.serve(EXPLAIN_PLACE, self.explain)
        await self._bus.transport.flush()

    async def close(self) -> None:
        """Stop listening."""
        await self._feed.close()

    async def place(self, request: PlaceRequest, command: Command) -> Placement:
        """Choose a node; the same container again gets the same one, unless another one is asked for.

        Raises UNPLACEABLE, UNAVAILABLE, BAD_REQUEST.
        """
        await self._ready_for(request)
        node = self._cluster.placement(request.container_id)
        if node is None or request.node not in ("", node) or node in request.excluded:
            self._cluster.unplaced(request.container_id)
            with PLACEMENT_SECONDS.time():
                found = place(request, self._cluster, secrets.randbits(64))
            if isinstance(found, Rejected):
                count_refusal(found)
                raise SeawayError(Code.UNPLACEABLE if self._cluster.up else Code.UNAVAILABLE, str(found))
            node = found.node
            PLACEMENTS.labels("placed").inc()
            self._cluster.placed(request, node, time.monotonic())
            reach(Failpoint.PLACE_CHOSEN)
        return Placement(node=node)

    async def explain(self, request: PlaceRequest, command: Command) -> PlacementExplanation:
        """Say where a container would be placed, and why; nothing changes. Raises UNAVAILABLE, BAD_REQUEST."""
        await self._ready_for(request)
        return explain(request, self._cluster, secrets.randbits(64))

    async def _ready_for(self, request: PlaceRequest) -> None:
        """Bring up to date what the request is about. Raises UNAVAILABLE where no node has joined."""
        await self._wait_for_settings()
        self._cluster.tick(time.monotonic())
        if not self._cluster.up:
            await self._wait_for_a_node()
        await self._learn_named(request)

    async def _wait_for_settings(self) -> None:
        """Where everything starts at once, metadata may be a moment later: until then a drained node looks active."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_SETTINGS_S):
                await self._settings_known.wait()

    async def _wait_for_a_node(self) -> None:
        """Wait for the first beat for a moment, if everything has just started.

        Metadata that has just started as well may have called a node down that beats again.
        """
        left_s = _FIRST_BEAT_S - (time.monotonic() - self._began if self._cluster else 0)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(max(0.0, left_s)):
                await self._first_beat.wait()
        if not self._cluster:
            raise unavailable("no node has joined the cluster yet; start seaway-agent on a machine and try again")

    async def _learn(self) -> bool:
        """Learn from metadata the settings, the nodes that are silent just now, and the containers; whether that was
        possible.
        """
        try:
            known = await self._bus.call(LIST_NODES, Empty(), timeout_s=_ASK_S)
            self._facts.load(known.nodes)
            self._cluster.set_policy(Policy.of(known.cluster))
            self._cluster.load(known.nodes, time.monotonic())
            self._settings_known.set()
            await self._learn_containers()
        except SeawayError as error:
            log.info("metadata can't be asked just now: %s", error)
            return False
        return True

    async def _learn_containers(self) -> None:
        after = ""
        while True:
            page = await self._bus.call(LIST_CONTAINERS, ListContainers(after=after), timeout_s=_ASK_S)
            for record in page.containers:
                self._cluster.holds(Held.of(record))
            after = page.next
            if not after:
                return

    async def _learn_named(self, request: PlaceRequest) -> None:
        """Learn of the containers that affinities name: a new one is in metadata before its event comes."""
        named = [one for one in map(matcher, request.affinities) if one.condition.key == "container"]
        unknown = {one.exact for one in named if one.exact and not self._cluster.holdings.matching(one)}
        if unknown:
            await asyncio.gather(*map(self._learn_one, unknown))

    async def _learn_later(self) -> None:
        """Ask metadata again until it answers. Meanwhile placements are made by beats alone."""
        while True:
            await asyncio.sleep(_RETRY_S)
            if await self._learn():
                return

    def _beat(self, beat: Beat) -> None:
        self._cluster.beat(beat, time.monotonic())
        self._first_beat.set()

    def _receive(self, event: Event) -> None:
        envelope = event.envelope
        identifier, words = envelope.subject_id, (envelope.noun, envelope.action)
        if words == (NODE_REMOVE.noun, NODE_REMOVE.action):
            body = _body(event)
            self._cluster.removed(envelope.node, body.epoch if isinstance(body, NodeEvent) else "")
            self._facts.forget(envelope.node)
        elif words == (NODE_UPDATE.noun, NODE_UPDATE.action):
            if isinstance(body := _body(event), NodeUpdated):
                self._cluster.set_terms(envelope.node, NodeTerms.of(body.settings))
        elif words == (CLUSTER_UPDATE.noun, CLUSTER_UPDATE.action):
            if isinstance(body := _body(event), ClusterUpdated):
                self._cluster.set_policy(Policy.of(body.settings))
        elif words == (CONTAINER_DESTROY.noun, CONTAINER_DESTROY.action):
            self._cluster.gone(identifier)
        elif words == (CONTAINER_RENAME.noun, CONTAINER_RENAME.action):
            self._cluster.named(identifier, _name(event))
        elif words == (CONTAINER_CREATE.noun, CONTAINER_CREATE.action):
            if self._cluster.made(identifier, envelope.node):
                self._cluster.named(identifier, _name(event))
            else:
                self._tasks.spawn(f"learn-{identifier[:12]}", self._learn_one(identifier))

    async def _learn_one(self, ref: str) -> None:
        """Learn of a container that another copy has placed: its name and ports are in its record."""
        try:
            record = await self._bus.call(GET_CONTAINER, ResolveContainer(ref=ref), timeout_s=_ASK_S)
        except SeawayError as error:
            log.debug("container %s is not known: %s", ref[:12], error)
        else:
            self._cluster.holds(Held.of(record))


def _name(event: Event) -> str:
    """The container's name after an event; empty if it isn't said."""
    body = _body(event)
    return body.attributes.get("name", "") if isinstance(body, ContainerEvent | PublicContainerEvent) else ""


def _body(event: Event) -> object:
    """The event's body; None if a later release wrote what can't be read."""
    try:
        return event.body()
    except SeawayError as error:
        log.debug("an event can't be read: %s", error)
        return None
