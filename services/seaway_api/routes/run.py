"""Start, stop, restart, kill, pause, unpause, resize, remove: commands to the node that holds the container; wait."""

from typing import Any, TypeVar

import orjson
from aiohttp import web

from seaway_api.http import replies
from seaway_api.routes.call import Call
from seaway_cluster.start_and_remove import made_first
from seaway_cluster.start_and_remove import remove as remove_container
from seaway_cluster.wait import Condition, Ended, is_up, waiting
from seaway_contracts import catalogue as cat
from seaway_contracts.channels import CallChannel
from seaway_contracts.commands import (
    ContainerId,
    KillContainer,
    RemoveContainer,
    ResizeTty,
    StatusReply,
    StopContainer,
)
from seaway_contracts.docker_errors import cannot_kill, cannot_restart, container_not_running
from seaway_contracts.errors import Code, Reason, SeawayError, bad_request
from seaway_docker.errors import InvalidParameter, invalid_wait_condition
from seaway_docker.numbers import parse_int
from seaway_docker.signals import parse_signal

_LARGEST_EMPTY_BODY = 7
_WEEK_S = 7 * 86_400.0
C = TypeVar("C", ContainerId, StopContainer, KillContainer)


async def start(call: Call) -> web.StreamResponse:
    """POST /containers/{name}/start"""
    if (call.request.content_length or 0) > _LARGEST_EMPTY_BODY:
        raise InvalidParameter(
            "starting container with non-empty request body was deprecated since API v1.22 and removed in v1.24"
        )
    identifier, node = await call.api.locate(call.name)
    request = ContainerId(id=identifier)
    api, actor = call.api, call.connection.actor
    await made_first(api.bus, actor, api.record, identifier, node, lambda: _command(call, cat.START, request, node))
    return replies.empty()


async def stop(call: Call) -> web.StreamResponse:
    """POST /containers/{name}/stop"""
    return await _stop(call, cat.STOP)


async def restart(call: Call) -> web.StreamResponse:
    """POST /containers/{name}/restart"""
    return await _stop(call, cat.RESTART)


async def _stop(call: Call, channel: CallChannel[StopContainer, StatusReply]) -> web.StreamResponse:
    text, signal = call.text("t"), call.text("signal")
    seconds = parse_int(text) if text else None
    if signal:
        parse_signal(signal)
    identifier, node = await call.api.locate(call.name)
    request = StopContainer(id=identifier, timeout_s=seconds, signal=signal)
    try:
        await _command(call, channel, request, node, patience_s=_patience(channel, seconds))
    except SeawayError as error:
        if channel is not cat.RESTART or error.retryable:
            raise
        raise cannot_restart(call.name, error) from None
    return replies.empty()


def _patience(channel: CallChannel[StopContainer, StatusReply], seconds: int | None) -> float:
    """How long the answer may take: as long as the container has for its end, and then the usual time.

    What a container has of its own only its node knows; a node that is down ends the wait.
    """
    if seconds is None or seconds < 0:
        return _WEEK_S
    return channel.timeout_s + seconds


async def kill(call: Call) -> web.StreamResponse:
    """POST /containers/{name}/kill"""
    signal = call.text("signal") or "SIGKILL"
    try:
        parse_signal(signal)
        identifier, node = await call.api.locate(call.name)
    except InvalidParameter as error:
        raise cannot_kill(call.name, bad_request(str(error))) from None
    except SeawayError as error:
        raise cannot_kill(call.name, error) from None
    try:
        await _command(call, cat.KILL, KillContainer(id=identifier, signal=signal), node)
    except SeawayError as error:
        if error.reason is not Reason.NOT_RUNNING:  # a node doesn't know how it was asked for
            raise
        raise cannot_kill(call.name, container_not_running(identifier)) from None
    return replies.empty()


