"""Refuses all commands while the disk is too full for the agent to store anything."""

import asyncio
import logging
import os
from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Final

from seaway_bus.bus import Bus
from seaway_contracts import catalogue
from seaway_contracts.errors import Code, SeawayError

log = logging.getLogger(__name__)
NEEDED: Final = 1 << 20
_LOOK_S: Final = 0.25
_LIMIT_S: Final = 20.0


def free_bytes(path: Path) -> int:
    """The free bytes on the file system of `path`, or of its nearest directory that exists."""
    there = next(part for part in (path, *path.parents) if part.exists())
    found = os.statvfs(there)
    return found.f_bavail * found.f_frsize


async def wait_for_disk_space(
    bus: Bus, node: str, root: Path, free: Callable[[Path], int] = free_bytes, limit_s: float = _LIMIT_S
) -> None:
    """Return when the agent can write; until then refuse every command with the reason.

    Raises SeawayError (NO_SPACE) after `limit_s`, so that the agent's starter gets the reason too.
    """
    if free(root) >= NEEDED:
        return
    refusal = SeawayError(
        Code.NO_SPACE,
        f"node {node} has no space left on the disk of {root}: free space there "
        f"(it needs {NEEDED >> 20} MiB at least); its containers go on",
    )
    log.critical("%s", refusal)
    loop = asyncio.get_running_loop()
    end = loop.time() + limit_s
    async with AsyncExitStack() as stack:
        refuses = False
        while free(root) < NEEDED:
            if loop.time() >= end:
                raise refusal
            if bus.connected and not refuses:
                await _refuse_all(bus, node, refusal, stack)
                refuses = True
            await asyncio.sleep(_LOOK_S)
    log.info("there is room again on the disk of %s", root)


async def _refuse_all(bus: Bus, node: str, refusal: SeawayError, stack: AsyncExitStack) -> None:
    for channel in catalogue.CALLS:
        if channel.to_node:
            subscription = await bus.refuse(channel, refusal, node=node)
            stack.push_async_callback(subscription.close)
