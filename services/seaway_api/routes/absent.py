"""Docker's endpoints of experimental features, which only return an error."""

from typing import Final

from aiohttp import web

from seaway_api.http.errors import ApiError
from seaway_api.http.routing import Route
from seaway_api.routes.call import ApiRoute, Call

_EXPERIMENTAL: Final = (
    "This experimental feature is disabled by default. "
    "Start the Docker daemon in experimental mode in order to enable it."
)


async def not_experimental(_: Call) -> web.StreamResponse:
    """501, in the words of a daemon without its experimental features."""
    raise ApiError(501, _EXPERIMENTAL)


def checkpoint_routes() -> list[ApiRoute]:
    """Routes of checkpoints, an experimental feature of Docker."""
    checkpoints = "/containers/{name}/checkpoints"
    return [
        Route("GET", checkpoints, not_experimental),
        Route("POST", checkpoints, not_experimental),
        Route("DELETE", checkpoints + "/{checkpoint}", not_experimental),
    ]
