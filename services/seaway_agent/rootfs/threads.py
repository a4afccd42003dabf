"""Waiting for threads to their end: a cancelled caller must not leave a thread behind that still writes."""

import asyncio
from collections.abc import Callable
from typing import Any, TypeVar

T = TypeVar("T")


async def ended(work: asyncio.Future[Any]) -> bool:
    """Wait until `work` has ended, however, even when cancelled. Whether there was such a cancellation."""
    cancelled = False
    while not work.done():
        try:
            await asyncio.wait([work])
        except asyncio.CancelledError:
            cancelled = True
    if not work.cancelled():
        work.exception()
    return cancelled


async def run_to_end(function: Callable[[], T]) -> T:
    """Run `function` in a thread. A cancellation takes effect when it has ended."""
    work = asyncio.get_running_loop().run_in_executor(None, function)
    if await ended(work):
        raise asyncio.CancelledError
    return work.result()
