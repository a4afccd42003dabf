"""What is done with registries: push, search, and what a registry says of an image."""

from aiohttp import web

from seaway_api.http import replies
from seaway_api.http.errors import ApiError
from seaway_api.routes.call import Call
from seaway_api.routes.system import Login
from seaway_api.routes.transfer import relay
from seaway_api.translate.registries import (
    lenient_auth,
    read_limit,
    read_search_filters,
    remote_image_json,
    search_json,
)
from seaway_contracts import catalogue as cat
from seaway_contracts.images import PushRequest, RegistryAuth, RemoteImageRequest, SearchRequest
from seaway_docker.errors import InvalidParameter
from seaway_docker.go_json import decode_body
from seaway_docker.references import Reference, is_full_image_id, parse_reference

_AUTH = "X-Registry-Auth"


async def push(call: Call) -> web.StreamResponse:
    """POST /images/{name}/push; without a tag, all tags. What goes wrong is told in the stream."""
    auth = await _push_auth(call)
    reference = _pushed(call.params["name"], call.text("tag"))
    async with call.api.stream(service="image") as stream:
        request = PushRequest(ref=reference.familiar, stream=stream.id, auth=auth)
        await call.api.bus.call(cat.PUSH_IMAGE, request, command=call.command())
        response = await relay(call, stream)
        await stream.end()
        return response


def _pushed(name: str, tag: str) -> Reference:
    reference = parse_reference(name)
    if not tag:
        return reference
    if ":" in tag:
        raise InvalidParameter("invalid tag format")
    return Reference(reference.domain, reference.path).with_tag_or_digest(tag)


async def _push_auth(call: Call) -> RegistryAuth | None:
    """From the header; old clients send it as the body."""
    header = call.request.headers.get(_AUTH, "")
    if header:
        return lenient_auth(header)
    raw = await call.raw_body()
    try:
        if not raw:
            raise InvalidParameter("EOF")
        return RegistryAuth.model_validate(decode_body(Login, raw).model_dump())
    except InvalidParameter as error:
        text = f"bad parameters and missing {_AUTH}: invalid {_AUTH} header: {error}"
        raise InvalidParameter(text) from None


async def search(call: Call) -> web.StreamResponse:
    """GET /images/search. The registry searches; the filters are ours."""
    limit = read_limit(call.text("limit"))
    wanted = read_search_filters(call.text("filters"))
    request = SearchRequest(term=call.text("term"), limit=limit, auth=lenient_auth(call.request.headers.get(_AUTH, "")))
    if wanted.nothing:
        return replies.json([])
    found = await call.api.bus.call(cat.SEARCH_REGISTRY, request, command=call.command())
    return replies.json(search_json(found, wanted))


async def distribution(call: Call) -> web.StreamResponse:
    """GET /distribution/{name}/json"""
    name = call.params["name"]
    if is_full_image_id(name):
        raise ApiError(500, "no manifest found for full image ID")
    reference = parse_reference(name)
    request = RemoteImageRequest(ref=reference.familiar, auth=lenient_auth(call.request.headers.get(_AUTH, "")))
    return replies.json(remote_image_json(await call.api.bus.call(cat.REMOTE_IMAGE, request, command=call.command())))
