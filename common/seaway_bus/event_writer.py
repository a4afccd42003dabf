"""Writes events into the stream. Events of one key keep their order.

An event without an acknowledgement is sent again under the same id. The stream drops the repeat as long as it remembers
the id. For an event that is older than that, the writer first looks in the stream.
"""

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from seaway_bus import metrics
from seaway_bus.transport import Transport, wire_size
from seaway_contracts.catalogue import EVENT_STREAM
from seaway_contracts.lifecycle import MSG_ID
from seaway_kit.failpoints import Failpoint, reach

_REMEMBERED_NS: Final = EVENT_STREAM.duplicate_window_s * 1_000_000_000 // 2
_TIME_HEADER: Final = "ce-timens"


@dataclass(frozen=True, slots=True)
class StreamMessage:
    """An event as the stream stores it. Events of one `key` keep their order."""

    key: str
    subject: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def id(self) -> str:
        """The message id."""
        return self.headers.get(MSG_ID, "")

    @property
    def size(self) -> int:
        """How many bytes it takes in the stream."""
        return len(self.subject) + wire_size(self.body, self.headers)

    @property
    def time_ns(self) -> int:
        """When the event happened, Unix ns; 0 if its headers don't say."""
        text = self.headers.get(_TIME_HEADER, "")
        return int(text) if text.isdigit() else 0


class EventWriter:
    """Stores events in the stream, for services that may write there."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    async def store(self, messages: Sequence[StreamMessage]) -> None:
        """Store all events: keys in parallel, the events of one key in order. A repeat is stored once.

        Raises TransportError if an event could not be stored; then the later ones of its key are not stored either.
        """
        queues: dict[str, list[StreamMessage]] = {}
        for message in messages:
            queues.setdefault(message.key, []).append(message)
        if len(queues) == 1:
            await self._store_in_order(next(iter(queues.values())))
            return
        outcomes = await asyncio.gather(*map(self._store_in_order, queues.values()), return_exceptions=True)
        for outcome in outcomes:
            if outcome is not None:
                raise outcome

    async def _store_in_order(self, messages: Sequence[StreamMessage]) -> None:
        for message in messages[await self._count_stored(messages) :]:
            started = time.perf_counter()
            await self._transport.store(message.subject, message.body, message.headers)
            metrics.STORE_SECONDS.observe(time.perf_counter() - started)
            reach(Failpoint.EVENT_STORED)

    async def _count_stored(self, messages: Sequence[StreamMessage]) -> int:
        """How many of these events, of one key, to skip: the stream has them, but may have forgotten their ids."""
        if not _forgotten(messages[0]):
            return 0
        last = {subject: await self._last_id(subject) for subject in {message.subject for message in messages}}
        stored = [place for place, message in enumerate(messages) if last[message.subject] == message.id]
        return stored[-1] + 1 if stored else 0

    async def _last_id(self, subject: str) -> str:
        last = await self._transport.last(EVENT_STREAM.name, subject)
        return "" if last is None else last.headers.get(MSG_ID, "")


def _forgotten(message: StreamMessage) -> bool:
    """Whether the stream may have forgotten the event's id."""
    return time.time_ns() - message.time_ns > _REMEMBERED_NS
