"""Docker's endpoints that only return an error: swarm mode, experimental features, and what Seaway can't do yet."""

from typing import Final

from aiohttp import web

from seaway_api.http.errors import ApiError
from seaway_api.http.routing import Route
from seaway_api.routes.call import ApiRoute, Call
from seaway_docker.errors import NODE_NOT_SWARM

_SWARM: Final = ("nodes", "services", "tasks", "secrets", "configs")
_NOT_YET: Final = (
    ("POST", "/images/{name}/push", "pushing images"),
    ("GET", "/images/search", "searching registries"),
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


async def no_swarm(_: Call) -> web.StreamResponse:
    """503: this is no swarm manager."""
    raise ApiError(503, NODE_NOT_SWARM)


def swarm_routes() -> list[ApiRoute]:
    """What clients ask of a swarm manager."""
    routes: list[ApiRoute] = [Route("GET", "/swarm", no_swarm), Route("POST", "/swarm/leave", no_swarm)]
    for noun in _SWARM:
        routes += [Route("GET", f"/{noun}", no_swarm), Route("GET", f"/{noun}/{{name}}", no_swarm)]
        routes += [Route("POST", f"/{noun}/create", no_swarm), Route("DELETE", f"/{noun}/{{name}}", no_swarm)]
    return routes


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
