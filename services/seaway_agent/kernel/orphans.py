"""Processes whose parent was killed come to this one, not to the machine's first (prctl(2), PR_SET_CHILD_SUBREAPER).

So each of them can be asked how it ended until it is reaped: by who watches it, or else after a while by `reap_forever`.
"""

import asyncio
import contextlib
import ctypes
import os
import time
from pathlib import Path
from typing import Final

from seaway_agent.kernel import procs
from seaway_agent.kernel.procs import Process

_PR_SET_CHILD_SUBREAPER: Final = 36
_EVERY_S: Final = 4.0
"""Longer than whoever watches a process needs to see that it has ended."""


def become_subreaper() -> None:
    """From now on they come here. Raises OSError."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0):
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_CHILD_SUBREAPER)")


async def reap_forever(every_s: float = _EVERY_S) -> None:
    """For ever, reap what has ended and nobody else reaps."""
    seen: frozenset[Process] = frozenset()
    while True:
        before = time.monotonic()
        await asyncio.sleep(every_s)
        if time.monotonic() - before > 2 * every_s:  # this process stood still, and so did those who would have reaped
            seen = frozenset()
        seen = reap(seen)


def reap(seen: frozenset[Process]) -> frozenset[Process]:
    """Reap those of `seen` that have ended and are still here; gives the others that have ended."""
    ended = frozenset(_ended())
    for process in ended & seen:
        with contextlib.suppress(ChildProcessError):
            os.waitpid(process.pid, os.WNOHANG)
    return ended - seen


def _ended() -> list[Process]:
    """Children that nobody has reaped yet. There are mostly none, which is cheap to know."""
    if not _has_ended(os.P_ALL, 0):
        return []
    found = [procs.find(pid) for pid in _children() if _has_ended(os.P_PID, pid)]
    return [process for process in found if process is not None]


def _has_ended(kind: int, number: int) -> bool:
    try:
        return os.waitid(kind, number, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
    except ChildProcessError:
        return False


def _children() -> list[int]:
    """Of all threads; one may end meanwhile."""
    found: list[int] = []
    for thread in Path("/proc/self/task").iterdir():
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            found += map(int, (thread / "children").read_text().split())
    return found
