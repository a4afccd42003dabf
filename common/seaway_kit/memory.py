"""Returns free memory to the system, as glibc keeps free memory that lies between used blocks; and keeps Python's
garbage collector away from what lasts.
"""

import asyncio
import contextlib
import ctypes
import gc
from collections.abc import Iterator
from typing import Final

_INTERVAL_S: Final = 30.0
_M_ARENA_MAX: Final = -8  # malloc.h


def one_arena() -> None:
    """Make all threads share one arena; call it before there are threads.

    glibc gives each thread an arena, and each arena keeps what the thread's largest piece of work has left. Python's
    threads seldom allocate at the same time.
    """
    choose = getattr(ctypes.CDLL(None), "mallopt", None)
    if choose is not None:
        choose(_M_ARENA_MAX, 1)


async def give_back(interval_s: float = _INTERVAL_S) -> None:
    """Return free memory every `interval_s`, which takes a millisecond or two.

    Ends at once if the C library has no malloc_trim (musl).
    """
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    while trim is not None:
        await asyncio.sleep(interval_s)
        trim(0)


@contextlib.contextmanager
def loading() -> Iterator[None]:
    """Run the block, which loads what lasts, without garbage collection; later collections don't look at that either.

    A collector walks all objects again and again while they grow: 30,000 containers take 1.6 s to load without it and
    6.4 s with it. Each later collection of all would block the process for 0.9 s.
    """
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()
