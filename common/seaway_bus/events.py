"""Events as they come from the bus, and those that the stream has stored since a time."""

import asyncio
import logging
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Final

from seaway_bus.transport import Message, Transport, TransportError
from seaway_contracts.catalogue import ALL_EVENTS, ALL_TOLD, EVENT_STREAM, EVENTS
from seaway_contracts.channels import EventChannel, Role
from seaway_contracts.errors import SeawayError, bad_request
from seaway_contracts.lifecycle import EVENT_ID, Envelope

log = logging.getLogger(__name__)
TOLD: Final = ALL_TOLD.partition("*")[0]
"""The start of the subjects on which agents publish events that are not stored yet."""
_AWAY_S: Final = 5.0
_LOOK_AGAIN_S: Final = 0.05
_LOOKED_AT: Final = 16


@dataclass(frozen=True, slots=True)
class Event:
    """A received event. `stream_seq`: 0 for a live one. `told`: its agent published it, with its whole body."""

    envelope: Envelope
    data: bytes
    stream_seq: int = 0
    told: bool = False

    @property
    def channel(self) -> EventChannel[object]:  # type: ignore[type-var]
        """The event's channel, which decodes the body; KeyError if this release doesn't know it."""
        return EVENTS[self.envelope.noun, self.envelope.action]

    def body(self) -> object:
        """The body. Raises SeawayError if this release doesn't know such events, or can't read this one."""
        try:
            return self.channel.decode(self.data)
        except KeyError:
            raise bad_request(f"event {self.envelope.noun}.{self.envelope.action}: a later release's") from None


def read_event(message: Message) -> Event | None:
    """The event in a message; None (logged) if it isn't one, or its subject and envelope disagree."""
    try:
        envelope = Envelope.from_headers(message.headers)
        told = message.subject.startswith(TOLD)
        channel = EVENTS.get((envelope.noun, envelope.action))
        if channel is not None:
            if told and not (channel.owner is Role.AGENT and EVENT_ID.fullmatch(envelope.id)):
                raise ValueError("no node may tell this")
            subject = channel.told_subject if told else channel.subject
            if subject(envelope.node, envelope.subject_id) != message.subject:
                raise ValueError("subject and envelope disagree")
        elif told:
            return None  # a later release's
    except (ValueError, KeyError, SeawayError) as error:
        log.warning("dropped a message on %s: %s", message.subject, error)
        return None
    return Event(envelope, message.data, message.stream_seq, told)


async def history(
    transport: Transport, *, start_ns: int = 0, after: int = 0, subject: str = ALL_EVENTS
) -> AsyncIterator[Event]:
    """The stored events up to the newest now, from a time (Unix ns) on, or those after a sequence number.

    From a time, some older ones may come too if clocks differ. Waits for a server that is away for a moment; raises
    TransportError if it stays away.
    """
    now, last = asyncio.get_running_loop().time, after
    away_at = now() + _AWAY_S
    while True:
        try:
            async for message in _stored(transport, subject, last, start_ns):
                last, away_at = message.stream_seq, now() + _AWAY_S
                event = read_event(message)
                if event is not None:
                    yield event
            return
        except TransportError:
            if now() >= away_at:
                raise
        await asyncio.sleep(_LOOK_AGAIN_S)


async def _stored(transport: Transport, subject: str, last: int, start_ns: int) -> AsyncIterator[Message]:
    """The stored messages after that sequence number or, if it is 0, from that time on."""
    first_ns = 0
    if start_ns and not last:
        first_ns = max(0, start_ns - await clock_lead_ns(transport, subject))
    async for message in transport.replay(EVENT_STREAM.name, subject, start_seq=last and last + 1, start_ns=first_ns):
        yield message


async def clock_lead_ns(transport: Transport, subject: str) -> int:
    """By how many ns the clocks of events are ahead of the server's clock, which a replay goes by."""
    last = await transport.last_sequence(EVENT_STREAM.name)
    ahead = 0
    async for message in transport.replay(EVENT_STREAM.name, subject, start_seq=max(1, last - _LOOKED_AT)):
        event = read_event(message)
        if event is not None and message.stored_ns:
            ahead = max(ahead, event.envelope.time_ns - message.stored_ns)
    return ahead
