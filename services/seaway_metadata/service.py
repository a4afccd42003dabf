"""The metadata service: events in, records out, names reserved, nodes watched."""

import asyncio
import contextlib
import logging
import sqlite3
import time
from collections.abc import AsyncIterator, Collection, Iterator
from typing import Final

from seaway_bus.bus import Bus, Command, Encoded
from seaway_bus.feed import Event, EventFeed
from seaway_bus.outbox import Outbox, open_outbox
from seaway_bus.transport import NoResponders, NoSpace, TransportError
from seaway_contracts import catalogue
from seaway_contracts.base import Empty
from seaway_contracts.commands import (
    ContainerList,
    ContainerLocation,
    ForgetContainer,
    ListContainers,
    RegisterContainer,
    ResolveContainer,
)
from seaway_contracts.containers import ContainerRecord, ContainerSpec, State
from seaway_contracts.errors import Code, SeawayError, unavailable
from seaway_contracts.lifecycle import ContainerEvent
from seaway_contracts.version import VERSION
from seaway_kit.service import ServiceContext
from seaway_kit.tasks import Tasks
from seaway_metadata.commands.node_removal import NodeRemoval
from seaway_metadata.commands.node_words import NodeWords
from seaway_metadata.commands.pruning import Pruning
from seaway_metadata.commands.renaming import Renaming
from seaway_metadata.events.event_store import EventStore
from seaway_metadata.events.history import History
from seaway_metadata.kinds.kept_names import KeptNames
from seaway_metadata.kinds.node_watch import NodeWatch
from seaway_metadata.kinds.registrations import Registrations
from seaway_metadata.settings import MetadataSettings
from seaway_metadata.store.ended_lately import ended_lately
from seaway_metadata.store.freshness import Freshness
from seaway_metadata.store.holders import RecordHolders
from seaway_metadata.store.reconcile import Reconciler
from seaway_metadata.store.records import Buckets, Records
from seaway_metadata.store.stored import NewerSchema, spec_json
from seaway_metadata.store.view import View
from seaway_metadata.store.write_behind import WriteBehind

log = logging.getLogger(__name__)
_REPLY_FRAME: Final = 4096
_SWEEP_S: Final = 2.0
_RESYNC_S: Final = 600.0
_RETRY_S: Final = 1.0
_TOGETHER_S: Final = 0.02
_HEARD: Final = (catalogue.CONTAINER_DESTROY.template.wildcard(), catalogue.NODE_REMOVE.template.wildcard())
"""Beside what agents tell: another copy of metadata says that a node was removed, and what ended with it."""
_SPARE: Final = 256 << 10
"""What a record may become larger than at its registration: by its status, a longer name, other limits."""
_NO_STORE: Final = "the bus can't store anything just now (it starts, or most of its servers are away); try again"
_FULL: Final = "the bus has no space left to store records; free disk space on its host"


@contextlib.asynccontextmanager
async def metadata_service(context: ServiceContext, settings: MetadataSettings) -> AsyncIterator[None]:
    """The service, running."""
    async with running(context.bus, context.tasks, settings) as service:
        context.health.set("records", True)
        await context.bus.announce("metadata", VERSION)
        log.info("serving %d containers", len(service.view.index))
        yield


@contextlib.asynccontextmanager
async def running(bus: Bus, tasks: Tasks, settings: MetadataSettings) -> AsyncIterator["Metadata"]:
    """A copy of metadata on a bus."""
    await bus.prepare(settings.replicas)
    with contextlib.closing(open_outbox(settings.outbox)) as db:
        service = Metadata(bus, tasks, await Buckets.open(bus, settings.replicas), db, settings.replicas)
        await service.start()
        try:
            yield service
        finally:
            await service.stop()
            await tasks.close()


