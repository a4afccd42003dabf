"""Answers in Docker's shape."""

from functools import cache
from http import HTTPStatus
from typing import Any, Final

import orjson
from aiohttp import HttpVersion11, web
from aiohttp.abc import AbstractStreamWriter
from aiohttp.helpers import rfc822_formatted_time
from multidict import CIMultiDict

from seaway_api.translate.version import API_VERSION
from seaway_contracts.version import VERSION
from seaway_docker.streams import JSON_STREAM

COMMON_HEADERS: Final = CIMultiDict(
    {
        "Api-Version": API_VERSION,
        "Docker-Experimental": "false",
        "Ostype": "linux",
        "Server": f"Seaway/{VERSION} (linux)",
    }
)
_JSON_HEADERS: Final = CIMultiDict(COMMON_HEADERS)
_JSON_HEADERS["Content-Type"] = JSON_STREAM


_AT_ONCE: Final = 64 * 1024


class JsonReply(web.Response):
    """A body of JSON. It goes out in one piece with its head, where nothing else is to be done: aiohttp's own way to
    that takes a tenth of a whole request longer.
    """

    async def prepare(self, request: web.BaseRequest) -> AbstractStreamWriter | None:
        """Send all of it, or in aiohttp's way what goes before the body."""
        if not self._is_plain(request):
            return await super().prepare(request)
        assert isinstance(self.body, bytes)
        self._keep_alive = self._eof_sent = True
        lines = f"Content-Length: {len(self.body)}\r\nDate: {rfc822_formatted_time()}\r\n\r\n"
        await request.writer.write_eof(_head(self.status) + lines.encode() + self.body)
        return request.writer

    def _is_plain(self, request: web.BaseRequest) -> bool:
        """Whether only status and body set it apart: not for HEAD, and not as the last one of a connection."""
        return (
            request.version == HttpVersion11
            and request.keep_alive
            and self.keep_alive is None
            and request.method != "HEAD"
            and self.headers == _JSON_HEADERS
            and isinstance(self.body, bytes)
            and len(self.body) <= _AT_ONCE
        )


@cache
def _head(status: int) -> bytes:
    """What JSON answers with that status begin with."""
    lines = (f"{name}: {value}\r\n" for name, value in _JSON_HEADERS.items())
    return f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\n{''.join(lines)}".encode()


def json_bytes(data: bytes, status: int = 200) -> web.Response:
    """A body that already is JSON."""
    return JsonReply(body=data, status=status, headers=_JSON_HEADERS)


def json(value: Any, status: int = 200) -> web.Response:
    """A JSON body, with the line feed that Go's encoder writes."""
    return json_bytes(orjson.dumps(value, option=orjson.OPT_APPEND_NEWLINE), status)


def empty(status: int = 204) -> web.Response:
    """No body."""
    return web.Response(status=status, headers=COMMON_HEADERS)


def moved(path: str) -> web.Response:
    """301 to another path of this server."""
    return web.Response(status=301, headers={"Location": path})


def error(status: int, message: str) -> web.Response:
    """An error; 304 has no body."""
    return empty(304) if status == 304 else json({"message": message}, status)


async def begin_stream(request: web.BaseRequest, media_type: str = JSON_STREAM) -> web.StreamResponse:
    """Send the head of an answer whose body comes piece by piece (chunked; to an HTTP/1.0 client until the close)."""
    response = web.StreamResponse(headers=COMMON_HEADERS)
    response.headers["Content-Type"] = media_type
    await response.prepare(request)
    return response


class Taken(web.StreamResponse):
    """Stands for an answer that has been sent below HTTP, on a connection that was taken over."""

    async def prepare(self, request: web.BaseRequest) -> None:
        """Nothing is left to send."""
        self._keep_alive = False

    async def write_eof(self, data: bytes = b"") -> None:
        """Nothing is left to send."""
