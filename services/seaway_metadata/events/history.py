"""Keeps each node's share of the stream of events: counts what nodes store, and has the largest share give way."""

import asyncio
import contextlib
import logging
from typing import Final

from prometheus_client import Counter

from seaway_bus.transport import Bucket, Entry, Transport, TransportError, WrongRevision
from seaway_contracts.catalogue import EVENT_STREAM, events_of
from seaway_metadata.events.history_share import MARK_BYTES, Mark, Marks, kept, purges
from seaway_metadata.store.stored import NewerSchema, decode, encode

log = logging.getLogger(__name__)
PURGED: Final = Counter(
    "seaway_metadata_purged_events_total",
    "Events that were removed, as their node had the most of a full stream.",
    ("node",),
)
_RETRY_S: Final = 1.0


class History:
    """One copy's count. What it has not noted down when it is killed, less than a mark a node, is not counted."""

    def __init__(self, transport: Transport, shares: Bucket) -> None:
        self._transport = transport
        self._shares = shares
        self._sizes: dict[str, int] = {}
        self._due: set[str] = set()
        self._wake = asyncio.Event()

    def stored(self, node: str, size: int) -> None:
        """The stream has got so many bytes of that node's events."""
        self._sizes[node] = self._sizes.get(node, 0) + size
        if self._sizes[node] >= MARK_BYTES:
            self._due.add(node)
            self._wake.set()

    async def run(self) -> None:
        """Note marks, and look at the room whenever one was noted."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            try:
                while self._due:
                    await self._mark(next(iter(self._due)))
                await self.make_room()
            except TransportError as error:
                log.info("how much of the history each node has is looked at later: %s", error)
                await asyncio.sleep(_RETRY_S)
                self._wake.set()

    async def _mark(self, node: str) -> None:
        stream = await self._transport.stream_size(EVENT_STREAM.name)
        mark = Mark(seq=stream.last, size=self._sizes[node])
        await self._note(node, stream.first, mark)
        self._sizes[node] -= mark.size
        self._due.discard(node)

    async def _note(self, node: str, first: int, *more: Mark) -> None:
        """Keep the marks from that sequence number on, and add some. Those of a later release are left alone."""
        while True:
            found = await self._shares.get(node)
            marks = _marks(found)
            if marks is None:
                return
            body = encode(Marks(marks=(*kept(marks, first).marks, *more)))
            with contextlib.suppress(WrongRevision):
                if found is None:
                    await self._shares.create(node, body)
                else:
                    await self._shares.update(node, body, found.revision)
                return

    async def make_room(self) -> None:
        """Remove the oldest events of those nodes that have the most, if the stream is nearly full."""
        stream = await self._transport.stream_size(EVENT_STREAM.name)
        found = {entry.key: _marks(entry) async for entry in self._shares.entries()}
        nodes = {node: marks for node, marks in found.items() if marks is not None}
        for purge in purges(nodes, stream):
            removed = await self._transport.purge(EVENT_STREAM.name, events_of(purge.node), purge.up_to)
            await self._note(purge.node, purge.up_to + 1)
            PURGED.labels(purge.node).inc(removed)
            log.warning("%d events of node %s were removed: it has the most of a full stream", removed, purge.node)


def _marks(entry: Entry | None) -> Marks | None:
    """What stands there: no marks where it can't be read, None where a later release has written it."""
    if entry is None:
        return Marks()
    try:
        return decode(Marks, entry.value)
    except NewerSchema:
        return None
    except ValueError:
        return Marks()
