"""Building images, and the builders' cache."""

from typing import Final

from aiohttp import web

from seaway_api.builds import cache
from seaway_api.builds.cache_filters import chosen_ids, read_prune_filters, used_before_ns
from seaway_api.builds.options import build_request
from seaway_api.builds.output import BuildOutput
from seaway_api.builds.running import Build
from seaway_api.http import replies
from seaway_api.routes.call import Call, tell_prune
from seaway_api.translate.registry_auth import parse_registry_config
from seaway_contracts import catalogue as cat
from seaway_contracts.builds import PruneBuildCache
from seaway_contracts.networks import NetworkRef
from seaway_docker.errors import InvalidParameter
from seaway_docker.numbers import parse_int

_JOINED: Final = "container:"
_NO_SESSION: Final = "a build by BuildKit needs a session: build with buildx, or without version=2"


async def build(call: Call) -> web.StreamResponse:
    """POST /build. What is wrong before anything was said is a status, later it is a line of the stream."""
    if not call.version >= (1, 24):
        raise InvalidParameter("this API version can't build images")
    asked = build_request(call.query)
    if call.text("version") == "2":
        raise InvalidParameter(_NO_SESSION)
    auths = parse_registry_config(call.request.headers.get("X-Registry-Config", ""))
    network, node = await _network(call, asked.network)
    options = asked.options.model_copy(update={"network": network})
    output = BuildOutput(call.request, quiet=asked.quiet)
    one = Build(call.api, asked, options, auths, call.command(), node)
    await one.run(call.request.content, output)
    return output.response or await replies.begin_stream(call.request)


async def _network(call: Call, mode: str) -> tuple[str, str]:
    """The network of the steps as a node knows it, and the node that alone has it. Raises SeawayError."""
    if mode in ("", "default", "bridge"):
        return "", ""
    if mode in ("none", "host"):
        return mode, ""
    if mode.startswith(_JOINED):
        identifier, node = await call.api.locate(mode.removeprefix(_JOINED))
        return f"{_JOINED}{identifier}", node
    network = (await call.api.bus.call(cat.GET_NETWORK, NetworkRef(ref=mode))).network
    return network.id, ""


async def prune(call: Call) -> web.StreamResponse:
    """POST /build/prune"""
    keep = _size(call.text("keep-storage"))
    filters = read_prune_filters(call.text("filters"))
    before = used_before_ns(filters, call.api.now_ns())
    ids = chosen_ids(filters, await cache.cached_steps(call.api)) if filters.values else None
    asked = PruneBuildCache(ids=ids, keep_bytes=max(0, keep), before_ns=before)
    pruned = await cache.prune(call.api, asked, call.connection.actor)
    deleted, reclaimed = list(pruned.ids), pruned.reclaimed
    unused_ns = max(0, call.api.now_ns() - before) if before else 0
    if call.api.buildkit is not None and (
        more := await call.api.buildkit.prune(
            filters, everything=call.flag("all"), keep_bytes=max(0, keep), unused_ns=unused_ns
        )
    ):
        deleted, reclaimed = [*deleted, *more.ids], reclaimed + more.reclaimed
    await tell_prune(call, "builder", reclaimed)
    return replies.json({"CachesDeleted": deleted or None, "SpaceReclaimed": reclaimed})


async def cancel(call: Call) -> web.StreamResponse:
    """POST /build/cancel: stop the build to which a client has given this id."""
    identifier = call.text("id")
    if not identifier:
        raise InvalidParameter("build ID not provided")
    await cache.cancel(call.api, identifier, call.connection.actor)
    return replies.json_bytes(b"")


def _size(text: str) -> int:
    try:
        return parse_int(text or "0")
    except InvalidParameter as error:
        raise InvalidParameter(f"keep-storage is in bytes and expects an integer, got {text[:64]}: {error}") from None
