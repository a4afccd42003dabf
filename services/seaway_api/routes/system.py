"""Ping, version, info, login, disk usage."""

import contextlib
from collections import Counter
from typing import Any, Final

from aiohttp import web
from multidict import CIMultiDict
from pydantic import Field

from seaway_api.builds.cache import cache_json, cached_steps
from seaway_api.cache.lists import all_containers, all_volumes, listed_containers
from seaway_api.http import replies
from seaway_api.http.errors import bus_away
from seaway_api.routes.call import Call
from seaway_api.routes.containers import container_sizes
from seaway_api.routes.volumes import volume_sizes
from seaway_api.settings import NO_BUILDER
from seaway_api.translate.image_catalogue import ImageCatalogue
from seaway_api.translate.info import (
    Cluster,
    disk_usage_json,
    disk_usage_kinds,
    info_json,
    only_kinds,
    version_json,
)
from seaway_api.translate.older import info_since
from seaway_api.translate.since import info_shown
from seaway_api.translate.volumes import measured, volume_json, volume_places, volume_users
from seaway_contracts import catalogue as cat
from seaway_contracts.base import Empty
from seaway_contracts.containers import ContainerRecord, State
from seaway_contracts.errors import SeawayError
from seaway_contracts.images import Registries, RegistryAuth, RegistryLogin
from seaway_contracts.nodes import NodeList
from seaway_docker.go_json import GoModel

_PING: Final = CIMultiDict(
    {
        **replies.COMMON_HEADERS,
        "Builder-Version": "2",
        "Cache-Control": "no-cache, no-store, must-revalidate",
        "Content-Type": "text/plain; charset=utf-8",
        "Pragma": "no-cache",
        "Swarm": "inactive",
    }
)
_PING_WITHOUT_BUILDKIT: Final = CIMultiDict({**_PING, "Builder-Version": "1"})


class Login(GoModel):
    """`POST /auth`"""

    username: str = Field("", alias="username")
    password: str = Field("", alias="password")
    auth: str = Field("", alias="auth")
    server_address: str = Field("", alias="serveraddress")
    identity_token: str = Field("", alias="identitytoken")
    registry_token: str = Field("", alias="registrytoken")


async def ping(call: Call) -> web.StreamResponse:
    """GET and HEAD /_ping. HEAD has no body, and says so."""
    headers = _PING if call.api.settings.buildkit != NO_BUILDER else _PING_WITHOUT_BUILDKIT
    if call.request.method == "HEAD":
        response = web.Response(headers=headers)
        response.headers["Content-Length"] = "0"
        return response
    return web.Response(body=b"OK", headers=headers)


async def version(call: Call) -> web.StreamResponse:
    """GET /version"""
    cluster = Cluster(nodes=(await _nodes(call, [])).nodes)
    return replies.json(version_json(cluster.facts(call.api.settings.node)))


async def info(call: Call) -> web.StreamResponse:
    """GET /info. What does not answer is left out and named in the warnings: it is asked when something is wrong."""
    cluster = await _cluster(call, with_records=False)
    api = call.api
    body = info_json(
        cluster,
        node=api.settings.node,
        now_ns=api.now_ns(),
        readers=api.hub.reader_count,
        warnings=api.warnings,
    )
    if api.buildkit is not None:
        body["DriverStatus"].append(["BuildKit", await api.buildkit.describe()])
    return replies.json(info_shown(call.version, info_since(call.version, body)))


async def auth(call: Call) -> web.StreamResponse:
    """POST /auth. The registry judges; credentials, and an identity token that it gives, are the client's to keep."""
    given = await call.body(Login)
    request = RegistryLogin(auth=RegistryAuth.model_validate(given.model_dump()))
    done = await call.api.bus.call(cat.LOGIN, request, command=call.command())
    return replies.json({"Status": "Login Succeeded", "IdentityToken": done.identity_token})


async def disk_usage(call: Call) -> web.StreamResponse:
    """GET /system/df. `type` asks for some kinds of objects alone."""
    kinds = disk_usage_kinds(call.query.getall("type", []), call.version)
    cluster = await _cluster(call, with_records=True)
    if cluster.bus_trouble:
        raise bus_away(cluster.bus_trouble)
    volumes = await _volumes(call, cluster) if "volume" in kinds else []
    view = (await call.api.nodes()).view
    sizes = await container_sizes(call, cluster.containers) if "container" in kinds else {}
    usage = disk_usage_json(cluster, volumes, call.version, view, sizes, now_ns=call.api.now_ns())
    if "build-cache" in kinds:
        usage["BuildCache"] = await _build_cache(call)
    return replies.json(only_kinds(usage, kinds))


async def _build_cache(call: Call) -> list[dict[str, Any]]:
    """Nothing of nodes and builders that are silent."""
    found: list[dict[str, Any]] = []
    with contextlib.suppress(SeawayError):
        found += [cache_json(step) for step in await cached_steps(call.api)]
    with contextlib.suppress(SeawayError):
        found += await call.api.buildkit.usage() if call.api.buildkit is not None else []
    return found


async def _volumes(call: Call, cluster: Cluster) -> list[dict[str, Any]]:
    """With their sizes, -1 where nobody could tell; none while metadata is silent."""
    try:
        volumes = [one for one in await all_volumes(call.api.bus, call.api.hub) if measured(one)]
    except SeawayError:
        return []
    sizes = await volume_sizes(call, volumes)
    users, places = volume_users(cluster.containers), volume_places(cluster.nodes)
    return [volume_json(one, places, {"RefCount": users[one.name], "Size": sizes.get(one.id, -1)}) for one in volumes]


async def _cluster(call: Call, *, with_records: bool) -> Cluster:
    """`with_records`: with all containers' records; else they are only counted, without reading each one anew."""
    if call.api.bus.trouble:
        return Cluster(bus_trouble=call.api.bus.trouble)
    silent: list[str] = []
    listed = await _nodes(call, silent)
    containers: tuple[ContainerRecord, ...] = ()
    counts = Counter[tuple[str, State]]()
    images = ImageCatalogue(())
    registries = Registries()
    try:
        if with_records:
            containers = tuple([record async for record in all_containers(call.api.bus, call.api.hub)])
        else:
            async for page in listed_containers(call.api.bus, call.api.hub):
                counts.update((one.node, call.api.hub.newest(one).state) for one in page)
    except SeawayError:
        counts.clear()
        silent.append("metadata")
    try:
        images = await call.api.images()
        registries = await call.api.bus.call(cat.REGISTRIES, Empty())
    except SeawayError:
        silent.append("image")
    silent_ones = tuple(dict.fromkeys(silent))
    return Cluster(listed.nodes, listed.cluster, containers, counts, images, registries, silent=silent_ones)


async def _nodes(call: Call, silent: list[str]) -> NodeList:
    try:
        return await call.api.bus.call(cat.LIST_NODES, Empty())
    except SeawayError:
        silent.append("metadata")
        return NodeList()
