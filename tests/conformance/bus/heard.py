"""What tests of feeds and outboxes hear."""

from seaway_bus.feed import Event, EventFeed
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
