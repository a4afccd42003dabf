"""GET /containers/{name}/stats."""

import logging
from typing import Final

from aiohttp import web

from seaway_api.cache.stats_feeds import Listener
from seaway_api.http import replies
from seaway_api.routes.call import Call
from seaway_api.translate.stats import Shown, idle_line
from seaway_contracts.containers import State
from seaway_contracts.errors import SeawayError
from seaway_docker.errors import InvalidParameter

log = logging.getLogger(__name__)
_LEAST_SPAN_NS: Final = 700_000_000
_RUNS: Final = frozenset((State.RUNNING, State.PAUSED))


async def stats(call: Call) -> web.StreamResponse:
    """One object a second; without `stream` a single one, whose rates are over about a second before it."""
    stream, one_shot = call.flag("stream", default=True), call.flag("one-shot")
    if stream and one_shot:
        raise InvalidParameter("cannot have stream=true and one-shot=true")
    record = await call.api.record(call.name)
    if not stream and record.status.state not in _RUNS:
        return replies.json_bytes(idle_line(record.id, record.spec.name))
    listener = await call.api.stats.join(record.id, record.node)
    try:
        if stream:
            return await _follow(call, listener)
        line = await (_at_once(listener) if one_shot else _with_rates(listener))
        return replies.json_bytes(line or idle_line(record.id, record.spec.name))
    finally:
        await call.api.stats.leave(listener, record.node)


async def _at_once(listener: Listener) -> bytes:
    frame = await listener.next()
    return frame.shown.line(None) if frame is not None else b""


async def _with_rates(listener: Listener) -> bytes:
    """The first sample that rates can be reckoned from; of a container that has stopped, zeros."""
    first: Shown | None = None
    while (frame := await listener.next()) is not None:
        shown = frame.shown
        for before in (frame.before, first):
            if before is not None and shown.time_ns - before.time_ns >= _LEAST_SPAN_NS:
                return shown.line(before)
        if not shown.runs:
            return shown.line(None)
        first = first or shown
    return b""


async def _follow(call: Call, listener: Listener) -> web.StreamResponse:
    """Until the container is gone or the client hangs up. Of one that stops, zeros are shown, as with Docker."""
    response = await replies.begin_stream(call.request)
    try:
        while (frame := await listener.next()) is not None:
            await response.write(frame.line)
    except SeawayError as error:
        log.warning("the stats of container %s broke off: %s", listener.container, error)
        raise ConnectionResetError(str(error)) from error
    return response
