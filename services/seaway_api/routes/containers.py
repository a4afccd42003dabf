"""List, inspect, measure, update, rename and prune containers, and list their processes."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Iterable
from typing import Final

import orjson
from aiohttp import web

from seaway_api.api import Api
from seaway_api.cache.containers import CachedContainer
from seaway_api.cache.lists import all_containers, listed_containers
from seaway_api.http import replies
from seaway_api.routes.call import Call, tell_prune
from seaway_api.routes.silent_nodes import unless_silent
from seaway_api.translate.image_catalogue import ImageCatalogue, with_image_name
from seaway_api.translate.inspect import inspect_json
from seaway_api.translate.listing import timed_line
from seaway_api.translate.networking import endpoint_form
from seaway_api.translate.update import asked_changes, new_name
from seaway_api.translate.warnings import limit_warnings
from seaway_contracts import catalogue as cat
from seaway_contracts.archives import ContainerSize, MeasureContainers
from seaway_contracts.commands import ContainerId, ListProcesses, RemoveContainer, RenameContainer
from seaway_contracts.containers import ContainerRecord, State
from seaway_contracts.errors import Code, SeawayError
from seaway_contracts.images import ImageRef
from seaway_docker.container_filters import ContainerQuery, container_query
from seaway_docker.errors import NAMES_EMPTY, InvalidParameter
from seaway_docker.filters import CONTAINER_LIST_KEYS, CONTAINER_PRUNE_KEYS, parse_filters, prunable, until_ns
from seaway_docker.model_container import ContainerUpdate

_LIVE = frozenset((State.RUNNING, State.PAUSED, State.RESTARTING))
_PAGE: Final = 200
_NAMES_S: Final = 1.0
_PS_ARGS: Final = "-ef"


async def list_containers(call: Call) -> web.StreamResponse:
    """GET /containers/json"""
    query = container_query(parse_filters(call.text("filters"), CONTAINER_LIST_KEYS))
    limit = call.integer("limit", 0)
    if limit < 0:
        limit = 0
    query = await _resolved(call.api, query)
    stopped = call.flag("all") or limit > 0 or query.includes_stopped
    view = (await call.api.nodes()).view
    now, form, with_size = call.api.now_ns(), endpoint_form(call.version), call.flag("size")
    images, shown = await asyncio.gather(_images(call.api), _shown(call.api, query, stopped=stopped, limit=limit))
    sizes = await container_sizes(call, [one.record for one in shown]) if with_size else {}

    def line(one: CachedContainer) -> bytes:
        node = view(one.node)
        if not with_size and (images is None or images.means(*one.image)):
            return one.line_json(now, form, node)
        made = timed_line(one.line(form, node), one.record, node, now_ns=now, size=sizes.get(one.id))
        return orjson.dumps(with_image_name(made, images))

    return replies.json_bytes(b"[" + b",".join([line(one) for one in shown]) + b"]\n")


async def _images(api: Api) -> ImageCatalogue | None:
    """What images are called by now. A list of containers doesn't wait for it for long."""
    try:
        async with asyncio.timeout(_NAMES_S):
            return await api.images()
    except (SeawayError, TimeoutError):
        return None


async def _shown(api: Api, query: ContainerQuery, *, stopped: bool, limit: int) -> list[CachedContainer]:
    shown: list[CachedContainer] = []
    async for page in _pages(api, query, stopped=stopped):
        shown += page[: limit - len(shown)] if limit else page
        if limit and len(shown) == limit:
            break
    return shown


async def _pages(api: Api, query: ContainerQuery, *, stopped: bool) -> AsyncIterator[list[CachedContainer]]:
    """The containers that match, newest first, by the page: between two pages others have their turn."""
    if query.only is not None:
        yield [one for one in await _only(api, query.only, stopped=stopped) if query.matches(one.facts)]
        return
    async for page in listed_containers(api.bus, api.hub, stopped=stopped):
        newest = [*map(api.hub.newest, page)] if api.hub.answers else page
        if query.takes_all:
            yield newest
        else:
            yield [one for one in newest if query.may_match(one.id, (one.name,)) and query.matches(one.facts)]


async def _only(api: Api, ref: str, *, stopped: bool) -> list[CachedContainer]:
    """The container of that id or name, if it has been made, and runs or may be `stopped`."""
    try:
        found = await api.cached(ref)
    except SeawayError as error:
        if error.code is Code.NOT_FOUND:
            return []
        raise
    return [found] if found.seq and (stopped or found.state in _LIVE) else []


async def _resolved(api: Api, query: ContainerQuery) -> ContainerQuery:
    """Look up what the filters name: a missing container is an error, a missing image matches nothing."""
    before = await api.record(query.before) if query.before is not None else None
    since = await api.record(query.since) if query.since is not None else None
    ancestors = [found for ref in query.ancestors if (found := await _image_id(api, ref)) is not None]
    images = (await api.images()) if ancestors else None
    families = frozenset[str]().union(*(images.family(one) for one in ancestors)) if images else frozenset[str]()
    return query.resolved(
        before_ns=before.spec.created_ns if before else None,
        since_ns=since.spec.created_ns if since else None,
        ancestor_ids=families,
    )


async def _image_id(api: Api, ref: str) -> str | None:
    try:
        return (await api.bus.call(cat.GET_IMAGE, ImageRef(ref=ref))).id
    except SeawayError as error:
        if error.code in (Code.NOT_FOUND, Code.BAD_REQUEST):
            return None
        raise


