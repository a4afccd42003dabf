"""How large containers are: each node is asked once, for all of its containers that are shown."""

import asyncio
from collections import defaultdict
from collections.abc import Iterable
from typing import Final

from seaway_api.routes.call import Call
from seaway_contracts import catalogue as cat
from seaway_contracts.archives import ContainerSize, MeasureContainers
from seaway_contracts.containers import ContainerRecord
from seaway_contracts.errors import SeawayError

_PAGE: Final = 200


async def container_sizes(call: Call, records: Iterable[ContainerRecord]) -> dict[str, ContainerSize]:
    """The sizes by id; those of a node that doesn't answer are missing."""
    by_node: dict[str, list[str]] = defaultdict(list)
    for record in records:
        by_node[record.node].append(record.id)
    asked = [
        _asked(call, node, tuple(ids[start : start + _PAGE]))
        for node, ids in by_node.items()
        for start in range(0, len(ids), _PAGE)
    ]
    return {size.id: size for sizes in await asyncio.gather(*asked) for size in sizes}


async def _asked(call: Call, node: str, ids: tuple[str, ...]) -> tuple[ContainerSize, ...]:
    try:
        reply = await call.api.bus.call(cat.SIZES, MeasureContainers(ids=ids), node=node, command=call.command())
    except SeawayError:
        return ()
    return reply.sizes
