"""Memory that a burst of work has left free goes back to the system: glibc keeps what lies between what is in use."""

import asyncio
import ctypes
from typing import Final

_INTERVAL_S: Final = 30.0


async def give_back(interval_s: float = _INTERVAL_S) -> None:
    """Now and then; it takes a millisecond or two. Ends at once where the C library can't (musl)."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    while trim is not None:
        await asyncio.sleep(interval_s)
        trim(0)
