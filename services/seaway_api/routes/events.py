"""GET /events: the stored past and the live present as one stream, each event once.

Without a cursor live events come as their agents publish them, before they are stored. With a cursor (`since=seq:N`)
all events come from the stream, in its order and with their sequence numbers.
"""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Final

from aiohttp import web

from seaway_api.cache.readers import CutOff, Reader
from seaway_api.http import replies
from seaway_api.http.errors import bus_away
from seaway_api.routes.call import Call
from seaway_api.translate.event_span import EventSpan, parse_span
from seaway_api.translate.event_types import JSON_SEQUENCE, RECORD, stream_type
from seaway_api.translate.events import DockerEvent, docker_event, shown_by_default
from seaway_bus.events import Event, history
from seaway_bus.transport import TransportError
from seaway_contracts.catalogue import EVENT_STREAM
from seaway_docker.errors import InvalidParameter
from seaway_docker.event_filters import event_matches
from seaway_docker.filters import EVENT_KEYS, Filters, parse_filters

log = logging.getLogger(__name__)
_SECOND: Final = 1_000_000_000
REMEMBERED: Final = 256
"""How many events dockerd remembers: `until` without `since` asks for no more."""
_GATHER_S: Final = 0.05
"""A client with a cursor gets live events in readings of the stream, which are at least so far apart."""
_LOOK_AGAIN_S: Final = 1.0
_TOO_SHORT: Final = 3
"""So many readings in a row that find the stream's end before the cursor: one may come of a server that lags."""


async def events(call: Call) -> web.StreamResponse:
    """Ends at `until`, and when the client hangs up. The head goes out once the past is found, even if nothing happens.

    A client that is too slow is cut off, in the middle of the answer; `since` the last event it goes on. One with a
    cursor is never cut off: it reads the stream as fast as it can.
    """
    filters = parse_filters(call.text("filters"), EVENT_KEYS)
    span = parse_span(call.text("since"), call.text("until"), call.api.now_ns())
    if span.after is None:
        return await _by_time(call, span, filters)
    return await _by_cursor(call, span, span.after, filters)


async def _by_time(call: Call, span: EventSpan, filters: Filters) -> web.StreamResponse:
    reader, heard, unstored = call.api.hub.read(), call.api.hub.handed_on, call.api.hub.unstored
    try:
        past = await _begun(call, span, unstored)
        response = await replies.begin_stream(call.request, stream_type(call.request.headers.getall("Accept", [])))
        async for batch in _batches(call, reader, heard, past, span):
            await _write(response, filters, batch)
        return response
    except CutOff as error:
        raise _cut(error) from error
    finally:
        call.api.hub.unread(reader)


def _cut(error: CutOff) -> ConnectionResetError:
    """The answer ends without its last chunk: the client is to see that this is no end."""
    log.warning("a reader of events is cut off: %s", error)
    return ConnectionResetError(str(error))


async def _write(response: web.StreamResponse, filters: Filters, batch: Sequence[DockerEvent]) -> None:
    chosen = [event.line for event in batch if _wanted(filters, event)]
    if chosen:
        mark = RECORD if response.headers["Content-Type"] == JSON_SEQUENCE else b""
        await response.write(mark + mark.join(chosen))


def _wanted(filters: Filters, event: DockerEvent) -> bool:
    if not filters.get("type") and not shown_by_default(event):
        return False
    return event_matches(filters, event.facts)


async def _begun(call: Call, span: EventSpan, unstored: Sequence[Event]) -> AsyncIterator[Event] | None:
    """The past of a span, with what agents have just published and is not stored yet. None: only live events.

    The first of it has come: if it can't be read, a status still says so.
    """
    if span.since is None and span.until is None:
        return None
    transport = call.api.bus.transport
    try:
        if span.since is not None:
            past = history(transport, start_ns=max(0, span.since))
        else:
            last = await transport.last_sequence(EVENT_STREAM.name)
            past = history(transport, after=max(0, last - REMEMBERED))
        first = await anext(past, None)
    except TransportError as error:
        raise bus_away(call.api.bus.trouble or str(error)) from error
    return _behind(first, past, {event.envelope.id: event for event in unstored})


