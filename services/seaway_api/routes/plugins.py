"""Plugins: there are none, and none can be had. Requests are read as dockerd without plugins reads them."""

from typing import Final

from aiohttp import web

from seaway_api.http import replies
from seaway_api.http.errors import ApiError
from seaway_api.http.routing import Route
from seaway_api.routes.call import ApiRoute, Call
from seaway_contracts.docker_errors import no_such_plugin
from seaway_docker.errors import InvalidParameter
from seaway_docker.filters import parse_filters
from seaway_docker.numbers import parse_int
from seaway_docker.references import InvalidReference, parse_reference

_LIST_KEYS: Final = frozenset(("enabled", "capability"))
_NO_PLUGINS: Final = "not supported by Seaway yet: plugins"


def plugin_routes() -> list[ApiRoute]:
    """All of them; more specific templates first."""
    named = "/plugins/{name}"
    return [
        Route("GET", "/plugins", list_plugins),
        Route("GET", "/plugins/privileges", privileges),
        Route("POST", "/plugins/pull", pull),
        Route("POST", "/plugins/create", create),
        Route("GET", f"{named}/json", no_plugin),
        Route("POST", f"{named}/enable", enable),
        Route("POST", f"{named}/disable", no_plugin),
        Route("POST", f"{named}/set", no_plugin),
        Route("POST", f"{named}/push", no_plugin),
        Route("POST", f"{named}/upgrade", upgrade),
        Route("DELETE", named, no_plugin, nameless=True),
    ]


async def list_plugins(call: Call) -> web.StreamResponse:
    """GET /plugins"""
    parse_filters(call.text("filters"), _LIST_KEYS).boolean("enabled", False)
    return replies.json([])


async def no_plugin(call: Call) -> web.StreamResponse:
    """404, whichever it is."""
    raise no_such_plugin(call.params["name"])


async def enable(call: Call) -> web.StreamResponse:
    """POST /plugins/{name}/enable"""
    parse_int(call.text("timeout"))
    raise no_such_plugin(call.params["name"])


async def upgrade(call: Call) -> web.StreamResponse:
    """POST /plugins/{name}/upgrade"""
    parse_reference(call.text("remote"))
    raise no_such_plugin(parse_reference(call.params["name"]).with_default_tag().familiar)


async def privileges(call: Call) -> web.StreamResponse:
    """GET /plugins/privileges: what a plugin of a registry asks for."""
    parse_reference(call.text("remote"))
    raise ApiError(501, _NO_PLUGINS)


async def pull(call: Call) -> web.StreamResponse:
    """POST /plugins/pull"""
    parse_reference(call.text("remote"))
    if call.text("name"):
        parse_reference(call.text("name"))
    raise ApiError(501, _NO_PLUGINS)


async def create(call: Call) -> web.StreamResponse:
    """POST /plugins/create"""
    try:
        parse_reference(call.text("name"))
    except InvalidReference as error:
        raise InvalidParameter(f"failed to parse reference {call.text('name')[:128]}: {error}") from error
    raise ApiError(501, _NO_PLUGINS)
