"""Events as they happen, and as they happened: live and stored ways joined without gap or double.

Live events come by the core subscription, before they are stored. After a lost connection, and at a
start that asks for the past, the stream is replayed; what came meanwhile waits and is joined by event id.
"""

import asyncio
import contextlib
import logging
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Final

from seaway_bus import metrics
from seaway_bus.transport import Message, Subscription, Transport, TransportError
from seaway_contracts.catalogue import ALL_EVENTS, EVENT_STREAM, EVENTS
from seaway_contracts.channels import EventChannel
from seaway_contracts.errors import SeawayError
from seaway_contracts.lifecycle import Envelope
from seaway_kit.tasks import Tasks

log = logging.getLogger(__name__)
_REMEMBERED: Final = 1 << 16
_HORIZON_EVERY_S: Final = 5.0
_MARGIN: Final = 1024
_RETRY_S: Final = 0.5


@dataclass(frozen=True, slots=True)
class Event:
    """A received event. `stream_seq` is 0 for one that came live."""

    envelope: Envelope
    data: bytes
    stream_seq: int = 0

    @property
    def channel(self) -> EventChannel[object]:  # type: ignore[type-var]
        """The event's channel, to decode the body with; KeyError if this release doesn't know it."""
        return EVENTS[self.envelope.noun, self.envelope.action]


def read_event(message: Message) -> Event | None:
    """The event in a message; None (logged) where it isn't one, or where its subject and envelope disagree."""
    try:
        envelope = Envelope.from_headers(message.headers)
        channel = EVENTS.get((envelope.noun, envelope.action))
        if channel is not None and channel.subject(envelope.node, envelope.subject_id) != message.subject:
            raise ValueError("subject and envelope disagree")
    except (ValueError, KeyError, SeawayError) as error:
        log.warning("dropped a message on %s: %s", message.subject, error)
        return None
    return Event(envelope, message.data, message.stream_seq)


class EventFeed:
    """Delivers each event once, in each thing's order, to one plain callback."""

    def __init__(self, transport: Transport, receive: Callable[[Event], None], tasks: Tasks) -> None:
        self._transport = transport
        self._receive = receive
        self._tasks = tasks
        self._seen: OrderedDict[str, None] = OrderedDict()
        self._waiting: list[Message] | None = None
        self._losses = 0
        self._wake = asyncio.Event()
        self._subscription: Subscription | None = None
        self.horizon = 0
        """Everything stored up to this sequence number has been delivered."""

    async def start(self, after: int | None = None) -> None:
        """Begin. `after` replays the stored events behind that sequence number first; None takes only new ones."""
        self._waiting = []
        self._transport.on_disconnect(self._hold)
        self._transport.on_reconnect(self._wake.set)
        self._subscription = await self._transport.subscribe(ALL_EVENTS, self._live)
        last = await self._transport.last_sequence(EVENT_STREAM.name)
        if after is not None and after > last:
            log.warning("events: the stream was begun anew (%d, had seen %d)", last, after)
            after = 0
        self.horizon = last if after is None else after
        if after is not None:
            await self._catch_up(after + 1)
        self._release()
        self._tasks.eternal("feed", self._run())

    async def close(self) -> None:
        """Stop delivering."""
        if self._subscription is not None:
            await self._subscription.close()

    def _live(self, message: Message) -> None:
        if self._waiting is not None:
            self._waiting.append(message)
        else:
            self._deliver(message)

    def _deliver(self, message: Message) -> None:
        event = read_event(message)
        if event is None:
            return
        if event.envelope.id in self._seen:
            metrics.FEED_REPEATS.inc()
            return
        self._seen[event.envelope.id] = None
        if len(self._seen) > _REMEMBERED:
            self._seen.popitem(last=False)
        metrics.FEED_EVENTS.labels("stored" if message.stream_seq else "live").inc()
        try:
            self._receive(event)
        except Exception:
            log.exception("an event could not be handled: %s", event.envelope)

    def _hold(self) -> None:
        """The connection is lost: what comes live from now on waits until what was missed has been fetched."""
        self._losses += 1
        if self._waiting is None:
            self._waiting = []

    def _release(self) -> None:
        waiting, self._waiting = self._waiting or [], None
        for message in waiting:
            self._deliver(message)

    async def _catch_up(self, start: int) -> None:
        async for message in self._transport.replay(EVENT_STREAM.name, ALL_EVENTS, start_seq=max(1, start)):
            self._deliver(message)
            self.horizon = max(self.horizon, message.stream_seq)

    async def _run(self) -> None:
        """Move the horizon along; after a lost connection fetch what was missed."""
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_HORIZON_EVERY_S):
                    await self._wake.wait()
            self._wake.clear()
            if not self._transport.connected:
                continue
            try:
                await self._step()
            except TransportError as error:
                log.warning("events: %s; trying again", error)
                await asyncio.sleep(_RETRY_S)
                self._wake.set()

    async def _step(self) -> None:
        losses = self._losses
        last = await self._transport.last_sequence(EVENT_STREAM.name)
        if self._waiting is None:
            if losses == self._losses:
                self.horizon = max(self.horizon, last)
            return
        if last < self.horizon:
            log.warning("events: the stream was begun anew (%d, had seen %d)", last, self.horizon)
            self.horizon = 0
        await self._catch_up(self.horizon - _MARGIN)
        if losses == self._losses:
            self._release()
        else:
            self._wake.set()


_LOOKED_AT: Final = 16


async def history(transport: Transport, *, start_ns: int, subject: str = ALL_EVENTS) -> AsyncIterator[Event]:
    """The stored events from a time (Unix ns) on, up to the newest one now; where clocks differ, some older ones."""
    ahead_ns = await _ahead_ns(transport, subject) if start_ns else 0
    async for message in transport.replay(EVENT_STREAM.name, subject, start_ns=max(0, start_ns - ahead_ns)):
        event = read_event(message)
        if event is not None:
            yield event


async def _ahead_ns(transport: Transport, subject: str) -> int:
    """By how much the clock that events are stamped with is ahead of the server's, whose times a replay goes by."""
    last = await transport.last_sequence(EVENT_STREAM.name)
    ahead = 0
    async for message in transport.replay(EVENT_STREAM.name, subject, start_seq=max(1, last - _LOOKED_AT)):
        event = read_event(message)
        if event is not None and message.stored_ns:
            ahead = max(ahead, event.envelope.time_ns - message.stored_ns)
    return ahead
