"""POST /containers/{name}/wait: the exit code, as soon as there is one."""

from typing import Any

import orjson
from aiohttp import web

from seaway_api.http import replies
from seaway_api.routes.call import Call
from seaway_cluster.wait import Condition, Ended, waiting
from seaway_docker.errors import InvalidParameter, invalid_wait_condition


async def wait(call: Call) -> web.StreamResponse:
    """The head goes out at once: clients that wait before they start count on it."""
    condition = _condition(call.text("condition"))
    identifier, _ = await call.api.locate(call.name)
    async with waiting(call.api.hub, call.api.record, identifier) as container:
        response = await replies.begin_stream(call.request)
        ended = await container.end(condition)
        call.api.hub.answers.add(identifier, ended.status)
        await response.write(orjson.dumps(_answer(ended), option=orjson.OPT_APPEND_NEWLINE))
        return response


def _condition(text: str) -> Condition:
    try:
        return Condition(text or Condition.NOT_RUNNING)
    except ValueError:
        raise InvalidParameter(invalid_wait_condition(text)) from None


def _answer(ended: Ended) -> dict[str, Any]:
    """A failed start is shown besides the code that it left, but not with the container's removal, which went well."""
    error = {"Error": {"Message": ended.status.error}} if ended.status.error and not ended.removed else {}
    return error | {"StatusCode": ended.status.exit_code}
