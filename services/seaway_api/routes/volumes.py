"""Create, list, inspect, remove and prune volumes, and measure them."""

import asyncio
import secrets
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from typing import Final

from aiohttp import web

from seaway_api.cache.lists import all_containers, all_volumes
from seaway_api.http import replies
from seaway_api.http.errors import ApiError
from seaway_api.routes.call import Call, tell_prune
from seaway_api.routes.silent_nodes import unless_silent
from seaway_api.translate.version import ApiVersion
from seaway_api.translate.volumes import (
    check_all,
    measured,
    volume_facts,
    volume_json,
    volume_places,
    volume_record,
    volume_users,
)
from seaway_contracts import catalogue as cat
from seaway_contracts.base import Empty
from seaway_contracts.docker_errors import no_such_volume
from seaway_contracts.errors import Code, SeawayError
from seaway_contracts.volumes import (
    ANONYMOUS_LABEL,
    CreateVolume,
    MeasureVolumes,
    RemoveVolume,
    VolumeRecord,
    VolumeRef,
)
from seaway_docker.errors import NODE_NOT_SWARM, InvalidParameter
from seaway_docker.filters import VOLUME_LIST_KEYS, VOLUME_PRUNE_KEYS, Filters, parse_filters, prunable
from seaway_docker.object_filters import volume_matches
from seaway_docker.volumes import VolumeCreate

_CLUSTER_VOLUMES_SINCE: Final[ApiVersion] = (1, 42)
_NAMED_STAY_SINCE: Final[ApiVersion] = (1, 42)
_PAGE: Final = 200
_AT_ONCE: Final = 16
"""So many volumes does a prune remove at the same time."""


async def create(call: Call) -> web.StreamResponse:
    """POST /volumes/create. The name of a volume that is there gives that one, as in Docker."""
    body = await call.optional_body(VolumeCreate)
    if body.cluster_spec is not None and call.version >= _CLUSTER_VOLUMES_SINCE:
        raise ApiError(503, NODE_NOT_SWARM)
    places = await _places(call)
    try:
        record = volume_record(body, secrets.token_hex(32), call.api.now_ns(), places)
    except InvalidParameter:
        if (known := await _known(call, body.name)) is None:
            raise
        return replies.json(volume_json(known, places), 201)
    made = (await call.api.bus.call(cat.CREATE_VOLUME, CreateVolume(volume=record), command=call.command())).volume
    call.api.hub.volumes.made(made.id)
    return replies.json(volume_json(made, places), 201)


async def _known(call: Call, name: str) -> VolumeRecord | None:
    """A volume whose create request is wrong, and doesn't matter if it is there."""
    try:
        return await _find(call, name) if name else None
    except SeawayError as error:
        if error.code is not Code.NOT_FOUND:
            raise
        return None


async def _places(call: Call) -> dict[str, str]:
    """Where each node keeps volumes. Raises SeawayError."""
    return volume_places((await call.api.bus.call(cat.LIST_NODES, Empty())).nodes)


async def list_volumes(call: Call) -> web.StreamResponse:
    """GET /volumes"""
    filters = _list_filters(call.text("filters"))
    volumes, places = await asyncio.gather(all_volumes(call.api.bus, call.api.hub), _places(call))
    users = await _users(call) if "dangling" in filters else Counter()
    shown = [volume_json(one, places) for one in volumes if volume_matches(filters, volume_facts(one, users))]
    return replies.json({"Volumes": shown, "Warnings": None})


def _list_filters(text: str) -> Filters:
    try:
        parse_filters(text, None)
    except InvalidParameter as error:
        raise InvalidParameter(f"error reading volume filters: {error}") from None
    filters = parse_filters(text, VOLUME_LIST_KEYS)
    filters.boolean("dangling", False)
    return filters


async def _users(call: Call) -> Counter[str]:
    return volume_users([record async for record in all_containers(call.api.bus, call.api.hub)])


async def inspect(call: Call) -> web.StreamResponse:
    """GET /volumes/{name}"""
    found, places = await asyncio.gather(_find(call, call.params["name"]), _places(call))
    return replies.json(volume_json(found, places))


