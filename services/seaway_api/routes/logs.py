"""GET /containers/{name}/logs."""

import logging
from typing import Final

from aiohttp import web

from seaway_api.http import replies
from seaway_api.http.errors import ApiError
from seaway_api.routes.call import Call
from seaway_api.translate.version import ApiVersion
from seaway_bus.streams import ByteStream
from seaway_contracts import catalogue as cat
from seaway_contracts.commands import ReadLogs
from seaway_contracts.containers import ContainerRecord
from seaway_contracts.errors import SeawayError
from seaway_docker.errors import NO_STREAM_CHOSEN, InvalidParameter
from seaway_docker.streams import RAW_STREAM, stream_media_type
from seaway_docker.timestamps import parse_timestamp

log = logging.getLogger(__name__)
TYPED_SINCE: Final = (1, 42)


async def logs(call: Call) -> web.StreamResponse:
    """The output so far and, with `follow`, what comes; multiplexed unless the container has a terminal."""
    stdout, stderr = call.flag("stdout"), call.flag("stderr")
    if not (stdout or stderr):
        raise InvalidParameter(NO_STREAM_CHOSEN)
    record = await call.api.record(call.name)
    if record.spec.log.driver == "none":
        raise ApiError(501, "configured logging driver does not support reading")
    async with call.api.stream(record.node) as stream:
        request = _request(call, record, stream.id, stdout=stdout, stderr=stderr)
        await call.api.bus.call(cat.LOGS, request, node=record.node, command=call.command())
        response = await replies.begin_stream(call.request, media_type(record, call.version))
        await _relay(stream, response, record.id)
        await stream.end()
        return response


def media_type(record: ContainerRecord, version: ApiVersion) -> str:
    """The type of a container's output; older clients were told nothing of frames."""
    return RAW_STREAM if version < TYPED_SINCE else stream_media_type(record.spec.command.tty)


def _request(call: Call, record: ContainerRecord, stream: str, *, stdout: bool, stderr: bool) -> ReadLogs:
    now = call.api.now_ns()
    since, until = call.text("since"), call.text("until")
    return ReadLogs(
        id=record.id,
        stream=stream,
        stdout=stdout,
        stderr=stderr,
        follow=call.flag("follow"),
        tail=_tail(call.text("tail")),
        since_ns=max(0, parse_timestamp(since, now)) if since else 0,
        until_ns=max(0, parse_timestamp(until, now)) if until else 0,
        timestamps=call.flag("timestamps"),
        details=call.flag("details"),
    )


def _tail(text: str) -> int:
    """Docker takes everything that isn't a number for `all`."""
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 9 else -1


async def _relay(stream: ByteStream, response: web.StreamResponse, identifier: str) -> None:
    """Pass the bytes on. After the head an error can only cut the stream off."""
    try:
        while data := await stream.read():
            await response.write(data)
    except SeawayError as error:
        log.warning("the logs of container %s broke off: %s", identifier, error)
        raise ConnectionResetError(str(error)) from error
