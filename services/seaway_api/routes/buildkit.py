"""What buildx asks of a daemon: connections on which gRPC is spoken, to BuildKit and from it."""

from typing import Final

from aiohttp import web

from seaway_api.buildkit.entry import BuildKit
from seaway_api.http import replies
from seaway_api.http.hijack import Tunnel
from seaway_api.routes.call import Call
from seaway_contracts.errors import internal, unavailable
from seaway_docker.errors import InvalidParameter

_H2C: Final = "h2c"
_SESSION_ID: Final = "X-Docker-Expose-Session-Uuid"
_HEAD: Final = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n"


async def grpc(call: Call) -> web.StreamResponse:
    """POST /grpc: the client calls BuildKit."""
    if trouble := _trouble(call):
        raise internal(trouble)
    buildkit = _buildkit(call)
    tunnel = _take_over(call)
    try:
        await buildkit.grpc(tunnel, call.connection.actor)
    finally:
        tunnel.close()
    return replies.Taken()


async def session(call: Call) -> web.StreamResponse:
    """POST /session: BuildKit calls the client, for files, secrets and logins."""
    if trouble := _trouble(call):
        raise InvalidParameter(trouble)
    headers, identifier = call.request.headers, call.request.headers.get(_SESSION_ID, "")
    async with _buildkit(call).session(headers.items(), identifier, call.connection.actor) as serve:
        tunnel = _take_over(call)
        try:
            await serve(tunnel)
        finally:
            tunnel.close()
    return replies.Taken()


def _trouble(call: Call) -> str:
    """What is wrong with the upgrade, in dockerd's words."""
    asked = call.request.headers.get("Upgrade", "")
    if not asked:
        return "no upgrade proto in request"
    return "" if asked == _H2C else f"protocol {asked[:64]} not supported"


def _buildkit(call: Call) -> BuildKit:
    if call.api.buildkit is None:
        raise unavailable("this API has no builder")
    return call.api.buildkit


def _take_over(call: Call) -> Tunnel:
    return call.connection.take_over(_HEAD)
