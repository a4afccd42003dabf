"""Building images. There is no builder yet, and so no cache of one."""

from aiohttp import web

from seaway_api import pruned, replies
from seaway_api.call import Call
from seaway_docker.filters import BUILD_PRUNE_KEYS, parse_filters, until_ns


async def prune(call: Call) -> web.StreamResponse:
    """POST /build/prune"""
    call.integer("keep-storage", 0)
    until_ns(parse_filters(call.text("filters"), BUILD_PRUNE_KEYS), call.api.now_ns())
    await pruned.tell(call, "builder", 0)
    return replies.json({"CachesDeleted": None, "SpaceReclaimed": 0})
