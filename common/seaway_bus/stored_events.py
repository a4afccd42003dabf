"""Reads events from the stream alone: those stored since a place, then each new one as it is stored.

The stream has one order and one number for each event, so nothing is missing between past and present, and nothing
comes twice. A reader that is slow, or loses its connection, continues behind the last event that it has read. Live
events come a moment earlier (`feed.py`), but have no number to continue from.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from typing import Final

from seaway_bus.events import Event, clock_lead_ns, read_event
from seaway_bus.transport import Transport, TransportError
from seaway_contracts.catalogue import ALL_EVENTS, EVENT_STREAM

log = logging.getLogger(__name__)
_RETRY_S: Final = 0.5
_AWAY_S: Final = 5.0
_S: Final = 1_000_000_000


class StoredEvents:
    """A reading of the stream, from a place on. `last`: the sequence number of the newest message that was read."""

    def __init__(
        self,
        transport: Transport,
        *,
        after: int = 0,
        start_ns: int = 0,
        subject: str = ALL_EVENTS,
        now_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        """`start_ns` counts where `after` is 0. Where clocks differ, some events before it come, too."""
        self.last = after
        self._transport = transport
        self._start_ns = start_ns
        self._subject = subject
        self._now_ns = now_ns

    async def now(self) -> AsyncGenerator[Event, None]:
        """Events that are stored by now.

        Waits for a server that is away for a moment. Raises TransportError if it stays away.
        """
        away_at = _now_s() + _AWAY_S
        while True:
            try:
                async for event in self._read(follow=False):
                    away_at = _now_s() + _AWAY_S
                    yield event
                return
            except TransportError:
                if _now_s() >= away_at:
                    raise
            await asyncio.sleep(_RETRY_S)

    async def until(self, end_ns: int | None) -> AsyncGenerator[Event, None]:
        """Events that are stored by now, and new ones until that time (Unix ns), for ever if it is None."""
        while (left_s := self._left_s(end_ns)) is None or left_s > 0:
            try:
                async with contextlib.aclosing(self._read(follow=True)) as reading:
                    async for event in _within(reading, lambda: self._left_s(end_ns)):
                        yield event
            except TimeoutError:
                break
            except TransportError as error:
                log.warning("events: %s; trying again", error)
                await asyncio.sleep(_RETRY_S)
                await self._check_end()
        async for event in self.now():
            yield event

    def _left_s(self, end_ns: int | None) -> float | None:
        return None if end_ns is None else (end_ns - self._now_ns()) / _S

    async def _check_end(self) -> None:
        """Read from the beginning if the stream is shorter than it was: it was lost and begun anew."""
        with contextlib.suppress(TransportError):
            end = await self._transport.last_sequence(EVENT_STREAM.name)
            if end < self.last:
                log.warning("events: the stream was begun anew (it ends at %d, had ended at %d)", end, self.last)
                self.last = self._start_ns = 0

    async def _read(self, *, follow: bool) -> AsyncGenerator[Event, None]:
        start_ns = 0 if self.last else self._start_ns
        if start_ns:
            start_ns = max(0, start_ns - await clock_lead_ns(self._transport, self._subject))
        reading = self._transport.replay(
            EVENT_STREAM.name, self._subject, start_seq=self.last and self.last + 1, start_ns=start_ns, follow=follow
        )
        async for message in reading:
            self.last = message.stream_seq
            if (event := read_event(message)) is not None:
                yield event


async def _within(events: AsyncIterator[Event], left_s: Callable[[], float | None]) -> AsyncIterator[Event]:
    """The events; raises TimeoutError when there is no time left."""
    while True:
        async with asyncio.timeout(left_s()):
            event = await anext(events, None)
        if event is None:
            return
        yield event


def _now_s() -> float:
    return asyncio.get_running_loop().time()
