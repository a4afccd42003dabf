"""One event feed for the whole process, and who listens to it: readers of /events, and those who wait for a container.

Everything here runs in the feed's plain callback: nobody can hold up anybody else. A reader that falls behind is
cut off.
"""

import asyncio
import logging
from collections import OrderedDict
from typing import Any, Final

from prometheus_client import Counter, Gauge

from seaway_api.cache.containers import CONTAINERS, CachedContainer, ContainerNodes
from seaway_api.cache.execs import EndedExecs, ExecCommands
from seaway_api.cache.images import ImageCache
from seaway_api.cache.nodes import KnownNodes
from seaway_api.cache.readers import Reader
from seaway_api.cache.record_cache import RecordCache
from seaway_api.cache.reply_cache import RecordBasis, ReplyCache
from seaway_api.translate.events import docker_event, is_shown
from seaway_bus.down_nodes import DownNodes
from seaway_bus.events import Event
from seaway_bus.feed import EventFeed
from seaway_bus.transport import Transport
from seaway_cluster.wait import Watch, WatchList
from seaway_contracts.errors import SeawayError
from seaway_contracts.execs import container_prefix
from seaway_contracts.lifecycle import CLUSTER
from seaway_contracts.volumes import VolumeEvent
from seaway_kit.tasks import Tasks

log = logging.getLogger(__name__)
READERS: Final = Gauge("seaway_api_event_readers", "Clients that read /events just now.")
BEHIND: Final = Gauge("seaway_api_event_readers_behind", "Events that wait for the slowest reader of /events.")
SUBSCRIBERS: Final = Gauge("engine_daemon_events_subscribers_total", "The number of current subscribers to events.")
EVENTS: Final = Counter("engine_daemon_events", "The number of events logged.")
_MOST_UNSTORED: Final = 16_384
_MOST_UNSTORED_BYTES: Final = 32 << 20


