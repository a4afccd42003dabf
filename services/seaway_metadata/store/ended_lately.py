"""Ends of the last minutes, told once more at the start, as the buckets may have forgotten them.

A NATS server that is killed has lost which messages were replaced or deleted in the minutes before (it writes that down
every two). So a record that is gone can be there again, as it was before its last change, though the horizon says that
its end is in the bucket. And an asker that knows of one that was removed a moment ago is told that it is gone, not that
nobody knows yet.
"""

from collections.abc import AsyncIterator
from typing import Any, Final

from seaway_bus.events import Event, read_event
from seaway_bus.transport import Transport
from seaway_contracts.catalogue import ALL_EVENTS, EVENT_STREAM
from seaway_contracts.channels import EventChannel

_FORGOTTEN_NS: Final = 600 * 1_000_000_000


async def ended_lately(transport: Transport, end: EventChannel[Any]) -> AsyncIterator[Event]:
    """The ends in the ten minutes before the newest event. Raises TransportError."""
    newest_ns = await _newest_ns(transport)
    start_ns = max(0, newest_ns - _FORGOTTEN_NS)
    async for message in transport.replay(EVENT_STREAM.name, end.template.wildcard(), start_ns=start_ns):
        if (event := read_event(message)) is not None:
            yield event


async def _newest_ns(transport: Transport) -> int:
    """When the newest event was stored (Unix ns, by the server's clock); 0 where there is none."""
    last = await transport.last_sequence(EVENT_STREAM.name)
    newest = 0
    async for message in transport.replay(EVENT_STREAM.name, ALL_EVENTS, start_seq=max(1, last)):
        newest = max(newest, message.stored_ns)
    return newest
