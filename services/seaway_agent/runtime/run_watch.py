"""Watch one run, and report its exit once."""

import asyncio
import contextlib
import logging
import os
import signal as signals
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final, Protocol

from seaway_agent.core.instructions import Exit
from seaway_agent.kernel import procs
from seaway_agent.runtime.shim import ExitFiles, PidfdWatch

log = logging.getLogger(__name__)
UNKNOWN_CODE: Final = -1


class WatchedRun(Protocol):
    """The watched processes. `pidfd`: the program; `conmon_fd`: its shim (-1: gone); `child`: the shim is our child."""

    pid: int
    pidfd: int
    conmon_fd: int
    child: bool


class RunWatch:
    """Takes the exit from conmon's file, or from the first process if its shim was killed.

    One object for each run, so that an old shim's exit is never taken for the new one's.
    """

    def __init__(self, container: str, run: WatchedRun, files: ExitFiles, *, shimless: bool = False) -> None:
        """`shimless`: the process has no shim; another process writes the exit file, before it reaps."""
        self.reported = False
        self._shimless = shimless
        self._container = container
        self._run = run
        self._files = files
        self._ended: Callable[[Exit], None] | None = None
        self._shim_gone = asyncio.Event()
        self._orphan: PidfdWatch | None = None
        self._shim: PidfdWatch | None = None
        if run.conmon_fd >= 0:
            self._shim = PidfdWatch(run.conmon_fd, self._shim_ended, run.child)
        else:
            self._shim_gone.set()

    def begin(self, ended: Callable[[Exit], None]) -> None:
        """Start watching; `ended` may be called from inside this call."""
        self._ended = ended
        self.check()
        if self._shim_gone.is_set():
            self._watch_orphan()

    def check(self) -> None:
        """Report the exit if its file exists."""
        if self._ended is not None and (how := self._files.read()) is not None:
            self._report(how)

    async def shim_gone(self, seconds: float) -> bool:
        """Wait for the shim's end; False if it still runs after that time."""
        if not self._shim_gone.is_set():
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await self._shim_gone.wait()
        return self._shim_gone.is_set()

    def kill_shim(self) -> None:
        """Kill a shim that hangs."""
        if self._shim is not None:
            procs.send_signal(self._run.conmon_fd, signals.SIGKILL)

    def close(self) -> None:
        """Stop watching, close all descriptors. Safe to call twice."""
        self._ended = None
        for watched in (self._shim, self._orphan):
            if watched is not None:
                watched.close()
        self._shim = self._orphan = None
        if self._run.pidfd >= 0:
            os.close(self._run.pidfd)
            self._run.pidfd = -1

    def _report(self, how: Exit) -> None:
        ended, self._ended, self.reported = self._ended, None, True
        if ended is not None:
            ended(how)

    def _shim_ended(self) -> None:
        self._shim = None
        self._shim_gone.set()
        self.check()
        self._watch_orphan()

    def _watch_orphan(self) -> None:
        """Watch the first process itself: its shim is gone and wrote no exit file."""
        if self._ended is None:
            return
        if not self._shimless:
            log.warning("container %s: its shim was killed; its output is lost from now on", self._container[:12])
        if self._run.pidfd < 0:
            self._orphan_ended()
        else:
            self._orphan = PidfdWatch(os.dup(self._run.pidfd), self._orphan_ended, child=False)

    def _orphan_ended(self) -> None:
        self._orphan = None
        self.check()
        code = exit_code_of_orphan(self._run.pid, self._run.pidfd) if self._run.pidfd >= 0 else None
        if code is None:
            self.check()
        if self._run.pidfd >= 0:
            procs.reap(self._run.pidfd)
        self._report(Exit(UNKNOWN_CODE if code is None else code, time.time_ns()))


def exit_code_of_orphan(pid: int, pidfd: int) -> int | None:
    """The exit code of an ended process, reaped by its new parent or not; None if unknown."""
    code = procs.exit_code_from_pidfd(pidfd)
    if code is None:
        code = _code_of_zombie(pid)
    return procs.exit_code_from_pidfd(pidfd) if code is None else code


def _code_of_zombie(pid: int) -> int | None:
    """The exit code in /proc/<pid>/stat (proc_pid_stat(5)): field 3 is the state, the last one the wait status."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(errors="replace")
    except OSError:
        return None
    fields = text[text.rindex(")") + 2 :].split()
    return procs.exit_code_from_wait_status(int(fields[-1])) if fields[0] == "Z" else None
