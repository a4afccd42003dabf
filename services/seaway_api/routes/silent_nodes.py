"""Reads that a silent node must not hold up, also before it is known that the node is down."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

from seaway_api.api import Api
from seaway_contracts import catalogue as cat
from seaway_contracts.commands import ListInventory
from seaway_contracts.errors import SeawayError

T = TypeVar("T")
_SILENT_S: Final = 4.0
_NOBODY: Final = "0" * 64


async def unless_silent(api: Api, node: str, ask: Callable[[], Awaitable[T]], otherwise: T) -> T:
    """What `ask` gives, however long it takes a node that lives; `otherwise` of one that is down or silent.

    `ask` may not raise SeawayError.
    """
    if api.hub.nodes.is_down(node):
        return otherwise
    try:
        async with asyncio.timeout(_SILENT_S) as limit, asyncio.TaskGroup() as group:
            group.create_task(_lift(api, node, limit))
            return await ask()
    except TimeoutError:
        return otherwise


async def _lift(api: Api, node: str, limit: asyncio.Timeout) -> None:
    """Lift the limit as soon as the node answers anything."""
    try:
        await api.bus.call(cat.INVENTORY, ListInventory(ids=(_NOBODY,)), node=node, timeout_s=_SILENT_S)
    except SeawayError as error:
        if error.retryable:
            return  # nobody has answered
    limit.reschedule(None)
