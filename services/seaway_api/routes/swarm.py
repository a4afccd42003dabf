"""Swarm's endpoints, as a node outside a swarm answers them: what is wrong with a request goes first, then 503."""

from collections.abc import Awaitable, Callable
from typing import Final

from aiohttp import web
from pydantic import Field

from seaway_api.http.errors import ApiError
from seaway_api.http.routing import Route
from seaway_api.routes.call import ApiRoute, Call
from seaway_api.translate.network_options import parse_bool
from seaway_docker.errors import NO_STREAM_CHOSEN, NODE_IN_NO_SWARM, NODE_NOT_SWARM, InvalidParameter
from seaway_docker.filters import parse_filters
from seaway_docker.go_json import GoModel

Check = Callable[[Call], Awaitable[None]]
_NOUNS: Final = ("node", "service", "task", "secret", "config")
_WRITTEN: Final = ("service", "secret", "config")
_LARGEST_VERSION: Final = 2**64


def swarm_routes() -> list[ApiRoute]:
    """What clients ask of a swarm manager."""
    routes: list[ApiRoute] = [
        Route("GET", "/swarm", _Refusal()),
        Route("GET", "/swarm/unlockkey", _Refusal()),
        Route("POST", "/swarm/unlock", _Refusal(_body)),
        Route("POST", "/swarm/update", _Refusal(_body, _Version("swarm"), _rotations)),
        Route("POST", "/swarm/leave", in_no_swarm),
        Route("POST", "/swarm/init", not_yet),
        Route("POST", "/swarm/join", not_yet),
    ]
    for noun in _NOUNS:
        routes += _routes_of(noun)
    return routes


def _routes_of(noun: str) -> list[ApiRoute]:
    path = f"/{noun}s"
    routes: list[ApiRoute] = [Route("GET", path, _Refusal(*_LISTED.get(noun, (_filters,))))]
    if noun in ("service", "task"):
        routes.append(Route("GET", f"{path}/{{name}}/logs", _Refusal(_streams)))
    if noun != "task":
        routes.append(Route("POST", f"{path}/{{name}}/update", _Refusal(_body, _Version(noun))))
        routes.append(Route("DELETE", f"{path}/{{name}}", _Refusal()))
    if noun in _WRITTEN:
        routes.append(Route("POST", f"{path}/create", _Refusal(_body)))
    return [*routes, Route("GET", f"{path}/{{name}}", _Refusal(*_INSPECTED.get(noun, ())))]


async def in_no_swarm(_: Call) -> web.StreamResponse:
    """503: there is nothing to leave."""
    raise ApiError(503, NODE_IN_NO_SWARM)


class _Membership(GoModel):
    """`POST /swarm/init` and `join`, as far as it is read."""

    listen_address: str = Field("", alias="ListenAddr")


async def not_yet(call: Call) -> web.StreamResponse:
    """501, as there is no swarm mode; the body is read before.

    The error contains "not supported", so that `docker inspect NAME` tries the next type of object.
    """
    body = await call.optional_body(_Membership)
    if not body.listen_address:
        raise InvalidParameter('invalid ListenAddr "": invalid empty address')
    raise ApiError(501, "not supported by Seaway yet: swarm mode")


class _Refusal:
    """503: this is no swarm manager. `checks` look at the request before."""

    def __init__(self, *checks: Check) -> None:
        self._checks = checks

    async def __call__(self, call: Call) -> web.StreamResponse:
        for check in self._checks:
            await check(call)
        raise ApiError(503, NODE_NOT_SWARM)


async def _filters(call: Call) -> None:
    parse_filters(call.text("filters"), None)


async def _body(call: Call) -> None:
    await call.optional_body(GoModel)


async def _streams(call: Call) -> None:
    if not (call.flag("stdout") or call.flag("stderr")):
        raise InvalidParameter(NO_STREAM_CHOSEN)


async def _rotations(call: Call) -> None:
    for key in ("rotateWorkerToken", "rotateManagerToken", "rotateManagerUnlockKey"):
        try:
            parse_bool(call.text(key) or "0")
        except ValueError as error:
            raise InvalidParameter(f"invalid value for {key}: {call.text(key)}") from error


class _Bool:
    """Refuses what strconv.ParseBool does."""

    def __init__(self, key: str) -> None:
        self._key = key

    async def __call__(self, call: Call) -> None:
        try:
            parse_bool(call.text(self._key) or "0")
        except ValueError as error:
            raise InvalidParameter(f"invalid value for {self._key}: {call.text(self._key)}: {error}") from error


class _Version:
    """Refuses a `version` that is no number (uint64)."""

    def __init__(self, noun: str) -> None:
        self._noun = noun

    async def __call__(self, call: Call) -> None:
        text = call.text("version")
        if text.isascii() and text.isdigit() and int(text[:21]) < _LARGEST_VERSION:
            return
        if self._noun in ("secret", "config"):
            raise InvalidParameter(f"invalid {self._noun} version")
        reason = f'strconv.ParseUint: parsing "{text[:64]}": invalid syntax'
        raise InvalidParameter(f"invalid {self._noun} version '{text[:64]}': {reason}")


_LISTED: Final[dict[str, tuple[Check, ...]]] = {"service": (_filters, _Bool("status"))}
_INSPECTED: Final[dict[str, tuple[Check, ...]]] = {"service": (_Bool("insertDefaults"),)}
