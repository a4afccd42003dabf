"""POST /containers/{name}/wait: the exit code, as soon as there is one."""

from typing import Any, Final

import orjson
from aiohttp import web

from seaway_api import replies
from seaway_api.call import Call
from seaway_api.hub import Watch
from seaway_contracts.containers import ContainerStatus, State
from seaway_docker.errors import InvalidParameter, invalid_wait_condition

_NOT_RUNNING: Final = "not-running"
_CONDITIONS: Final = frozenset(("", _NOT_RUNNING, "next-exit", "removed"))
_UP: Final = frozenset((State.RUNNING, State.PAUSED, State.RESTARTING))


async def wait(call: Call) -> web.StreamResponse:
    """The head goes out at once: clients that wait before they start count on it.

    The watch begins before the record is read, so that no exit falls between the two; and behind all that had come
    before, so that whatever it sees is news, also where the record holds it already.
    """
    condition = _condition(call)
    identifier, _ = await call.api.locate(call.name)
    await call.api.hub.current()
    watch = call.api.hub.watch(identifier)
    try:
        record = await call.api.record(identifier)
        response = await replies.begin_stream(call.request)
        if condition == _NOT_RUNNING and record.status.state not in _UP:
            ended = record.status
        else:
            ended = await _end(watch, condition)
        call.api.hub.answers.add(identifier, ended)
        await response.write(orjson.dumps(_answer(ended), option=orjson.OPT_APPEND_NEWLINE))
        return response
    finally:
        call.api.hub.unwatch(identifier, watch)


def _condition(call: Call) -> str:
    condition = call.text("condition")
    if condition not in _CONDITIONS:
        raise InvalidParameter(invalid_wait_condition(condition))
    return condition or _NOT_RUNNING


def _answer(status: ContainerStatus) -> dict[str, Any]:
    """A failed start is told besides the code that it left."""
    error = {"Error": {"Message": status.error}} if status.error else {}
    return error | {"StatusCode": status.exit_code}


async def _end(watch: Watch, condition: str) -> ContainerStatus:
    """The status after the exit that the condition means; the end of the container answers every condition."""
    while True:
        action, status = await watch.next()
        if action == "destroy" or (action == "die" and condition != "removed"):
            return status
