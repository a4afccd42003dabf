"""The parts of metadata that a node's agent meets, on a rig's bus: they judge events, store them, and keep records."""

from collections.abc import Callable

from seaway_bus.bus import Bus
from seaway_bus.events import Event
from seaway_bus.feed import EventFeed
from seaway_contracts.catalogue import KNOWN_CONTAINERS, PUBLISH_LINES, STORE_EVENTS
from seaway_contracts.containers import ContainerRecord, ContainerSpec
from seaway_contracts.lifecycle import ContainerEvent
from seaway_kit.tasks import Tasks
from seaway_metadata.commands.node_requests import NodeRequests
from seaway_metadata.events.event_store import EventStore
from seaway_metadata.kinds.containers import CONTAINERS
from seaway_metadata.store.holders import RecordHolders
from seaway_metadata.store.records import Buckets, Records
from seaway_metadata.store.view import View


class AgentsMetadata:
    """Metadata's own parts around records in memory; nothing asks the node for its inventory."""

    def __init__(self, bus: Bus, received: Callable[[Event], None], tasks: Tasks) -> None:
        """`received` is called with each event once: as its agent tells it, or as the stream has it."""
        self._bus = bus
        self._received = received
        self._tasks = tasks
        self._view = View(CONTAINERS, lambda container: None)

    async def start(self) -> None:
        """Listen to events, and serve what agents ask of metadata."""
        bus, transport = self._bus, self._bus.transport
        records = Records(CONTAINERS, await Buckets.open(transport, CONTAINERS), self._view.destroyed)
        holders = RecordHolders(self._view, records, self._tasks, lambda container: feed.release(container))
        feed = EventFeed(transport, self._receive, self._tasks, holders=holders)
        await feed.start()
        requests = NodeRequests(bus, self._view, holders, feed.current)
        await bus.serve(STORE_EVENTS, EventStore(transport, holders, _any_volume).store)
        await bus.serve(KNOWN_CONTAINERS, requests.known)
        await bus.serve(PUBLISH_LINES, requests.publish_lines)

    def register(self, spec: ContainerSpec, node: str) -> None:
        """A container is to be made on this node."""
        self._view.load(ContainerRecord(spec=spec, node=node))

    def _receive(self, event: Event) -> None:
        body = event.body()
        if isinstance(body, ContainerEvent):
            self._view.apply(event.envelope, body, whole=event.told)
        self._received(event)


async def _any_volume(*_: object) -> None:
    """Volumes have no records here."""