class Metadata:
    """One copy. Events are applied in plain callbacks, so a request that came after an event sees its effect."""

    def __init__(self, bus: Bus, tasks: Tasks, buckets: Buckets, db: sqlite3.Connection, replicas: int = 1) -> None:
        self._bus = bus
        self._replicas = replicas
        self._doubt = asyncio.Event()
        self._tasks = tasks
        self.view = View(self._changed, time.time_ns)
        self._records = Records(buckets, self.view.destroyed)
        self._registrations = Registrations(bus, self._records, forgotten=self.view.unregister)
        self._holders = RecordHolders(self.view, self._records, tasks, self._judgeable)
        self._feed = EventFeed(
            bus.transport,
            self._receive,
            tasks,
            _HEARD,
            in_order=False,
            together_s=_TOGETHER_S,
            holders=self._holders,
        )
        self._behind = WriteBehind(
            self._records, self.view, lambda: self._feed.horizon, self._doubt.set, self._registrations.discard
        )
        self._reconciler = Reconciler(bus, self.view, tasks, self._feed.current, self._claim)
        self._outbox = Outbox(db, bus.transport, tasks)
        self._nodes = NodeWatch(bus, buckets.nodes, self._outbox, tasks, self._reconciler.beat)
        self._freshness = Freshness(
            self._feed, self.view, self._records, self._reconciler, self._nodes.all_up, self._holders.settled
        )
        self._removal = NodeRemoval(self.view, self._records, self._nodes, self._outbox)
        self._history = History(bus.transport, buckets.shares)
        self._holders.unclaimed = self._reconciler.doubt
        self._names = KeptNames(self.view, self._records, self._freshness, self._reconciler, self._nodes.all_up)

    async def start(self) -> None:
        """Load, catch up, serve."""
        after = await self._records.horizon()
        await self._load()
        self._names.empty_handed = not after and not len(self.view.index)
        self._bus.transport.on_reconnect(self._reconnected)
        await self._feed.start(after=after)
        self._behind.start(self._tasks)
        self._outbox.start()
        await self._nodes.start()
        self._tasks.eternal("sweep", self._sweep())
        self._tasks.eternal("history", self._history.run())
        self._tasks.eternal("resync", self._resync())
        await self._serve()

    async def stop(self) -> None:
        """Stop listening; write what waits, if the bus is there."""
        self._nodes.stop()
        await self._feed.close()
        with contextlib.suppress(TransportError):
            await self._behind.flush()

    async def _load(self) -> None:
        there: set[str] = set()
        async for stored in self._records.all():
            self.view.load(stored.record)
            self._behind.known(stored.record.id, stored.revision)
            if stored.record.discarded or not stored.record.status.seq:
                self._registrations.stored(stored.record)
            there.add(stored.record.id)
        async for event in ended_lately(self._bus.transport):
            if event.envelope.subject_id in there:
                self._receive(event)
            else:
                self.view.ended(event.envelope.subject_id, node=event.envelope.node)

    async def _serve(self) -> None:
        serve = self._bus.serve
        await serve(catalogue.REGISTER, self.register)
        await serve(catalogue.FORGET, self.forget)
        await serve(catalogue.RESOLVE, self.resolve)
        await serve(catalogue.GET_CONTAINER, self.get)
        await serve(catalogue.LIST_CONTAINERS, self.list_containers)
        await serve(catalogue.RENAME, self._renaming().rename)
        await serve(catalogue.LIST_NODES, self._nodes.list_nodes)
        await serve(catalogue.TELL_PRUNE, Pruning(self._outbox).tell)
        store = EventStore(self._bus.transport, self._holders, self._history.stored)
        await serve(catalogue.STORE_EVENTS, store.store)
        await serve(catalogue.PUBLISH_EVENTS, store.publish)
        await serve(catalogue.REMOVE_NODE, self._removal.remove)
        words = NodeWords(self._bus, self.view, self._holders, self._freshness.caught_up)
        await serve(catalogue.PUBLISH_LINES, words.publish_lines)
        await serve(catalogue.KNOWN_CONTAINERS, words.known)
        await self._bus.transport.flush()

    # --- events

    def _changed(self, identifier: str) -> None:
        self._registrations.done(identifier)
        self._behind.changed(identifier)
        self._freshness.news()
        self._feed.release(identifier)
        if self.view.destroyed(identifier):
            self._reconciler.freed()

    def _receive(self, event: Event) -> None:
        if (event.envelope.noun, event.envelope.action) == (catalogue.NODE_REMOVE.noun, catalogue.NODE_REMOVE.action):
            if not event.told:
                self._removal.heard(event.envelope)
            return
        if event.envelope.noun != "container":
            return
        body = event.body()
        if not isinstance(body, ContainerEvent):
            return
        self._holders.with_record(event.envelope.subject_id, lambda: self._named(event, body))

    def _named(self, event: Event, body: ContainerEvent) -> None:
        """A name that the container is to have is claimed first. It was reserved for it, if its node is honest."""
        name = self.view.new_name(event.envelope.node, body.spec)
        if name is not None:
            self._holders.first(self._claim_first(event, body, name))
        else:
            self._apply(event, body)

    async def _claim_first(self, event: Event, body: ContainerEvent, name: str) -> None:
        claimed = False
        with contextlib.suppress(TransportError):
            claimed = await self._claim(name, event.envelope.subject_id)
        self._apply(event, body, refused=() if claimed else (name,))

    async def _claim(self, name: str, identifier: str) -> bool:
        try:
            return await self._records.claim(name, identifier)
        except NoResponders:
            self._doubt.set()
            raise

    def _apply(self, event: Event, body: ContainerEvent, refused: Collection[str] = ()) -> None:
        if not self.view.apply(event.envelope, body, whole=event.told, refused=refused) or not event.told:
            self._reconciler.doubt(event.envelope.node)  # its inventory has the rest

    def _judgeable(self, container: str) -> None:
        self._feed.release(container)

    def _reconnected(self) -> None:
        self._reconciler.doubt()
        self._doubt.set()

    async def _resync(self) -> None:
        """Compare memory and buckets: in doubt (a new connection, missing buckets), and now and then."""
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_RESYNC_S):
                    await self._doubt.wait()
            self._doubt.clear()
            try:
                await self._compare()
            except NewerSchema as error:
                log.error("records of a later release are left alone: %s", error)
            except TransportError as error:
                log.info("the buckets can't be compared just now: %s; trying again", error)
                await asyncio.sleep(_RETRY_S)
                self._doubt.set()

    async def _compare(self) -> None:
        await self._bus.prepare(self._replicas)
        present: set[str] = set()
        async for stored in self._records.all():
            present.add(stored.record.id)
            unheard = not stored.record.status.seq and self.view.index.get(stored.record.id) is None
            if unheard or stored.record.discarded:
                self._registrations.stored(stored.record)
        self._behind.compare(present, await self._records.holders())

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(_SWEEP_S)
            try:
                await self._freshness.caught_up()
                await self._registrations.sweep(self._nodes.up)
            except TransportError as error:
                log.debug("registrations are looked at later: %s", error)

    # --- calls

    async def register(self, request: RegisterContainer, command: Command) -> Empty:
        """Reserve name and record; the same again does nothing."""
        await self._freshness.caught_up()
        self._check_size(request.spec)
        try:
            with self._reachable():
                await self._names.keep(request.spec.name, request.spec.id)
                revision = await self._records.register(request.spec, request.node)
                self.view.load(ContainerRecord(spec=request.spec, node=request.node))
        except SeawayError as error:
            if error.retryable:
                self._registrations.add(request.spec.id, request.node)
            raise
        if self.view.index.get(request.spec.id) is None:
            self._behind.known(request.spec.id, revision)
            self._registrations.add(request.spec.id, request.node)
        return Empty()

    def _check_size(self, spec: ContainerSpec) -> None:
        """Raise SeawayError for a container whose record would be larger than a message."""
        size, limit = len(spec_json(spec)), self._bus.transport.max_payload - _SPARE
        if size > limit:
            raise SeawayError(
                Code.TOO_LARGE,
                f"container {spec.name} is described by {size} bytes and may be by {limit} at most: "
                "make its labels, environment or command smaller",
            )

    async def forget(self, request: ForgetContainer, command: Command) -> Empty:
        """Take a registration back; gone already is no error."""
        await self._freshness.caught_up()
        made = self.view.index.get(request.id)
        if made is not None and request.unheard and made.status.state is State.CREATED:
            with self._reachable():
                await self._records.discard(made)
            self._registrations.discard(made.id, made.node)
            return Empty()
        if made is not None:
            raise SeawayError(Code.CONFLICT, f"Container {request.id} was made; remove it on its node instead")
        with self._reachable():
            node = await self._records.forget(request.id, request.name, unheard=request.unheard)
        self._registrations.done(request.id)
        self.view.unregister(request.id)
        if node:
            self._registrations.discard(request.id, node)
        return Empty()

    async def resolve(self, request: ResolveContainer, command: Command) -> ContainerLocation:
        """Which container, and where."""
        await self._freshness.current(request.basis)
        record = await self._find(request.ref)
        return ContainerLocation(id=record.id, node=record.node, name=record.spec.name)

    async def get(self, request: ResolveContainer, command: Command) -> ContainerRecord | Encoded[ContainerRecord]:
        """One record."""
        await self._freshness.current(request.basis)
        record = await self._find(request.ref)
        if self.view.index.get(record.id) is record:
            return Encoded(self.view.index.json(record.id))
        return record

    async def list_containers(self, request: ListContainers, command: Command) -> Encoded[ContainerList]:
        """A page of all records."""
        await self._freshness.current(request.basis)
        room = self._bus.transport.max_payload - _REPLY_FRAME
        return Encoded(self.view.index.page(request.after, room, all_states=request.all))

    async def _find(self, ref: str) -> ContainerRecord:
        """From memory; a registration whose container isn't made yet stands only in the bucket."""
        try:
            return self.view.index.find(ref)
        except SeawayError as error:
            if error.code != Code.NOT_FOUND:
                raise
            with self._reachable():
                found = await self._records.find(ref)
            if found is None:
                raise
        # The bucket comes after the index: what is known here is not called so (any more), or is by now.
        return self.view.index.find(ref) if self.view.index.get(found.id) is not None else found

    async def _find_current(self, ref: str) -> ContainerRecord:
        await self._freshness.caught_up()
        return await self._find(ref)

    def _renaming(self) -> Renaming:
        return Renaming(self._bus, self._records, self._find_current, self._names.keep, self._free_names)

    async def _free_names(self, identifier: str) -> None:
        await self._freshness.caught_up()
        await self._behind.free_names(identifier)

    @contextlib.contextmanager
    def _reachable(self) -> Iterator[None]:
        """A bucket that can't be reached is no fault of the caller, who may try again."""
        try:
            yield
        except TransportError as error:
            if isinstance(error, NoResponders):
                self._doubt.set()
                raise unavailable(_NO_STORE) from error
            if isinstance(error, NoSpace):
                raise SeawayError(Code.NO_SPACE, _FULL) from error
            raise unavailable(f"the records can't be reached just now: {error}; try again") from error
