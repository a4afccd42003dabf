"""The tables of all kinds, kept by one feed of events, and compared with their buckets when there is a doubt."""

import asyncio
import contextlib
import logging
from collections.abc import Callable, Collection
from typing import Any, Final

from seaway_bus.bus import Bus
from seaway_bus.events import Event
from seaway_bus.feed import EventFeed
from seaway_bus.judging import Holders
from seaway_bus.transport import TransportError
from seaway_contracts.catalogue import EVENTS
from seaway_contracts.channels import EventChannel
from seaway_contracts.nodes import Beat
from seaway_kit.tasks import Tasks
from seaway_metadata.store.inventories import Inventories
from seaway_metadata.store.kind import E, I, Kind, R, ReportedKind
from seaway_metadata.store.records import Buckets, Records
from seaway_metadata.store.source import Source
from seaway_metadata.store.stored import NewerSchema
from seaway_metadata.store.tables import ReportedTable, Table
from seaway_metadata.store.write_behind import WriteBehind
from seaway_metadata.store.written import WrittenTable

log = logging.getLogger(__name__)
_RESYNC_S: Final = 600.0
_RETRY_S: Final = 1.0
_TOGETHER_S: Final = 0.02
Listener = Callable[[Event], None]


class Store:
    """One copy's. First tables and listeners are added, then it starts."""

    def __init__(self, bus: Bus, tasks: Tasks, replicas: int = 1) -> None:
        self._bus = bus
        self._tasks = tasks
        self._replicas = replicas
        self._tables: list[Table[Any]] = []
        self._reported: dict[str, ReportedTable[Any, Any, Any]] = {}
        self._listeners: list[tuple[EventChannel[Any], Listener, bool]] = []
        self._doubt = asyncio.Event()
        self.feed: EventFeed

    # --- what it is made of

    async def add(self, kind: Kind[R]) -> Table[R]:
        """A table of a kind of which no agent has a part."""
        source = Source(kind)
        records = Records(kind, await self._buckets(kind), source.destroyed)
        table = Table(records, source, WriteBehind(records, source, lambda: 0, self.doubt))
        self._tables.append(table)
        return table

    async def add_written(self, kind: Kind[R]) -> WrittenTable[R]:
        """A table of a kind that metadata makes and changes by command."""
        source = Source(kind)
        records = Records(kind, await self._buckets(kind), source.destroyed)
        behind = WriteBehind(records, source, lambda: 0, self.doubt)
        table = WrittenTable(records, source, behind, self._tasks, self.current)
        self._tables.append(table)
        return table

    async def add_reported(
        self,
        kind: ReportedKind[R, E, I],
        inventories: Inventories[R, I],
        nodes_up: Callable[[], Collection[str]],
    ) -> ReportedTable[R, E, I]:
        """A table of a kind of which nodes say a part. `nodes_up`: the nodes that can be asked what they hold."""
        table = ReportedTable(kind, await self._buckets(kind), inventories, self._tasks, self, nodes_up)
        self._tables.append(table)
        self._reported[kind.noun] = table
        return table

    async def _buckets(self, kind: Kind[Any]) -> Buckets:
        return await Buckets.open(self._bus.transport, kind, self._replicas)

    def listen(self, channel: EventChannel[Any], callback: Listener, *, of_agents: bool = False) -> None:
        """Have `callback` called with each event on this channel: those of services, or (`of_agents`) all."""
        self._listeners.append((channel, callback, of_agents))

    # --- its life

    async def start(self, holders: Holders) -> None:
        """Load, catch up, begin to write and to compare. `holders` judges what agents tell."""
        heard = [channel for channel, _, _ in self._listeners]
        for one in self._reported.values():
            heard += one.heard
        self.feed = EventFeed(
            self._bus.transport,
            self._receive,
            self._tasks,
            [channel.template.wildcard() for channel in heard],
            in_order=False,
            together_s=_TOGETHER_S,
            holders=holders,
        )
        for table in self._tables:
            await table.load()
        for one in self._reported.values():
            await one.catch_up(self._bus.transport)
        after = min((one.after for one in self._reported.values() if one.after is not None), default=0)
        self._bus.transport.on_reconnect(self._reconnected)
        await self.feed.start(after=after)
        for table in self._tables:
            table.behind.start(self._tasks)
        self._tasks.eternal("resync", self._resync())

    async def stop(self) -> None:
        """Stop listening; write what waits, if the bus is there."""
        await self.feed.close()
        with contextlib.suppress(TransportError):
            for table in self._tables:
                await table.behind.flush()

    def beat(self, beat: Beat) -> None:
        """A node lives."""
        for table in self._reported.values():
            table.reconciler.beat(beat)

    def _receive(self, event: Event) -> None:
        channel = EVENTS.get((event.envelope.noun, event.envelope.action))
        for listened, callback, of_agents in self._listeners:
            if channel is listened and (of_agents or not event.told):
                callback(event)
        table = self._reported.get(event.envelope.noun)
        if table is not None:
            table.receive(event)

    # --- what tables ask of it

    async def current(self) -> bool:
        """Wait until all events that had come are applied; False where the stream can't be read just now."""
        return await self.feed.current()

    def horizon(self) -> int:
        """All events up to this sequence number have been received."""
        return self.feed.horizon

    def release(self, key: str) -> None:
        """It is known by now who holds this record."""
        self.feed.release(key)

    def doubt(self) -> None:
        """The buckets may lack something: compare them."""
        self._doubt.set()

    # --- comparing

    def _reconnected(self) -> None:
        for table in self._reported.values():
            table.reconciler.doubt()
        self.doubt()

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
                self.doubt()

    async def _compare(self) -> None:
        await self._bus.prepare(self._replicas)
        for table in self._tables:
            await table.compare()
