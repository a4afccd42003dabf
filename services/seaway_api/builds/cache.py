"""The build caches of all nodes, and builds on any of them: listed, pruned, cancelled."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from seaway_api.api import Api
from seaway_api.builds.cache_filters import TYPE
from seaway_bus.bus import Command
from seaway_contracts import catalogue as cat
from seaway_contracts.base import Empty
from seaway_contracts.builds import CachedStep, CancelBuild, ListBuildCache, PruneBuildCache, PrunedBuildCache
from seaway_contracts.errors import SeawayError
from seaway_docker.timestamps import rfc3339nano

T = TypeVar("T")


async def builders(api: Api) -> list[str]:
    """The nodes that are up and have a builder. Raises SeawayError."""
    listed = await api.bus.call(cat.LIST_NODES, Empty())
    return sorted(one.node for one in listed.nodes if one.state == "up" and one.beat.facts.builder)


async def _of_each(api: Api, ask: Callable[[str], Awaitable[T]]) -> list[T]:
    """What the builders' nodes answer; those that don't are left out."""

    async def asked(node: str) -> T | None:
        try:
            return await ask(node)
        except SeawayError:
            return None

    found = await asyncio.gather(*map(asked, await builders(api)))
    return [one for one in found if one is not None]


async def cached_steps(api: Api) -> list[CachedStep]:
    """What is in the caches. Raises SeawayError."""
    caches = await _of_each(api, lambda node: api.bus.call(cat.BUILD_CACHE, ListBuildCache(), node=node))
    return [step for cache in caches for step in cache.steps]


def cache_json(step: CachedStep) -> dict[str, Any]:
    """An entry of `BuildCache`, as `GET /system/df` has them."""
    return {
        "ID": step.id,
        "Parents": [step.parent] if step.parent else None,
        "Type": TYPE,
        "Description": step.description,
        "InUse": step.in_use,
        "Shared": False,
        "Size": step.size,
        "CreatedAt": rfc3339nano(step.created_ns),
        "LastUsedAt": rfc3339nano(step.used_ns),
        "UsageCount": step.uses,
    }


async def prune(api: Api, asked: PruneBuildCache, actor: str) -> PrunedBuildCache:
    """Prune all caches; `keep_bytes` counts for each node. Raises SeawayError."""
    done = await _of_each(
        api, lambda node: api.bus.call(cat.PRUNE_BUILD_CACHE, asked, node=node, command=Command.new(actor))
    )
    ids = tuple(dict.fromkeys(one for pruned in done for one in pruned.ids))
    return PrunedBuildCache(ids=ids, reclaimed=sum(pruned.reclaimed for pruned in done))


async def cancel(api: Api, identifier: str, actor: str) -> bool:
    """Stop the build that a client has given this id; whether any node has it. Raises SeawayError."""
    asked = CancelBuild(id=identifier)
    done = await _of_each(
        api, lambda node: api.bus.call(cat.CANCEL_BUILD, asked, node=node, command=Command.new(actor))
    )
    return any(one.found for one in done)
