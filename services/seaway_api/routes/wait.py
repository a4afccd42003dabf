"""POST /containers/{name}/wait: the exit code, as soon as there is one."""

from typing import Any, Final

import orjson
from aiohttp import web

from seaway_api.cache.readers import Watch
from seaway_api.http import replies
from seaway_api.routes.call import Call
from seaway_contracts.containers import ContainerStatus, State
from seaway_docker.errors import InvalidParameter, invalid_wait_condition

_NOT_RUNNING: Final = "not-running"
_DESTROY: Final = "destroy"
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
            action, ended = "", record.status
        else:
            action, ended = await _end(watch, condition)
        call.api.hub.answers.add(identifier, ended)
        answer = _answer(ended, told=action != _DESTROY)
        await response.write(orjson.dumps(answer, option=orjson.OPT_APPEND_NEWLINE))
        return response
    finally:
        call.api.hub.unwatch(identifier, watch)


def _condition(call: Call) -> str:
    condition = call.text("condition")
    if condition not in _CONDITIONS:
        raise InvalidParameter(invalid_wait_condition(condition))
    return condition or _NOT_RUNNING


def _answer(status: ContainerStatus, *, told: bool) -> dict[str, Any]:
    """A failed start is `told` besides the code that it left, but not with the container's removal, which went well."""
    error = {"Error": {"Message": status.error}} if status.error and told else {}
    return error | {"StatusCode": status.exit_code}


async def _end(watch: Watch, condition: str) -> tuple[str, ContainerStatus]:
    """The end that the condition means, and the status after it; that of the container answers every condition."""
    while True:
        action, status = await watch.next()
        if action == _DESTROY or (action == "die" and condition != "removed"):
            return action, status
