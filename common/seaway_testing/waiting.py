"""Waiting for a condition instead of sleeping for luck."""

import asyncio
import time
from collections.abc import Callable


async def until(holds: Callable[[], object], timeout_s: float = 10.0, what: str = "the condition") -> None:
    """Wait until `holds()` is true; raises AssertionError when it isn't in time."""
    limit = time.monotonic() + timeout_s
    while not holds():
        if time.monotonic() > limit:
            raise AssertionError(f"{what} did not come true within {timeout_s} s")
        await asyncio.sleep(0.002)
