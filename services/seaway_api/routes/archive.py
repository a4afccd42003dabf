"""The files of containers: copied in and out, exported, compared with the image. Nothing is kept whole in memory."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable
from typing import Final

import orjson
from aiohttp import web

from seaway_api.http import replies
from seaway_api.routes.call import Call
from seaway_bus.streams import ByteStream
from seaway_contracts import catalogue as cat
from seaway_contracts.archives import (
    ChangeKind,
    ExportContainer,
    ListChanges,
    PathStat,
    ReadPath,
    StatPath,
    WritePath,
)
from seaway_contracts.docker_errors import no_such_path
from seaway_contracts.errors import Reason, SeawayError
from seaway_docker import archive
from seaway_docker.errors import InvalidParameter
from seaway_docker.timestamps import rfc3339nano
from seaway_kit.tasks import cancel

log = logging.getLogger(__name__)
_TAR: Final = "application/x-tar"
_OCTETS: Final = "application/octet-stream"
_KINDS: Final[dict[ChangeKind, int]] = {"modified": 0, "added": 1, "deleted": 2}
_REFUSAL_S: Final = 30.0  # it comes beside the bytes that it stops, once the agent has let go of the files


async def stat(call: Call) -> web.StreamResponse:
    """HEAD /containers/{name}/archive: what stands at the path, in a header."""
    path = _path(call)
    identifier, node = await call.api.locate(call.name)
    try:
        found = await call.api.bus.call(
            cat.PATH_STAT, StatPath(id=identifier, path=path), node=node, command=call.command()
        )
    except SeawayError as error:
        raise _named(call, path, error) from error
    response = web.Response(headers=replies.COMMON_HEADERS)
    response.headers[archive.PATH_STAT_HEADER] = path_stat_header(found)
    return response


async def read(call: Call) -> web.StreamResponse:
    """GET /containers/{name}/archive: what stands at the path, as a tar."""
    path = _path(call)
    identifier, node = await call.api.locate(call.name)
    async with call.api.stream(node) as stream:
        request = ReadPath(id=identifier, path=path, stream=stream.id)
        try:
            found = await call.api.bus.call(cat.PATH_READ, request, node=node, command=call.command())
        except SeawayError as error:
            raise _named(call, path, error) from error
        response = web.StreamResponse(headers=replies.COMMON_HEADERS)
        response.headers["Content-Type"] = _TAR
        response.headers[archive.PATH_STAT_HEADER] = path_stat_header(found)
        await _relay(call, stream, response, "a copy")
        return response


async def write(call: Call) -> web.StreamResponse:
    """PUT /containers/{name}/archive: unpack the body in a directory."""
    path = _path(call)
    identifier, node = await call.api.locate(call.name)
    async with call.api.stream(node) as stream:
        request = WritePath(
            id=identifier,
            path=path,
            stream=stream.id,
            keep_kinds=call.flag("noOverwriteDirNonDir"),
            chown=call.flag("copyUIDGID"),
        )
        try:
            await call.api.bus.call(cat.PATH_WRITE, request, node=node, command=call.command())
            await _send(call, stream)
        except SeawayError as error:
            raise _named(call, path, error) from error
    return replies.empty(200)


async def _send(call: Call, stream: ByteStream) -> None:
    """Send the body; returns when the agent has written all. Its refusal ends the sending at once."""
    answer = call.api.tasks.spawn("copy-in-answer", _outcome(_answer(stream)))
    body = call.api.tasks.spawn("copy-in-body", _outcome(_body(call, stream)))
    try:
        await asyncio.wait({answer, body}, return_when=asyncio.FIRST_COMPLETED)
        unsent = body.result() if body.done() else None
        await asyncio.wait({answer}, timeout=_REFUSAL_S if unsent else None)
        if error := (answer.result() if answer.done() else None) or unsent:
            raise error
    finally:
        await cancel(body)
        await cancel(answer)


async def _outcome(work: Awaitable[None]) -> SeawayError | None:
    try:
        await work
    except SeawayError as error:
        return error
    return None


async def _body(call: Call, stream: ByteStream) -> None:
    async for data in call.request.content.iter_any():
        await stream.write(data)
    await stream.end()


async def _answer(stream: ByteStream) -> None:
    while await stream.read():
        pass


async def export(call: Call) -> web.StreamResponse:
    """GET /containers/{name}/export: the root filesystem as a tar, without volumes."""
    identifier, node = await call.api.locate(call.name)
    async with call.api.stream(node) as stream:
        request = ExportContainer(id=identifier, stream=stream.id)
        await call.api.bus.call(cat.EXPORT, request, node=node, command=call.command())
        response = web.StreamResponse(headers=replies.COMMON_HEADERS)
        response.headers["Content-Type"] = _OCTETS
        await _relay(call, stream, response, "an export")
        return response


async def changes(call: Call) -> web.StreamResponse:
    """GET /containers/{name}/changes: what differs from the image, by path; null for nothing."""
    identifier, node = await call.api.locate(call.name)
    async with call.api.stream(node) as stream:
        request = ListChanges(id=identifier, stream=stream.id)
        await call.api.bus.call(cat.CHANGES, request, node=node, command=call.command())
        found = [_change(line) async for line in _lines(stream)]
        await stream.end()
    found.sort(key=lambda change: str(change["Path"]).split("/"))
    return replies.json(found or None)


def _change(line: bytes) -> dict[str, object]:
    change = orjson.loads(line)
    return {"Path": change["path"], "Kind": _KINDS[change["kind"]]}


async def _lines(stream: ByteStream) -> AsyncIterator[bytes]:
    rest = b""
    while data := await stream.read():
        *lines, rest = (rest + data).split(b"\n")
        for line in lines:
            yield line


async def _relay(call: Call, stream: ByteStream, response: web.StreamResponse, what: str) -> None:
    """Pass the bytes on. An error before the first of them gives a status, a later one can only cut the answer off."""
    data = await stream.read()
    await response.prepare(call.request)
    try:
        while data:
            await response.write(data)
            data = await stream.read()
    except SeawayError as error:
        log.warning("%s of container %s broke off: %s", what, call.name, error)
        raise ConnectionResetError(str(error)) from error
    await stream.end()


def _path(call: Call) -> str:
    """The path asked for; Docker's own sentence lacks the blank."""
    path = call.text("path")
    if not path:
        raise InvalidParameter("bad parameter: pathcannot be empty")
    return path


def _named(call: Call, path: str, error: SeawayError) -> SeawayError:
    """The agent knows the container by its id; the client is told the name that it gave."""
    if error.reason is Reason.NO_SUCH_FILE:
        return no_such_path(path, call.name)
    return error


def path_stat_header(found: PathStat) -> str:
    """The header's value."""
    return archive.encode_path_stat(
        archive.PathStat(
            name=found.name,
            size=found.size,
            mode=archive.go_file_mode(found.mode),
            mtime=rfc3339nano(found.mtime_ns),
            link_target=found.link_target,
        )
    )
