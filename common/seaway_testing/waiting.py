"""Waiting for a condition instead of sleeping for luck."""

import asyncio
import time
from collections.abc import Callable
from typing import Final

GUARD_S: Final = 60.0
"""After which a test is told that what it waits for doesn't come. No service waits that long by itself, and a machine
under load may stop for seconds: a shorter guard fails by chance.
"""


async def until(holds: Callable[[], object], timeout_s: float = GUARD_S, what: str = "the condition") -> None:
    """Wait until `holds()` is true; raises AssertionError when it isn't in time."""
    limit = time.monotonic() + timeout_s
    while not holds():
        if time.monotonic() > limit:
            raise AssertionError(f"{what} did not come true within {timeout_s} s")
        await asyncio.sleep(0.002)


def wait(holds: Callable[[], object], what: Callable[[], object] | str = "the condition") -> None:
    """The same without an event loop; `what` may tell it late. Raises AssertionError after `GUARD_S`."""
    limit = time.monotonic() + GUARD_S
    while not holds():
        if time.monotonic() > limit:
            raise AssertionError(f"{what if isinstance(what, str) else what()} did not come true within {GUARD_S} s")
        time.sleep(0.05)