class Hub:
    """Hands each event to those whom it concerns, and remembers where containers are."""

    def __init__(self, transport: Transport, tasks: Tasks, down_nodes: DownNodes | None = None) -> None:
        self.nodes = KnownNodes(down_nodes)
        self._nodes = ContainerNodes()
        self._feed = EventFeed(transport, self.receive, tasks, holders=self._nodes, stored=self._stored)
        self._readers: set[Reader] = set()
        self._unstored: OrderedDict[str, Event] = OrderedDict()
        self._unstored_bytes = 0
        self.next_stored = asyncio.Event()
        """Is set when the stream has a further event; then another one takes its place here."""
        self._watches = WatchList()
        self.records = RecordCache(CONTAINERS)
        """Containers, as reads have brought them."""
        self._caches: dict[str, RecordCache[Any]] = {CONTAINERS.noun: self.records}
        self.answers = ReplyCache(self.records.heard)
        self.networks = RecordBasis()
        self.volumes = RecordBasis()
        """Volumes with a name that their user chose. Anonymous ones come and go with their containers' statuses."""
        self.images = ImageCache()
        self.ended_execs = EndedExecs()
        self.exec_commands = ExecCommands()
        BEHIND.set_function(lambda: max((reader.behind for reader in self._readers), default=0))

    async def start(self) -> None:
        """Listen to all new events."""
        await self._feed.start()

    async def close(self) -> None:
        """Listen no more."""
        await self._feed.close()

    @property
    def handed_on(self) -> int:
        """All events stored up to this sequence number were handed on."""
        return self._feed.delivered

    @property
    def live(self) -> bool:
        """Whether events are handed on as they come; not so for some seconds after a lost connection."""
        return self._feed.live

    async def current(self) -> None:
        """Wait, for a moment at most, until all that had come is handed on: at once, but after a lost connection."""
        await self._feed.current()

    @property
    def unstored(self) -> list[Event]:
        """What agents have told and the stream may not have yet: a reading of it may not bring these."""
        return list(self._unstored.values())

    def _keep_unstored(self, event: Event) -> None:
        self._unstored[event.envelope.id] = event
        self._unstored_bytes += len(event.data)
        while len(self._unstored) > _MOST_UNSTORED or self._unstored_bytes > _MOST_UNSTORED_BYTES:
            self._stored(next(iter(self._unstored)))

    def _stored(self, identifier: str) -> None:
        event = self._unstored.pop(identifier, None)
        if event is not None:
            self._unstored_bytes -= len(event.data)
        self._signal_stored()

    def _signal_stored(self) -> None:
        self.next_stored.set()
        self.next_stored = asyncio.Event()

    # --- who listens

    @property
    def reader_count(self) -> int:
        """How many clients read events."""
        return len(self._readers)

    @property
    def watched(self) -> int:
        """How many containers are watched."""
        return len(self._watches)

    def read(self) -> Reader:
        """A reader of everything from now on; give it back with `unread`."""
        reader = Reader()
        self._readers.add(reader)
        self._count_readers()
        return reader

    def unread(self, reader: Reader) -> None:
        """This reader has gone."""
        self._readers.discard(reader)
        self._count_readers()

    def _count_readers(self) -> None:
        READERS.set(self.reader_count)
        SUBSCRIBERS.set(self.reader_count)

    def watch(self, container_id: str) -> Watch:
        """A watch over one container from now on; give it back with `unwatch`."""
        return self._watches.watch(container_id)

    def unwatch(self, container_id: str, watch: Watch) -> None:
        """This watch is over."""
        self._watches.unwatch(container_id, watch)

    # --- where containers are

    def place(self, container_id: str) -> str | None:
        """The node of a container by its whole id, where this process knows it."""
        return self._nodes.find(container_id)

    def remember(self, container_id: str, node: str) -> None:
        """Metadata says that this container is on that node."""
        self._nodes.note(container_id, node)
        self._feed.release(container_id)

    def forget(self, container_id: str) -> None:
        """There is no such container; no event says so."""
        self._nodes.forget(container_id)

    def newest(self, cached: CachedContainer) -> CachedContainer:
        """A container that was read, with the status that its node has answered where that is newer."""
        if cached.id not in self.answers:
            return cached
        record = self.answers.newest(cached.record)
        return cached if record is cached.record else CachedContainer(record)

    # --- what happens

    def receive(self, event: Event) -> None:
        """The feed's callback."""
        envelope = event.envelope
        if is_shown(envelope):
            EVENTS.inc()
        if event.told:
            self._keep_unstored(event)
        else:
            self._signal_stored()
        if (cache := self._caches.get(envelope.noun)) is not None:
            cache.receive(envelope)
        if envelope.noun == "container":
            if event.told:
                self.exec_commands.add(envelope, event.data)
            self._container(event)
        elif envelope.noun == "node":
            self.nodes.receive(event)
        elif envelope.noun == "network":
            _note(self.networks, envelope.action, envelope.subject_id)
        elif envelope.noun == "volume":
            self._volume(event)
        if self._readers:
            shown = docker_event(envelope, event.data, seq=event.stream_seq, commands=self.exec_commands)
            if shown is not None:
                for reader in self._readers:
                    reader.feed(shown)

    def _volume(self, event: Event) -> None:
        try:
            body = event.body()
        except SeawayError as error:
            log.warning("ignored an event of a volume: %s", error)
            return
        action, is_metadata_s = event.envelope.action, event.envelope.node == CLUSTER
        if isinstance(body, VolumeEvent) and body.id and not body.anonymous and (action == "create" or is_metadata_s):
            _note(self.volumes, action, body.id)

    def _container(self, event: Event) -> None:
        identifier = event.envelope.subject_id
        if event.envelope.action == CONTAINERS.gone:
            self._nodes.forget(identifier)
            self._nodes.forget(container_prefix(identifier))
            self.answers.forget(identifier)
            self.ended_execs.forget(container_prefix(identifier))
        self._watches.receive(event)


def _note(basis: RecordBasis, action: str, identifier: str) -> None:
    """Note what an event says of a record: networks and volumes have the same two words."""
    if action == "create":
        basis.made(identifier)
    elif action == "destroy":
        basis.removed(identifier)