async def pause(call: Call) -> web.StreamResponse:
    """POST /containers/{name}/pause"""
    identifier, node = await call.api.locate(call.name)
    await _command(call, cat.PAUSE, ContainerId(id=identifier), node)
    return replies.empty()


async def unpause(call: Call) -> web.StreamResponse:
    """POST /containers/{name}/unpause"""
    identifier, node = await call.api.locate(call.name)
    await _command(call, cat.UNPAUSE, ContainerId(id=identifier), node)
    return replies.empty()


async def resize(call: Call) -> web.StreamResponse:
    """POST /containers/{name}/resize"""
    height, width = parse_int(call.text("h")), parse_int(call.text("w"))
    check_size(height, width)
    identifier, node = await call.api.locate(call.name)
    request = ResizeTty(id=identifier, height=height, width=width)
    await call.api.bus.call(cat.RESIZE, request, node=node, command=call.command())
    return replies.empty(200)


def check_size(height: int, width: int) -> None:
    """Raise InvalidParameter for a terminal's size that no kernel can have."""
    if not (0 <= height <= 65_535 and 0 <= width <= 65_535):
        raise InvalidParameter(f"a terminal of {height} by {width} can't be: each is at most 65535")


async def remove(call: Call) -> web.StreamResponse:
    """DELETE /containers/{name}"""
    if not call.name:
        raise InvalidParameter('invalid name or ID supplied: ""')
    if call.flag("link"):
        raise await _no_removal_of_link(call)
    identifier, node = await call.api.locate(call.name)
    request = RemoveContainer(id=identifier, force=call.flag("force"), volumes=call.flag("v"))
    hub = call.api.hub
    if await remove_container(call.api.bus, call.connection.actor, call.api.record, request, node):
        hub.answers.removed(identifier)
    else:
        hub.forget(identifier)
    return replies.empty()


async def _no_removal_of_link(call: Call) -> SeawayError | InvalidParameter:
    """A link is part of what its container is made of. Raises SeawayError (404) where there is none."""
    await call.api.locate(call.name)
    if "/" not in call.name:
        return InvalidParameter("Conflict, cannot remove the default link name of the container")
    holder = call.name.partition("/")[0]
    return InvalidParameter(f"a link stays as long as its container: remove {holder} and create it without the link")


async def _command(
    call: Call,
    channel: CallChannel[C, StatusReply],
    request: C,
    node: str,
    *,
    patience_s: float | None = None,
) -> None:
    try:
        reply = await call.api.bus.call(channel, request, node=node, command=call.command(), timeout_s=patience_s)
    except SeawayError as error:
        if error.code is Code.NOT_MODIFIED:
            await call.api.note_status(request.id, node)
        raise
    call.api.hub.answers.add(request.id, reply.status)


async def wait(call: Call) -> web.StreamResponse:
    """POST /containers/{name}/wait. Sends the head at once: clients that wait before they start need it."""
    condition = _condition(call.text("condition"))
    identifier, node = await call.api.locate(call.name)
    if condition is Condition.NOT_RUNNING and not is_up((await call.api.record(identifier)).status):
        await call.api.note_status(identifier, node)
    async with waiting(call.api.hub, call.api.record, identifier) as container:
        response = await replies.begin_stream(call.request)
        ended = await container.end(condition)
        call.api.hub.answers.add(identifier, ended.status)
        await response.write(orjson.dumps(_wait_body(ended), option=orjson.OPT_APPEND_NEWLINE))
        return response


def _condition(text: str) -> Condition:
    try:
        return Condition(text or Condition.NOT_RUNNING)
    except ValueError:
        raise InvalidParameter(invalid_wait_condition(text)) from None


def _wait_body(ended: Ended) -> dict[str, Any]:
    """Shows the error of a failed start, but not if the container was removed, which went well."""
    error = {"Error": {"Message": ended.status.error}} if ended.status.error and not ended.removed else {}
    return error | {"StatusCode": ended.status.exit_code}
