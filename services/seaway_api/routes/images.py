"""List, inspect, history, tag, remove and prune images."""

from aiohttp import web

from seaway_api import replies
from seaway_api.api import Api
from seaway_api.call import Call
from seaway_api.lists import all_containers, all_images
from seaway_api.translate.images import history_json, image_facts, image_json, image_line, removed_json
from seaway_contracts import catalogue as cat
from seaway_contracts.containers import State
from seaway_contracts.errors import SeawayError
from seaway_contracts.images import ImageInUse, ImageRecord, ImageRef, RemoveImage, TagRequest
from seaway_docker.errors import InvalidParameter
from seaway_docker.filters import IMAGE_LIST_KEYS, IMAGE_PRUNE_KEYS, parse_filters, prunable, until_ns
from seaway_docker.object_filters import image_matches, matching_references
from seaway_docker.references import parse_reference

_LIVE = frozenset((State.RUNNING, State.PAUSED, State.RESTARTING))


async def list_images(call: Call) -> web.StreamResponse:
    """GET /images/json"""
    filters = parse_filters(call.text("filters"), IMAGE_LIST_KEYS)
    before = [await _image(call.api, ref) for ref in filters.get("before")[:1]]
    since = [await _image(call.api, ref) for ref in filters.get("since")[:1]]
    until = until_ns(filters, call.api.now_ns())
    shown = []
    async for image in all_images(call.api.bus):
        facts = image_facts(image)
        if image_matches(
            filters,
            facts,
            before_ns=before[0].created_ns if before else None,
            since_ns=since[0].created_ns if since else None,
            until_ns=until,
        ):
            kept = set(matching_references(filters, facts.references))
            line = image_line(image, call.version)
            line["RepoTags"] = [tag for tag in line["RepoTags"] if tag in kept or "<none>" in tag]
            line["RepoDigests"] = [text for text in line["RepoDigests"] if text in kept or "<none>" in text]
            shown.append(line)
    return replies.json(shown)


async def _image(api: Api, ref: str) -> ImageRecord:
    return await api.bus.call(cat.GET_IMAGE, ImageRef(ref=ref))


async def inspect(call: Call) -> web.StreamResponse:
    """GET /images/{name}/json"""
    return replies.json(image_json(await _image(call.api, call.params["name"]), call.version))


async def history(call: Call) -> web.StreamResponse:
    """GET /images/{name}/history"""
    return replies.json(history_json(await _image(call.api, call.params["name"])))


async def tag(call: Call) -> web.StreamResponse:
    """POST /images/{name}/tag"""
    reference = parse_reference(call.text("repo"))
    if reference.digest is not None:
        raise InvalidParameter("refusing to create a tag with a digest reference")
    target = reference.with_tag_or_digest(call.text("tag")).with_default_tag()
    request = TagRequest(source=call.params["name"], target=target.familiar)
    await call.api.bus.call(cat.TAG_IMAGE, request, command=call.command())
    return replies.empty(201)


async def remove(call: Call) -> web.StreamResponse:
    """DELETE /images/{name}. The image service decides; it is told which images containers hold."""
    request = RemoveImage(
        ref=call.params["name"],
        force=call.flag("force"),
        prune=not call.flag("noprune"),
        in_use=await _in_use(call.api),
    )
    removed = await call.api.bus.call(cat.REMOVE_IMAGE, request, command=call.command())
    return replies.json(removed_json(removed))


async def _in_use(api: Api) -> tuple[ImageInUse, ...]:
    return tuple(
        [
            ImageInUse(image_id=record.spec.image.id, container_id=record.id, running=record.status.state in _LIVE)
            async for record in all_containers(api.bus)
        ]
    )


async def prune(call: Call) -> web.StreamResponse:
    """POST /images/prune: images without a name, with `dangling=false` all that no container holds."""
    filters = parse_filters(call.text("filters"), IMAGE_PRUNE_KEYS)
    dangling_only = filters.boolean("dangling", True)
    until = until_ns(filters, call.api.now_ns())
    in_use = await _in_use(call.api)
    held = {use.image_id for use in in_use}
    deleted: list[dict[str, str]] = []
    reclaimed = 0
    for image in [image async for image in all_images(call.api.bus)]:
        unwanted = image.id not in held and not (dangling_only and image.repo_tags)
        if unwanted and prunable(filters, image.config.labels, image.created_ns, until):
            lines = await _removed(call, image, in_use)
            deleted += lines
            reclaimed += image.size if lines else 0
    return replies.json({"ImagesDeleted": deleted or None, "SpaceReclaimed": reclaimed})


async def _removed(call: Call, image: ImageRecord, in_use: tuple[ImageInUse, ...]) -> list[dict[str, str]]:
    """One that can't be removed is left, as in Docker."""
    request = RemoveImage(ref=image.id, force=True, in_use=in_use)
    try:
        return removed_json(await call.api.bus.call(cat.REMOVE_IMAGE, request, command=call.command()))
    except SeawayError:
        return []
