"""Building images. There is no builder yet, and so no cache of one."""

from typing import Final

from aiohttp import web

from seaway_api.http import replies
from seaway_api.routes.call import Call, tell_prune
from seaway_docker.errors import InvalidParameter
from seaway_docker.filters import Filters, parse_filters, until_ns
from seaway_docker.numbers import parse_int

_FAILED: Final = "failed to prune build cache: "
_SINGLE: Final = ("description", "id", "inuse", "parent", "private", "shared", "type", "until")


async def prune(call: Call) -> web.StreamResponse:
    """POST /build/prune"""
    _check_size(call.text("keep-storage"))
    _check(parse_filters(call.text("filters"), None), call.api.now_ns())
    await tell_prune(call, "builder", 0)
    return replies.json({"CachesDeleted": None, "SpaceReclaimed": 0})


def _check_size(text: str) -> None:
    try:
        parse_int(text or "0")
    except InvalidParameter as error:
        raise InvalidParameter(f"keep-storage is in bytes and expects an integer, got {text[:64]}: {error}") from None


def _check(filters: Filters, now_ns: int) -> None:
    """Docker takes any key; one that it does not know has no effect."""
    if any(len(filters.get(key)) > 1 for key in _SINGLE):
        raise InvalidParameter(f"{_FAILED}filters expect only one value")
    try:
        until_ns(filters, now_ns)
    except InvalidParameter as error:
        wanted = "\"until\" filter expects a duration (e.g., '24h') or a timestamp"
        raise InvalidParameter(f"{_FAILED}{wanted}: {error}") from None
