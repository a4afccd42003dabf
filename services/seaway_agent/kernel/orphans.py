"""Make this process the subreaper of orphaned descendants (prctl(2), PR_SET_CHILD_SUBREAPER), and reap them.

So an orphan's exit code can be read until it is reaped: by its watcher, or else after a few seconds by `reap_forever`.
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
"""Longer than a process's watcher needs to see the exit."""


def become_subreaper() -> None:
    """Make this process the parent of orphaned descendants. Raises OSError."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0):
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_CHILD_SUBREAPER)")


async def reap_forever(every_s: float = _EVERY_S) -> None:
    """Reap ended orphans that nobody else reaps, until cancelled."""
    seen: frozenset[Process] = frozenset()
    while True:
        before = time.monotonic()
        await asyncio.sleep(every_s)
        if time.monotonic() - before > 2 * every_s:  # this process was suspended, and so were the watchers
            seen = frozenset()
        seen = reap(seen)


def reap(seen: frozenset[Process]) -> frozenset[Process]:
    """Reap the ended orphans in `seen`; returns the other ended ones, for the next call."""
    ended = frozenset(_ended())
    for process in ended & seen:
        with contextlib.suppress(ChildProcessError):
            os.waitpid(process.pid, os.WNOHANG)
    return ended - seen


def _ended() -> list[Process]:
    """Ended children that are not reaped yet. Cheap in the usual case of none."""
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
    """The children of all threads; a thread may end meanwhile."""
    found: list[int] = []
    for thread in Path("/proc/self/task").iterdir():
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            found += map(int, (thread / "children").read_text().split())
    return found