async def inspect(call: Call) -> web.StreamResponse:
    """GET /containers/{name}/json"""
    form, nodes = endpoint_form(call.version), await call.api.nodes()
    cached = await call.api.cached(call.name, lambda likely: likely.prepare(form, nodes.view(likely.record.node)))
    record = await with_health(call, cached.record)
    if record is cached.record and not call.flag("size"):
        return replies.json_bytes(cached.inspected_json(form, nodes.view(record.node)))
    shown = inspect_json(record, form, nodes.view(record.node))
    if call.flag("size"):
        size = (await container_sizes(call, [record])).get(record.id)
        shown |= {"SizeRw": size.rw if size else 0, "SizeRootFs": size.root_fs if size else 0}
    return replies.json(shown)


async def with_health(call: Call, record: ContainerRecord) -> ContainerRecord:
    """The record with the last probes. They are no events: its node knows them, and the record where that is away."""
    known = record.status.health
    if known is None or record.status.state is not State.RUNNING or call.api.hub.nodes.is_down(record.node):
        return record
    try:
        reply = await call.api.bus.call(cat.HEALTH, ContainerId(id=record.id), node=record.node)
    except SeawayError:
        return record
    status = record.status.model_copy(update={"health": reply.health or known})
    return record.model_copy(update={"status": status})


async def prune(call: Call) -> web.StreamResponse:
    """POST /containers/prune. One that can't be removed is left, as in Docker; so are those of a node that is away."""
    filters = parse_filters(call.text("filters"), CONTAINER_PRUNE_KEYS)
    until = until_ns(filters, call.api.now_ns())
    records = [record async for record in all_containers(call.api.bus, call.api.hub)]
    chosen = [
        record
        for record in records
        if record.status.state not in _LIVE and prunable(filters, record.spec.labels, record.spec.created_ns, until)
    ]
    sizes = await container_sizes(call, chosen)
    removed = await _removed(call, chosen)
    reclaimed = sum(sizes[identifier].rw for identifier in removed if identifier in sizes)
    await tell_prune(call, "container", reclaimed)
    return replies.json({"ContainersDeleted": removed or None, "SpaceReclaimed": reclaimed})


async def _removed(call: Call, records: Iterable[ContainerRecord]) -> list[str]:
    """Remove containers; the ids of those that are gone. A node that doesn't answer is asked once, for the first."""
    removed: list[str] = []
    away: set[str] = set()
    for record in records:
        if record.node in away or call.api.hub.nodes.is_down(record.node):
            continue
        try:
            await call.api.bus.call(cat.REMOVE, RemoveContainer(id=record.id), node=record.node, command=call.command())
        except SeawayError as error:
            if error.code in (Code.UNAVAILABLE, Code.TIMEOUT):
                away.add(record.node)
            continue
        call.api.hub.answers.removed(record.id)
        removed.append(record.id)
    return removed


async def container_sizes(call: Call, records: Iterable[ContainerRecord]) -> dict[str, ContainerSize]:
    """The sizes by id, from one request per node and page; missing for a node that is down or doesn't answer."""
    by_node: dict[str, list[str]] = defaultdict(list)
    for record in records:
        by_node[record.node].append(record.id)
    requests = [
        _measure(call, node, tuple(ids[start : start + _PAGE]))
        for node, ids in by_node.items()
        for start in range(0, len(ids), _PAGE)
    ]
    return {size.id: size for sizes in await asyncio.gather(*requests) for size in sizes}


async def _measure(call: Call, node: str, ids: tuple[str, ...]) -> tuple[ContainerSize, ...]:
    async def ask() -> tuple[ContainerSize, ...]:
        request = MeasureContainers(ids=ids)
        try:
            return (await call.api.bus.call(cat.SIZES, request, node=node, command=call.command())).sizes
        except SeawayError:
            return ()

    return await unless_silent(call.api, node, ask, ())


async def top(call: Call) -> web.StreamResponse:
    """GET /containers/{name}/top: the processes as the node's ps shows them."""
    identifier, node = await call.api.locate(call.name)
    request = ListProcesses(id=identifier, ps_args=call.text("ps_args") or _PS_ARGS)
    found = await call.api.bus.call(cat.TOP, request, node=node, command=call.command())
    return replies.json({"Processes": found.processes, "Titles": found.titles})


async def update(call: Call) -> web.StreamResponse:
    """POST /containers/{name}/update: limits and restart policy, of a running container at once."""
    body = await call.body(ContainerUpdate) if call.request.can_read_body else ContainerUpdate()
    request = asked_changes("", body)
    identifier, node = await call.api.locate(call.name)
    request = request.model_copy(update={"id": identifier})
    reply = await call.api.bus.call(cat.UPDATE, request, node=node, command=call.command())
    call.api.hub.answers.add(identifier, reply.status)
    return replies.json({"Warnings": [*limit_warnings(body), *reply.warnings] or None})


async def rename(call: Call) -> web.StreamResponse:
    """POST /containers/{name}/rename"""
    given = call.text("name")
    if not given:
        raise InvalidParameter(NAMES_EMPTY)
    record = await call.api.record(call.name)
    request = RenameContainer(id=record.id, name=new_name(given, record.spec.name))
    reply = await call.api.bus.call(cat.RENAME, request, command=call.command())
    call.api.hub.answers.add(record.id, reply.status)
    return replies.empty()
