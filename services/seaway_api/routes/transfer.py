"""Images from and to the outside: pull, import, load, save. Progress goes to the client as JSON lines."""

from typing import Any, Final

import aiohttp
import orjson
from aiohttp import web

from seaway_api.http import replies
from seaway_api.http.errors import ApiError
from seaway_api.routes.call import Call
from seaway_api.translate.registry_auth import parse_registry_auth
from seaway_bus.streams import ByteStream
from seaway_contracts import catalogue as cat
from seaway_contracts.errors import SeawayError
from seaway_contracts.images import PullRequest
from seaway_docker.errors import InvalidParameter
from seaway_docker.references import parse_reference
from seaway_docker.streams import error_line, status_line

_TAR: Final = "application/x-tar"
_FROM_BODY: Final = "-"


async def create(call: Call) -> web.StreamResponse:
    """POST /images/create: a pull with `fromImage`, an import with `fromSrc`."""
    if call.text("fromImage"):
        return await _pull(call)
    if call.text("fromSrc"):
        return await _import(call)
    raise InvalidParameter("invalid reference format: give fromImage to pull, or fromSrc to import")


async def _pull(call: Call) -> web.StreamResponse:
    reference = parse_reference(call.text("fromImage")).with_tag_or_digest(call.text("tag"))
    auth = parse_registry_auth(call.request.headers.get("X-Registry-Auth", ""))
    async with call.api.stream(service="image") as stream:
        request = PullRequest(
            ref=reference.familiar, stream=stream.id, platform=call.text("platform"), auth=auth, all_tags=True
        )
        await call.api.bus.call(cat.PULL_IMAGE, request, command=call.command())
        response = await relay(call, stream)
        await stream.end()
        return response


async def relay(call: Call, stream: ByteStream) -> web.StreamResponse:
    """An error before the first byte gives a status, a later one a line in the stream."""
    response: web.StreamResponse | None = None
    try:
        while data := await stream.read():
            response = response or await replies.begin_stream(call.request)
            await response.write(data)
    except SeawayError as error:
        if response is None:
            raise
        await response.write(error_line(error.message))
    return response or await replies.begin_stream(call.request)


async def _import(call: Call) -> web.StreamResponse:
    if call.text("fromSrc") != _FROM_BODY:
        raise InvalidParameter("importing from a URL is not supported: fetch it, and send it as the body (fromSrc=-)")
    if call.text("repo"):
        target = parse_reference(call.text("repo")).with_tag_or_digest(call.text("tag"))
        if target.digest is not None:
            raise InvalidParameter("cannot import digest reference")
    names = ("repo", "tag", "message", "platform")
    query = [(name, call.text(name)) for name in names if call.text(name)]
    query += [("change", change) for change in call.query.getall("changes", [])]
    done = await _send(call, "/import", query)
    return await _said(call, [status_line(str(done["id"]))])


async def load(call: Call) -> web.StreamResponse:
    """POST /images/load. What is wrong with the archive is told in the stream, as Docker does."""
    query = [("quiet", "1" if call.flag("quiet", True) else "0")]
    query += [("platform", call.text("platform"))] if call.text("platform") else []
    response: web.StreamResponse | None = None
    try:
        async with call.api.archives.open("POST", "/load", query, call.request.content, call.command()) as answer:
            response = await replies.begin_stream(call.request)
            async for data in answer.iter_any():
                await response.write(data)
            return response
    except ApiError as refused:
        return await _said(call, [error_line(refused.message)])
    except SeawayError as broken:
        if response is None:
            raise
        await response.write(error_line(broken.message))
        return response


async def _send(call: Call, path: str, query: list[tuple[str, str]]) -> dict[str, Any]:
    """Pass the request's body to the image service; what it says when it has taken all of it."""
    async with call.api.archives.open("POST", path, query, call.request.content, call.command()) as answer:
        done: dict[str, Any] = orjson.loads(await answer.read())
        return done


async def _said(call: Call, lines: list[bytes]) -> web.StreamResponse:
    response = await replies.begin_stream(call.request)
    await response.write(b"".join(lines))
    return response


async def save_many(call: Call) -> web.StreamResponse:
    """GET /images/get?names=…&names=…"""
    return await _save(call, call.query.getall("names", []))


async def save_one(call: Call) -> web.StreamResponse:
    """GET /images/{name}/get"""
    return await _save(call, [call.params["name"]])


async def _save(call: Call, names: list[str]) -> web.StreamResponse:
    async with call.api.archives.open(
        "GET", "/save", [("names", name) for name in names], command=call.command()
    ) as answer:
        response = await replies.begin_stream(call.request, _TAR)
        try:
            async for data in answer.iter_any():
                await response.write(data)
        except aiohttp.ClientError as error:
            raise ConnectionResetError(f"the archive broke off: {error}") from error
        return response
