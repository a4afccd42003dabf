"""List, inspect, history, tag, commit, remove and prune images."""

import asyncio
from collections import Counter

from aiohttp import web

from seaway_api.api import Api
from seaway_api.cache.lists import all_containers, listed_containers
from seaway_api.http import replies
from seaway_api.routes.call import Call, tell_prune
from seaway_api.translate.commit import image_order
from seaway_api.translate.image_catalogue import listed, prunable_images
from seaway_api.translate.images import history_json, image_json, image_line, removed_json
from seaway_api.translate.since import (
    CONTAINERS_OF_IMAGES_SINCE,
    PLATFORM_OF_HISTORY_SINCE,
    PLATFORM_OF_INSPECT_SINCE,
    check_image_platform,
    image_shown,
    removed_platform,
)
from seaway_contracts import catalogue as cat
from seaway_contracts.archives import CommitContainer, GrantCommit
from seaway_contracts.containers import State
from seaway_contracts.images import ImageInUse, ImageRecord, ImageRef, PruneImages, RemoveImage, TagRequest
from seaway_docker.errors import InvalidParameter
from seaway_docker.filters import IMAGE_LIST_KEYS, IMAGE_PRUNE_KEYS, Filters, parse_filters, prunable, until_ns
from seaway_docker.model_container import ContainerConfig
from seaway_docker.object_filters import image_matches, matching_references
from seaway_docker.references import parse_reference
from seaway_docker.timestamps import parse_timestamp

_COMPARED = frozenset(("label", "reference"))
_MOST_AT_ONCE = 500
_LIVE = frozenset((State.RUNNING, State.PAUSED, State.RESTARTING))


async def list_images(call: Call) -> web.StreamResponse:
    """GET /images/json"""
    filters = _list_filters(call)
    dangling = filters.boolean("dangling", False) if "dangling" in filters else None
    bounds = await _bounds(call, filters)
    catalogue, users = await asyncio.gather(call.api.images(), _users(call))
    images = listed(catalogue, every=call.flag("all"), dangling=dangling)
    filters = Filters({key: values for key, values in filters.values.items() if key in _COMPARED})
    if filters.values or bounds != (None, None):
        images = [one for one in images if image_matches(filters, one.facts, before_ns=bounds[0], since_ns=bounds[1])]
    if "reference" not in filters and not call.flag("shared-size"):
        lines = (one.line_json(call.version, -1 if users is None else users[one.id]) for one in images)
        return replies.json_bytes(b"[" + b",".join(lines) + b"]\n")
    shared = catalogue.shared if call.flag("shared-size") else {}
    return replies.json(
        [
            image_line(
                one.record,
                call.version,
                matching_references(filters, one.facts.references),
                containers=-1 if users is None else users[one.id],
                shared=shared.get(one.id, -1),
            )
            for one in images
        ]
    )


async def _users(call: Call) -> Counter[str] | None:
    """How many containers each image has, by its id; None for clients that aren't told."""
    if call.version < CONTAINERS_OF_IMAGES_SINCE:
        return None
    users = Counter[str]()
    async for page in listed_containers(call.api.bus, call.api.hub):
        users.update(one.image[1] for one in page)
    return users


async def _bounds(call: Call, filters: Filters) -> tuple[int | None, int | None]:
    """Images made before one time, and after another: the narrowest of all that are given."""
    until = [parse_timestamp(text, call.api.now_ns()) for text in filters.get("until")]
    before = [(await _image(call.api, ref)).created_ns for ref in filters.get("before")]
    since = [(await _image(call.api, ref)).created_ns for ref in filters.get("since")]
    return min((*before, *until), default=None), max(since, default=None)


def _list_filters(call: Call) -> Filters:
    """Before API 1.41 a parameter `filter` named the references."""
    filters = parse_filters(call.text("filters"), IMAGE_LIST_KEYS)
    if call.version >= (1, 41) or not call.text("filter"):
        return filters
    references = (*filters.get("reference"), call.text("filter"))
    return Filters({**filters.values, "reference": references})


async def _image(api: Api, ref: str) -> ImageRecord:
    return await api.bus.call(cat.GET_IMAGE, ImageRef(ref=ref))


async def inspect(call: Call) -> web.StreamResponse:
    """GET /images/{name}/json"""
    image = await _image(call.api, call.params["name"])
    if call.version >= PLATFORM_OF_INSPECT_SINCE:
        check_image_platform(call.text("platform"), call.params["name"], image)
    return replies.json(image_shown(call.version, image_json(image, call.version)))


