"""What tests of feeds and outboxes send and hear."""

from seaway_bus.events import Event
from seaway_bus.feed import EventFeed
from seaway_bus.outbox import Outbox
from seaway_bus.transport import Transport
from seaway_contracts.catalogue import CONTAINER_STATUS
from seaway_kit.tasks import Tasks
from seaway_testing.builders import container_event, status


class Heard:
    """What a feed delivered."""

    def __init__(self, transport: Transport, tasks: Tasks, in_order: bool = True, together_s: float = 0.0) -> None:
        self.events: list[Event] = []
        self.feed = EventFeed(transport, self.events.append, tasks, in_order=in_order, together_s=together_s)

    @property
    def ids(self) -> list[str]:
        return [event.envelope.id for event in self.events]

    @property
    def seqs(self) -> list[int]:
        return [event.envelope.seq for event in self.events]


def add(outbox: Outbox, seq: int, seed: int = 1) -> None:
    envelope, body = container_event("status", status(seq=seq), seed=seed)
    outbox.add(CONTAINER_STATUS, envelope, body)


async def send(transport: Transport, seq: int, *, seed: int = 1, stored: bool = True) -> None:
    """An event, into the stream or live alone."""
    envelope, body = container_event("status", status(seq=seq), seed=seed)
    subject = CONTAINER_STATUS.subject(envelope.node, envelope.subject_id)
    send_it = transport.store if stored else transport.publish
    await send_it(subject, CONTAINER_STATUS.encode(body), envelope.headers())


def event_of(seq: int, seed: int = 1) -> str:
    """Its id."""
    return container_event("status", status(seq=seq), seed=seed)[0].id
