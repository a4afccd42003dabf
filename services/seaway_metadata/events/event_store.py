"""Stores what agents hand over: judges each event, writes it into the stream, answers when all are stored.

A node has one request in hand at a time, and so many bytes a second: whatever one node does, the others' events go
into the stream beside its own.
"""

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from typing import Any, Final

from seaway_bus.bus import Command
from seaway_bus.event_writer import EventWriter, StreamMessage
from seaway_bus.transport import Transport, TransportError
from seaway_contracts.catalogue import EVENTS
from seaway_contracts.channels import EventChannel, Role
from seaway_contracts.errors import Code, SeawayError, bad_request, unavailable
from seaway_contracts.ids import BadToken, is_container_id
from seaway_contracts.lifecycle import (
    EVENT_ID,
    MOST_BYTES,
    MOST_EVENTS,
    Envelope,
    EventToStore,
    PublishEvents,
    StoredEvents,
    StoreEvents,
)
from seaway_contracts.volumes import PublicVolumeEvent
from seaway_kit.failpoints import Failpoint, reach
from seaway_metadata.events.history_share import Allowance
from seaway_metadata.store.holders import RecordHolders

CheckVolume = Callable[[str, str, str, PublicVolumeEvent], Awaitable[None]]
"""Takes a node, an action, a subject and the event. Raises SeawayError (BAD_REQUEST) where the node may not say that,
TransportError."""
MOST_WAITING: Final = 4
"""Requests of one node, with the one in hand. An agent has one; those before it may have lost their answers."""


class EventStore:
    """Serves `event.store` and `event.publish`."""

    def __init__(
        self,
        transport: Transport,
        holders: RecordHolders[Any],
        check_volume: CheckVolume,
        stored: Callable[[str, int], None] = lambda node, size: None,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        """`stored` is called with a node and how many bytes of its events the stream has got."""
        self._writer = EventWriter(transport)
        self._holders = holders
        self._check_volume = check_volume
        self._stored = stored
        self._now = now
        self._in_hand: dict[str, asyncio.Lock] = {}
        self._waiting: Counter[str] = Counter()
        self._allowances: dict[str, Allowance] = {}

    async def store(self, request: StoreEvents, command: Command) -> StoredEvents:
        """Events of a node. Raises SeawayError: UNAVAILABLE where all are to be handed over again."""
        _check_count(request.events)
        node = command.node
        if self._waiting[node] >= MOST_WAITING:
            raise unavailable(f"{MOST_WAITING} requests of node {node} wait already; hand the events over again")
        self._waiting[node] += 1
        try:
            with _storing():
                async with self._in_hand.setdefault(node, asyncio.Lock()):
                    return await self._store(node, request, command.deadline_ns)
        finally:
            self._waiting[node] -= 1

    async def _store(self, node: str, request: StoreEvents, deadline_ns: int) -> StoredEvents:
        messages, refused = await _collect(request.events, lambda event: self._judged(node, event))
        size = sum(message.size for message in messages)
        allowance = self._allowances.setdefault(node, Allowance())
        await asyncio.sleep(allowance.take(size, self._now()))
        if 0 < deadline_ns < time.time_ns():
            raise unavailable("the request waited too long; hand the events over again")
        reach(Failpoint.EVENTS_JUDGED)
        await self._writer.store(messages)
        self._stored(node, size)
        return StoredEvents(refused=refused)

    async def publish(self, request: PublishEvents, command: Command) -> StoredEvents:
        """Events of the image service. Raises SeawayError: UNAVAILABLE where all are to be handed over again."""
        _check_count(request.events)
        with _storing():
            messages, refused = await _collect(request.events, lambda event: self._of_images(request.node, event))
            await self._writer.store(messages)
        return StoredEvents(refused=refused)

    async def _of_images(self, node: str, event: EventToStore) -> StreamMessage:
        return _message(node, event, _channel(event, Role.IMAGE))

    async def _judged(self, node: str, event: EventToStore) -> StreamMessage:
        """The event as it goes into the stream. Raises SeawayError for one that this node may not publish."""
        channel = _channel(event, Role.AGENT)
        if not EVENT_ID.fullmatch(event.id):
            raise bad_request("the id of an event must be 24 hex digits")
        if container := _container_of(event):
            await self._holders.check(node, container, "stored event", bad_request("the container is another node's"))
        message = _message(node, event, channel)
        if event.noun == "volume":
            body = PublicVolumeEvent.model_validate(event.body)
            await self._check_volume(node, event.action, event.subject_id, body)
        return message


@contextlib.contextmanager
def _storing() -> Iterator[None]:
    """Say that all is to be handed over again where the bus fails."""
    try:
        yield
    except TransportError as error:
        raise unavailable(f"events can't be stored just now: {error}; hand them over again") from error


async def _collect(
    events: Iterable[EventToStore], message: Callable[[EventToStore], Awaitable[StreamMessage]]
) -> tuple[list[StreamMessage], dict[str, str]]:
    """The messages of events, and why some have none. Raises SeawayError for what may pass by itself."""
    messages: list[StreamMessage] = []
    refused: dict[str, str] = {}
    for event in events:
        try:
            messages.append(await message(event))
        except SeawayError as error:
            if error.code is not Code.BAD_REQUEST:
                raise
            refused[event.id] = error.message
    return messages, refused


def _check_count(events: Sequence[EventToStore]) -> None:
    if len(events) > MOST_EVENTS:
        raise bad_request(f"{len(events)} events at once: {MOST_EVENTS} are the most")


def _container_of(event: EventToStore) -> str:
    """The container that an event speaks of; empty where it speaks of none. Raises SeawayError."""
    if event.noun == "container":
        if not is_container_id(event.subject_id):
            raise bad_request("an event of a container needs its whole id")
        return event.subject_id
    attributes = event.body.get("attributes")
    found = attributes.get("container") if isinstance(attributes, dict) else None
    return found if isinstance(found, str) and is_container_id(found) else ""


def _channel(event: EventToStore, owner: Role) -> EventChannel[Any]:
    """Its channel. Raises SeawayError for an event that isn't this owner's."""
    channel = EVENTS.get((event.noun, event.action))
    if channel is None or channel.owner is not owner:
        whose = "a node" if owner is Role.AGENT else f"the {owner.value} service"
        raise bad_request(f"{event.noun}.{event.action} is no event of {whose}")
    return channel


def _message(node: str, event: EventToStore, channel: EventChannel[Any]) -> StreamMessage:
    """The event as it goes into the stream. Raises SeawayError for one that doesn't fit."""
    body = channel.published(event.body)
    envelope = Envelope(
        event.id,
        node,
        event.noun,
        event.action,
        event.subject_id,
        event.time_ns,
        event.seq,
        event.cause,
        event.actor,
    )
    try:
        subject = channel.subject(node, event.subject_id)
        headers = envelope.headers()
    except BadToken as error:
        raise bad_request(str(error)) from None
    except (ValueError, OverflowError, OSError):
        raise bad_request(f"{event.time_ns} ns is no time of an event") from None
    message = StreamMessage(event.key, subject, headers, body)
    if message.size > MOST_BYTES:
        raise bad_request(f"the event is larger than {MOST_BYTES >> 10} KiB")
    return message