async def history(call: Call) -> web.StreamResponse:
    """GET /images/{name}/history"""
    image = await _image(call.api, call.params["name"])
    if call.version >= PLATFORM_OF_HISTORY_SINCE:
        check_image_platform(call.text("platform"), call.params["name"], image)
    return replies.json(history_json((await call.api.images()).line_of_parents(image)))


async def tag(call: Call) -> web.StreamResponse:
    """POST /images/{name}/tag"""
    reference = parse_reference(call.text("repo"))
    if reference.digest is not None:
        raise InvalidParameter("cannot import digest reference")
    target = reference.with_tag(call.text("tag")).with_default_tag()
    request = TagRequest(source=call.params["name"], target=target.familiar)
    await call.api.bus.call(cat.TAG_IMAGE, request, command=call.command())
    return replies.empty(201)


async def remove(call: Call) -> web.StreamResponse:
    """DELETE /images/{name}. The image service decides; it is told which images containers hold."""
    if not call.params["name"].strip():
        raise InvalidParameter("image name cannot be blank")
    if platform := removed_platform(call.version, call.query.getall("platforms", [])):
        check_image_platform(platform, call.params["name"], await _image(call.api, call.params["name"]))
    request = RemoveImage(
        ref=call.params["name"],
        force=call.flag("force"),
        prune=not call.flag("noprune"),
        in_use=await _in_use(call.api),
    )
    removed = await call.api.bus.call(cat.REMOVE_IMAGE, request, command=call.command())
    return replies.json(removed_json(removed))


async def _in_use(api: Api) -> tuple[ImageInUse, ...]:
    """By containers, and by those that are being made: their layers may still be fetched."""
    making = [
        ImageInUse(image_id=image, container_id=one, running=False)
        for one, images in api.making.items()
        for image in images
    ]
    made = [
        ImageInUse(image_id=image.id, container_id=record.id, running=record.status.state in _LIVE)
        async for record in all_containers(api.bus, api.hub)
        for image in record.spec.images
    ]
    known = {use.container_id for use in made}
    return (*made, *(use for use in making if use.container_id not in known))


async def prune(call: Call) -> web.StreamResponse:
    """POST /images/prune: images without a name, with `dangling=false` all that no container holds."""
    filters = parse_filters(call.text("filters"), IMAGE_PRUNE_KEYS)
    dangling_only = filters.boolean("dangling", True)
    until = until_ns(filters, call.api.now_ns())
    in_use = await _in_use(call.api)
    held = {use.image_id for use in in_use}
    chosen = [
        one.id
        for one in prunable_images(await call.api.images(), dangling_only=dangling_only)
        if one.id not in held and prunable(filters, one.record.config.labels, one.record.created_ns, until)
    ]
    deleted: list[dict[str, str]] = []
    reclaimed = 0
    for start in range(0, len(chosen), _MOST_AT_ONCE):
        request = PruneImages(ids=tuple(chosen[start : start + _MOST_AT_ONCE]), in_use=in_use)
        removed = await call.api.bus.call(cat.PRUNE_IMAGES, request, command=call.command())
        deleted += removed_json(removed)
        reclaimed += removed.reclaimed
    await tell_prune(call, "image", reclaimed)
    return replies.json({"ImagesDeleted": deleted or None, "SpaceReclaimed": reclaimed})


async def commit(call: Call) -> web.StreamResponse:
    """POST /commit: the new image's id. A running container is paused meanwhile unless `pause=0`."""
    body = await _config(call)
    name = call.text("container").removeprefix("/")
    if not name:
        raise InvalidParameter('invalid name or ID supplied: ""')
    target = _target(call.text("repo"), call.text("tag"))
    record = await call.api.record(name)
    order = image_order(
        record,
        body,
        changes=call.query.getall("changes", []),
        target=target,
        author=call.text("author"),
        comment=call.text("comment"),
    )
    command = call.command()
    upload = await call.api.bus.call(cat.GRANT_COMMIT, GrantCommit(node=record.node, order=order), command=command)
    request = CommitContainer(id=record.id, upload=upload, comment=order.comment, pause=call.flag("pause", True))
    made = await call.api.bus.call(cat.COMMIT, request, node=record.node, command=command)
    return replies.json({"Id": made.id}, 201)


async def _config(call: Call) -> ContainerConfig | None:
    """The config that the client gave; one without any field is none, as for Go's embedded pointer."""
    body = await call.body(ContainerConfig) if call.request.can_read_body else None
    return body if body is not None and body.model_fields_set else None


def _target(repo: str, tag: str) -> str:
    """The new image's name with its tag; empty where it gets none. Raises InvalidReference (400)."""
    if not repo:
        return ""
    return parse_reference(repo).with_tag(tag).with_default_tag().familiar
