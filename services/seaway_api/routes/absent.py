"""Docker's endpoints that only return an error: experimental features, and what Seaway can't do yet."""

from typing import Final

from aiohttp import web

from seaway_api.http.errors import ApiError
from seaway_api.http.routing import Route
from seaway_api.routes.call import ApiRoute, Call

_NOT_YET: Final = (
    ("POST", "/swarm/init", "swarm mode"),
    ("POST", "/swarm/join", "swarm mode"),
)


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


def missing_routes() -> list[ApiRoute]:
    """Routes that Seaway lacks.

    The error contains "not supported", so that `docker inspect NAME` tries the next type of object.
    """
    return [Route(method, template, _Refusal(what)) for method, template, what in _NOT_YET]


class _Refusal:
    def __init__(self, what: str) -> None:
        self._what = what

    async def __call__(self, call: Call) -> web.StreamResponse:
        raise ApiError(501, f"not supported by Seaway yet: {self._what}")
