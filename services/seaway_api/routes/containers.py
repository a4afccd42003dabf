"""List, inspect and prune containers."""

from aiohttp import web

from seaway_api.api import Api
from seaway_api.cache.containers import CachedContainer
from seaway_api.cache.lists import all_containers, listed_containers
from seaway_api.http import replies
from seaway_api.routes import prune_events
from seaway_api.routes.call import Call
from seaway_api.routes.container_sizes import container_sizes
from seaway_api.translate.inspect import inspect_json
from seaway_api.translate.listing import timed_line
from seaway_contracts import catalogue as cat
from seaway_contracts.commands import ContainerId, RemoveContainer
from seaway_contracts.containers import ContainerRecord, State
from seaway_contracts.errors import Code, SeawayError
from seaway_contracts.images import ImageRef
from seaway_docker.container_filters import ContainerQuery, container_query
from seaway_docker.filters import CONTAINER_LIST_KEYS, CONTAINER_PRUNE_KEYS, parse_filters, prunable, until_ns

_LIVE = frozenset((State.RUNNING, State.PAUSED, State.RESTARTING))


async def list_containers(call: Call) -> web.StreamResponse:
    """GET /containers/json"""
    query = container_query(parse_filters(call.text("filters"), CONTAINER_LIST_KEYS))
    limit = call.integer("limit", 0)
    if limit < 0:
        limit = 0
    query = await _resolved(call.api, query)
    stopped = call.flag("all") or limit > 0 or query.includes_stopped or bool(query.exit_codes)
    shown = await _shown(call.api, query, limit, stopped=stopped)
    now = call.api.now_ns()
    if not call.flag("size"):
        return replies.json_bytes(b"[" + b",".join([one.line_json(now) for one in shown]) + b"]\n")
    sizes = await container_sizes(call, [one.record for one in shown])
    lines = [timed_line(one.line, one.record, now_ns=now, size=sizes.get(one.record.id)) for one in shown]
    return replies.json(lines)


async def _shown(api: Api, query: ContainerQuery, limit: int, *, stopped: bool) -> list[CachedContainer]:
    shown: list[CachedContainer] = []
    async for page in listed_containers(api.bus, api.hub, stopped=stopped):
        newest = [*map(api.hub.newest, page)] if api.hub.answers else page
        shown += newest if query.takes_all else (one for one in newest if query.matches(one.facts))
        if limit and len(shown) >= limit:
            return shown[:limit]
    return shown


async def _resolved(api: Api, query: ContainerQuery) -> ContainerQuery:
    """Look up what the filters name: a missing container is an error, a missing image matches nothing."""
    before = await api.record(query.before) if query.before is not None else None
    since = await api.record(query.since) if query.since is not None else None
    ancestors = [found for ref in query.ancestors if (found := await _image_id(api, ref)) is not None]
    return query.resolved(
        before_ns=before.spec.created_ns if before else None,
        since_ns=since.spec.created_ns if since else None,
        ancestor_ids=frozenset(ancestors),
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
    cached = await call.api.cached(call.name, CachedContainer.prepare)
    record = await with_health(call, cached.record)
    if record is cached.record and not call.flag("size"):
        return replies.json_bytes(cached.inspected_json)
    shown = inspect_json(record)
    if call.flag("size"):
        size = (await container_sizes(call, [record])).get(record.id)
        shown |= {"SizeRw": size.rw if size else 0, "SizeRootFs": size.root_fs if size else 0}
    return replies.json(shown)


async def with_health(call: Call, record: ContainerRecord) -> ContainerRecord:
    """The record with the last probes. They are no events: its node knows them, and the record where that is away."""
    known = record.status.health
    if known is None or record.status.state is not State.RUNNING:
        return record
    try:
        reply = await call.api.bus.call(cat.HEALTH, ContainerId(id=record.id), node=record.node)
    except SeawayError:
        return record
    status = record.status.model_copy(update={"health": reply.health or known})
    return record.model_copy(update={"status": status})


async def prune(call: Call) -> web.StreamResponse:
    """POST /containers/prune. One that can't be removed is left, as in Docker."""
    filters = parse_filters(call.text("filters"), CONTAINER_PRUNE_KEYS)
    until = until_ns(filters, call.api.now_ns())
    records = [record async for record in all_containers(call.api.bus, call.api.hub)]
    chosen = [
        record
        for record in records
        if record.status.state not in _LIVE and prunable(filters, record.spec.labels, record.spec.created_ns, until)
    ]
    sizes = await container_sizes(call, chosen)
    removed = [record.id for record in chosen if await _removed(call, record)]
    reclaimed = sum(sizes[identifier].rw for identifier in removed if identifier in sizes)
    await prune_events.tell(call, "container", reclaimed)
    return replies.json({"ContainersDeleted": removed or None, "SpaceReclaimed": reclaimed})


async def _removed(call: Call, record: ContainerRecord) -> bool:
    try:
        await call.api.bus.call(cat.REMOVE, RemoveContainer(id=record.id), node=record.node, command=call.command())
    except SeawayError:
        return False
    call.api.hub.answers.removed(record.id)
    return True
