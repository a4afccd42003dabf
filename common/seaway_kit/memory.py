"""Memory that a burst of work has left free goes back to the system: glibc keeps what lies between what is in use."""

import asyncio
import ctypes
from typing import Final

_INTERVAL_S: Final = 30.0
_M_ARENA_MAX: Final = -8  # malloc.h


def one_arena() -> None:
    """Threads share one arena; to be called before there are any. glibc gives each its own, and each of those keeps
    what its largest piece of work has left in it. Python's threads seldom allocate at the same time.
    """
    choose = getattr(ctypes.CDLL(None), "mallopt", None)
    if choose is not None:
        choose(_M_ARENA_MAX, 1)


async def give_back(interval_s: float = _INTERVAL_S) -> None:
    """Now and then; it takes a millisecond or two. Ends at once where the C library can't (musl)."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    while trim is not None:
        await asyncio.sleep(interval_s)
        trim(0)