async def _find(call: Call, name: str) -> VolumeRecord:
    if not name:
        raise no_such_volume(name)
    hub = call.api.hub
    request = VolumeRef(name=name, basis=hub.volumes.basis(), containers=hub.answers.basis())
    return (await call.api.bus.call(cat.GET_VOLUME, request)).volume


async def update(_: Call) -> web.StreamResponse:
    """PUT /volumes/{name}: for volumes of Swarm alone."""
    raise ApiError(503, "volume update only valid for cluster volumes, but swarm is unavailable")


async def remove(call: Call) -> web.StreamResponse:
    """DELETE /volumes/{name}. With `force` there needs to be none."""
    force = call.flag("force")
    if not call.params["name"]:
        raise no_such_volume("")
    try:
        await _remove(call, call.params["name"], force=force)
    except SeawayError as error:
        if error.code is not Code.NOT_FOUND or not force:
            raise
    return replies.empty()


async def _remove(call: Call, name: str, identifier: str = "", *, force: bool = False) -> None:
    hub = call.api.hub
    request = RemoveVolume(
        name=name, id=identifier, force=force, basis=hub.volumes.basis(), containers=hub.answers.basis()
    )
    removed = await call.api.bus.call(cat.REMOVE_VOLUME, request, command=call.command())
    hub.volumes.removed(removed.volume.id)


async def prune(call: Call) -> web.StreamResponse:
    """POST /volumes/prune: anonymous volumes that no container has, or all of those. Volumes with options stay."""
    filters = parse_filters(call.text("filters"), VOLUME_PRUNE_KEYS)
    named = check_all(filters) or call.version < _NAMED_STAY_SINCE
    volumes, users = await asyncio.gather(all_volumes(call.api.bus, call.api.hub), _users(call))
    chosen = [
        one
        for one in volumes
        if not users[one.name]
        and measured(one)
        and (named or ANONYMOUS_LABEL in one.labels)
        and prunable(filters, one.labels, one.created_ns, None)
    ]
    sizes = await volume_sizes(call, chosen)
    removed = await _removed(call, chosen)
    reclaimed = sum(max(sizes.get(one.id, 0), 0) for one in removed)
    await tell_prune(call, "volume", reclaimed)
    return replies.json({"VolumesDeleted": [one.name for one in removed], "SpaceReclaimed": reclaimed})


async def _removed(call: Call, volumes: Sequence[VolumeRecord]) -> list[VolumeRecord]:
    """Remove volumes, some at once; returns those that are gone. Those that can't be removed are left, as in Docker."""
    gate = asyncio.Semaphore(_AT_ONCE)

    async def is_removed(volume: VolumeRecord) -> bool:
        if call.api.hub.nodes.is_down(volume.node):
            return False
        async with gate:
            try:
                await _remove(call, volume.name, volume.id)
            except SeawayError:
                return False
        return True

    gone = await asyncio.gather(*map(is_removed, volumes))
    return [volume for volume, is_gone in zip(volumes, gone, strict=True) if is_gone]


async def volume_sizes(call: Call, volumes: Iterable[VolumeRecord]) -> dict[str, int]:
    """Bytes by id, from one request per node and page; 0 for a volume without a node.

    Those of a node that is down or doesn't answer are missing.
    """
    by_node: dict[str, list[str]] = defaultdict(list)
    for volume in volumes:
        by_node[volume.node].append(volume.id)
    sizes = dict.fromkeys(by_node.pop("", ()), 0)
    pages = [
        _measure(call, node, tuple(ids[start : start + _PAGE]))
        for node, ids in by_node.items()
        for start in range(0, len(ids), _PAGE)
    ]
    for measured_page in await asyncio.gather(*pages):
        sizes |= measured_page
    return sizes


async def _measure(call: Call, node: str, ids: tuple[str, ...]) -> dict[str, int]:
    async def ask() -> dict[str, int]:
        try:
            return (await call.api.bus.call(cat.MEASURE_VOLUMES, MeasureVolumes(ids=ids), node=node)).sizes
        except SeawayError:
            return {}

    return await unless_silent(call.api, node, ask, {})
