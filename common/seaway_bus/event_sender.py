"""Hands an outbox's events to metadata, which judges and stores them."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Final

from seaway_bus.bus import Bus
from seaway_bus.outbox import Deliver
from seaway_bus.outbox_table import OutboxMessage
from seaway_contracts.catalogue import PUBLISH_EVENTS, STORE_EVENTS
from seaway_contracts.lifecycle import (
    MOST_BYTES,
    Envelope,
    EventToStore,
    PublishEvents,
    StoredEvents,
    StoreEvents,
    public_body,
)

_UNREADABLE: Final = (ValueError, LookupError, TypeError, AttributeError)
_TOO_LARGE: Final = f"it is larger than {MOST_BYTES >> 10} KiB"


def event_to_store(key: str, message: OutboxMessage) -> EventToStore:
    """The public part of an event. Raises one of `_UNREADABLE` for a row that holds no event. Pure."""
    envelope = Envelope.from_headers(message.headers)
    return EventToStore(
        id=envelope.id,
        key=key,
        noun=envelope.noun,
        action=envelope.action,
        subject_id=envelope.subject_id,
        time_ns=envelope.time_ns,
        seq=envelope.seq,
        cause=envelope.cause,
        actor=envelope.actor,
        body=public_body(envelope.noun, message.body),
    )


def event_size(event: EventToStore) -> int:
    """How many bytes of an event count against `MOST_BYTES`."""
    return len(event.model_dump_json(exclude_defaults=True))


def of_node(bus: Bus, node: str) -> Deliver:
    """Delivery of a node's own events, by its agent."""

    async def store(events: tuple[EventToStore, ...]) -> StoredEvents:
        return await bus.call(STORE_EVENTS, StoreEvents(events=events), node=node)

    return _by(store)


def of_service(bus: Bus, node: str) -> Deliver:
    """Delivery of a service's own events; `node` is where the service runs."""

    async def store(events: tuple[EventToStore, ...]) -> StoredEvents:
        return await bus.call(PUBLISH_EVENTS, PublishEvents(node=node, events=events))

    return _by(store)


def _by(store: Callable[[tuple[EventToStore, ...]], Awaitable[StoredEvents]]) -> Deliver:
    async def deliver(rows: Sequence[tuple[str, OutboxMessage]]) -> Mapping[str, str]:
        events: list[EventToStore] = []
        refused: dict[str, str] = {}
        for key, message in rows:
            try:
                event = event_to_store(key, message)
            except _UNREADABLE as error:
                refused[message.id] = f"it can't be read: {error!r}"
                continue
            if event_size(event) > MOST_BYTES:
                refused[message.id] = _TOO_LARGE
            else:
                events.append(event)
        if events:
            refused |= (await store(tuple(events))).refused
        return refused

    return deliver
