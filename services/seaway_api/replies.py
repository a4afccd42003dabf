"""Answers in Docker's shape."""

from typing import Any, Final

import orjson
from aiohttp import web
from multidict import CIMultiDict

from seaway_api.version import API_VERSION, SERVER_VERSION
from seaway_docker.streams import JSON_STREAM

COMMON_HEADERS: Final = CIMultiDict(
    {
        "Api-Version": API_VERSION,
        "Docker-Experimental": "false",
        "Ostype": "linux",
        "Server": f"Seaway/{SERVER_VERSION} (linux)",
    }
)
_JSON_HEADERS: Final = CIMultiDict(COMMON_HEADERS)
_JSON_HEADERS["Content-Type"] = JSON_STREAM


def json_bytes(data: bytes, status: int = 200) -> web.Response:
    """A body that already is JSON."""
    return web.Response(body=data, status=status, headers=_JSON_HEADERS)


def json(value: Any, status: int = 200) -> web.Response:
    """A JSON body, with the line feed that Go's encoder writes."""
    return json_bytes(orjson.dumps(value, option=orjson.OPT_APPEND_NEWLINE), status)


def empty(status: int = 204) -> web.Response:
    """No body."""
    return web.Response(status=status, headers=COMMON_HEADERS)


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
