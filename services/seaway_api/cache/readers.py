"""Who takes all events from the hub: readers of /events."""

import asyncio
from collections import deque
from typing import Final

from prometheus_client import Counter

from seaway_api.translate.events import DockerEvent

CUT_OFF: Final = Counter("seaway_api_event_readers_cut_off_total", "Readers of /events that were too slow.")
_MOST_BEHIND: Final = 16_384
_AT_ONCE: Final = 256


class CutOff(Exception):
    """This reader can get no more: it has fallen too far behind, or the stream was begun anew."""


class Reader:
    """A reader of all events. What waits here is shared by all readers; what is taken is copied into an answer."""

    def __init__(self) -> None:
        self._events: deque[DockerEvent] = deque()
        self._wake = asyncio.Event()
        self._cut_off = False

    def feed(self, event: DockerEvent) -> None:
        """An event happened."""
        if self._cut_off:
            return
        if len(self._events) >= _MOST_BEHIND:
            self._cut_off = True
            self._events.clear()
            CUT_OFF.inc()
        else:
            self._events.append(event)
        self._wake.set()

    @property
    def behind(self) -> int:
        """How many events wait for this reader."""
        return len(self._events)

    async def next(self, limit_s: float | None = None) -> list[DockerEvent]:
        """The next events, some of those that wait; waits for one. Raises CutOff, and TimeoutError after `limit_s`."""
        while not self._events:
            if self._cut_off:
                raise CutOff("this reader of events was too slow")
            self._wake.clear()
            async with asyncio.timeout(limit_s):
                await self._wake.wait()
        return [self._events.popleft() for _ in range(min(_AT_ONCE, len(self._events)))]
