"""List, inspect, history, tag, commit, remove and prune images."""

from aiohttp import web

from seaway_api.api import Api
from seaway_api.cache.lists import all_containers, all_images
from seaway_api.http import replies
from seaway_api.routes.call import Call, tell_prune
from seaway_api.translate.commit import image_order
from seaway_api.translate.images import history_json, image_facts, image_json, image_line, removed_json, shared_sizes
from seaway_contracts import catalogue as cat
from seaway_contracts.archives import CommitContainer, GrantCommit
from seaway_contracts.containers import State
from seaway_contracts.errors import SeawayError
from seaway_contracts.images import ImageInUse, ImageRecord, ImageRef, RemovedImages, RemoveImage, TagRequest
from seaway_docker.errors import InvalidParameter
from seaway_docker.filters import IMAGE_LIST_KEYS, IMAGE_PRUNE_KEYS, Filters, parse_filters, prunable, until_ns
from seaway_docker.model_container import ContainerConfig
from seaway_docker.object_filters import image_matches, matching_references
from seaway_docker.references import parse_reference

_LIVE = frozenset((State.RUNNING, State.PAUSED, State.RESTARTING))


async def list_images(call: Call) -> web.StreamResponse:
    """GET /images/json"""
    filters = _list_filters(call)
    dangling = filters.boolean("dangling", False) if "dangling" in filters else None
    filters = Filters({key: values for key, values in filters.values.items() if key != "dangling"})
    before = [await _image(call.api, ref) for ref in filters.get("before")[:1]]
    since = [await _image(call.api, ref) for ref in filters.get("since")[:1]]
    until = until_ns(filters, call.api.now_ns())
    images = [image async for image in all_images(call.api.bus)]
    shared = shared_sizes(images) if call.flag("shared-size") else {}
    shown = []
    for image in images:
        if dangling is not None and dangling == bool(image.repo_tags):
            continue
        facts = image_facts(image)
        if image_matches(
            filters,
            facts,
            before_ns=before[0].created_ns if before else None,
            since_ns=since[0].created_ns if since else None,
            until_ns=until,
        ):
            kept = matching_references(filters, facts.references)
            shown.append(image_line(image, call.version, kept, shared=shared.get(image.id, -1)))
    return replies.json(shown)


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
    return replies.json(image_json(await _image(call.api, call.params["name"]), call.version))


async def history(call: Call) -> web.StreamResponse:
    """GET /images/{name}/history"""
    return replies.json(history_json(await _image(call.api, call.params["name"])))


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
    making = [ImageInUse(image_id=image, container_id=one, running=False) for one, image in api.making.items()]
    made = [
        ImageInUse(image_id=record.spec.image.id, container_id=record.id, running=record.status.state in _LIVE)
        async for record in all_containers(api.bus, api.hub)
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
    deleted: list[dict[str, str]] = []
    reclaimed = 0
    for image in [image async for image in all_images(call.api.bus)]:
        unwanted = image.id not in held and not (dangling_only and image.repo_tags)
        if unwanted and prunable(filters, image.config.labels, image.created_ns, until):
            removed = await _removed(call, image, in_use)
            deleted += removed_json(removed)
            reclaimed += removed.reclaimed
    await tell_prune(call, "image", reclaimed)
    return replies.json({"ImagesDeleted": deleted or None, "SpaceReclaimed": reclaimed})


async def _removed(call: Call, image: ImageRecord, in_use: tuple[ImageInUse, ...]) -> RemovedImages:
    """One that can't be removed is left, as in Docker."""
    request = RemoveImage(ref=image.id, force=True, in_use=in_use)
    try:
        return await call.api.bus.call(cat.REMOVE_IMAGE, request, command=call.command())
    except SeawayError:
        return RemovedImages()


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