async def _behind(first: Event | None, past: AsyncIterator[Event], unstored: dict[str, Event]) -> AsyncIterator[Event]:
    if first is not None:
        unstored.pop(first.envelope.id, None)
        yield first
        async for event in past:
            unstored.pop(event.envelope.id, None)
            yield event
    for event in unstored.values():
        yield event


async def _batches(
    call: Call, reader: Reader, heard: int, past: AsyncIterator[Event] | None, span: EventSpan
) -> AsyncIterator[list[DockerEvent]]:
    """First the past, if it was asked for, then what the reader has got meanwhile and gets from now on.

    What was stored up to `heard` was handed on before the reader began, so only what is behind it can come twice.
    """
    seen: set[str] = set()
    begun = call.api.now_ns()
    if past is not None:
        begun = span.since or 0
        async for event in past:
            shown = _shown(call, event)
            if shown is None or shown.time_ns < begun or span.ends_before(shown.time_ns):
                continue
            if event.stream_seq > heard:
                seen.add(shown.id)
            yield [shown]
    if span.only_past:
        return
    async for batch in _live(reader, call.api.now_ns, span.until):
        yield [
            event
            for event in batch
            if event.id not in seen
            and not span.ends_before(event.time_ns)
            and not (event.seq and event.time_ns < begun)
        ]


def _shown(call: Call, event: Event) -> DockerEvent | None:
    return docker_event(event.envelope, event.data, seq=event.stream_seq, commands=call.api.hub.exec_commands)


def _left_s(now_ns: Callable[[], int], until: int | None) -> float | None:
    return None if until is None else (until - now_ns()) / _SECOND


async def _live(reader: Reader, now_ns: Callable[[], int], until: int | None) -> AsyncIterator[list[DockerEvent]]:
    while True:
        try:
            yield await reader.next(_left_s(now_ns, until))
        except TimeoutError:
            return


async def _by_cursor(call: Call, span: EventSpan, after: int, filters: Filters) -> web.StreamResponse:
    try:
        last = await call.api.bus.transport.last_sequence(EVENT_STREAM.name)
    except TransportError as error:
        raise bus_away(call.api.bus.trouble or str(error)) from error
    if after > last:
        raise InvalidParameter(f"since=seq:{after}: the newest event is seq:{last}; begin again with since=seq:0")
    response = await replies.begin_stream(call.request, stream_type(call.request.headers.getall("Accept", [])))
    try:
        async for event in _stored_events(call, span, after):
            await _write(response, filters, [event])
    except CutOff as error:
        raise _cut(error) from error
    return response


async def _stored_events(call: Call, span: EventSpan, after: int) -> AsyncIterator[DockerEvent]:
    """The events behind that sequence number, from the stream alone, until the span ends; waits while NATS is away.

    Raises CutOff when the stream was begun anew: its numbers no longer mean the same events.
    """
    transport, too_short = call.api.bus.transport, 0
    while True:
        stored, left_s = call.api.hub.next_stored, _left_s(call.api.now_ns, span.until)
        try:
            last = await transport.last_sequence(EVENT_STREAM.name)
            too_short = too_short + 1 if last < after else 0
            if too_short == _TOO_SHORT:
                raise CutOff(f"the stream of events ends at {last}, before {after}: it was begun anew")
            if last > after:
                async for event in history(transport, after=after):
                    after = event.stream_seq
                    shown = _shown(call, event)
                    if shown is not None and not span.ends_before(shown.time_ns):
                        yield shown
        except TransportError as error:
            log.info("a reader of events waits: %s", error)
        if left_s is not None and left_s <= 0:
            return
        await _wait(stored, _LOOK_AGAIN_S if left_s is None else min(_LOOK_AGAIN_S, left_s))


async def _wait(stored: asyncio.Event, limit_s: float) -> None:
    """Wait for a further event, and a moment for more. What was announced may become readable later than that."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(limit_s):
            await stored.wait()
            await asyncio.sleep(_GATHER_S)
