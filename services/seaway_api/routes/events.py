"""GET /events: the stored past and the live present as one stream, each event once."""

import logging
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Final

from aiohttp import web

from seaway_api.cache.readers import CutOff, Reader
from seaway_api.http import replies
from seaway_api.http.errors import bus_away
from seaway_api.routes.call import Call
from seaway_api.translate.events import DockerEvent, docker_event, shown_by_default
from seaway_bus.events import Event, history
from seaway_bus.transport import TransportError
from seaway_docker.errors import InvalidParameter
from seaway_docker.event_filters import event_matches
from seaway_docker.filters import EVENT_KEYS, Filters, parse_filters
from seaway_docker.timestamps import parse_timestamp

log = logging.getLogger(__name__)
_SECOND: Final = 1_000_000_000


async def events(call: Call) -> web.StreamResponse:
    """Ends at `until`, and when the client hangs up. The head goes out once the past is found, even if nothing happens.

    A client that is too slow is cut off, in the middle of the answer; `since` the last event it goes on.
    """
    filters = parse_filters(call.text("filters"), EVENT_KEYS)
    now = call.api.now_ns()
    since, until = _moment(call, "since", now), _moment(call, "until", now)
    if since is not None and until is not None and since > until:
        raise InvalidParameter(f"`since` time ({since // _SECOND}) cannot be after `until` time ({until // _SECOND})")
    reader, heard, unstored = call.api.hub.read(), call.api.hub.handed_on, call.api.hub.unstored
    try:
        past = await _begun(call, since, unstored) if since is not None else None
        response = await replies.begin_stream(call.request)
        async for batch in _batches(call, reader, heard, past, since, until):
            chosen = [event.line for event in batch if _wanted(filters, event)]
            if chosen:
                await response.write(b"".join(chosen))
        return response
    except CutOff as error:
        log.warning("a reader of events is cut off: %s", error)
        raise ConnectionResetError(str(error)) from error  # without the last chunk: it is to see that this is no end
    finally:
        call.api.hub.unread(reader)


async def _begun(call: Call, since: int, unstored: Sequence[Event]) -> AsyncIterator[Event]:
    """The past from then on, and what was told just now and isn't stored yet.

    The first of it has come: if it can't be read, a status still says so.
    """
    past = history(call.api.bus.transport, start_ns=max(0, since))
    try:
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


def _moment(call: Call, key: str, now_ns: int) -> int | None:
    text = call.text(key)
    return parse_timestamp(text, now_ns) if text and text != "0" else None


def _wanted(filters: Filters, event: DockerEvent) -> bool:
    if not filters.get("type") and not shown_by_default(event):
        return False
    return event_matches(filters, event.facts)


async def _batches(
    call: Call, reader: Reader, heard: int, past: AsyncIterator[Event] | None, since: int | None, until: int | None
) -> AsyncIterator[list[DockerEvent]]:
    """First the past, if it was asked for, then what the reader has got meanwhile and gets from now on.

    What was stored up to `heard` was handed on before the reader began, so only what is behind it can come twice.
    """
    seen: set[str] = set()
    begun = call.api.now_ns()
    if past is not None and since is not None:
        async for event in past:
            shown = docker_event(event.envelope, event.data, commands=call.api.hub.exec_commands)
            if shown is None or shown.time_ns < since or (until is not None and shown.time_ns > until):
                continue
            if event.stream_seq > heard:
                seen.add(shown.id)
            yield [shown]
    async for batch in _live(reader, call.api.now_ns, until):
        yield [
            event
            for event in batch
            if event.id not in seen
            and (until is None or event.time_ns <= until)
            and not (event.stored and event.time_ns < (begun if since is None else since))
        ]


async def _live(reader: Reader, now_ns: Callable[[], int], until: int | None) -> AsyncIterator[list[DockerEvent]]:
    while True:
        limit = None if until is None else (until - now_ns()) / _SECOND
        try:
            yield await reader.next(limit)
        except TimeoutError:
            return
