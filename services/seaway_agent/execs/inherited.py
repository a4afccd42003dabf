"""Reads from an exec's bundle what a former agent's supervisor did with it. Blocks for some seconds at most."""

import time
from collections.abc import Collection
from pathlib import Path
from typing import Final

from seaway_agent.execs.plan import PID_FILE
from seaway_agent.execs.supervisor.orders import REFUSED
from seaway_agent.kernel import procs
from seaway_agent.kernel.procs import Process
from seaway_agent.runtime.shim import ExitFiles
from seaway_agent.runtime.shims import end_with_children

_BEGINS_S: Final = 3.0
"""The longest wait for a runtime that begins or ends an exec."""
_WRITES_S: Final = 1.0
"""The longest wait for the exit file after the runtime has ended."""
_PAUSE_S: Final = 0.002


def begun_in(bundle: Path, files: ExitFiles, supervisors: Collection[Process]) -> bool:
    """Whether an exec has a pid and no recorded end. Waits for a pid that may still be written."""
    end = time.monotonic() + _BEGINS_S
    while True:
        hopeless = time.monotonic() > end or not any(procs.alive(*supervisor) for supervisor in supervisors)
        if files.read() is not None or (bundle / REFUSED).exists():
            return False
        if pid_in(bundle):
            return True
        if hopeless:
            return bool(begun_alone(bundle))
        time.sleep(_PAUSE_S)


def begun_alone(bundle: Path) -> int | None:
    """Wait for the runtime to end, then return the exec's pid, or 0 if it never began. For an exec without supervisor.

    Kills a runtime that hangs, as an exec that was reported as failed must not begin later. Returns None then, as the
    program may have run.
    """
    end = time.monotonic() + _BEGINS_S
    while (runtimes := procs.with_argument(str(bundle / PID_FILE))) and time.monotonic() < end:
        while any(procs.alive(*one) for one in runtimes) and time.monotonic() < end:
            time.sleep(_PAUSE_S)
    for runtime in runtimes:
        end_with_children(runtime)
    return None if runtimes else pid_in(bundle)


def supervised_in(bundle: Path, supervisors: Collection[Process]) -> Process | None:
    """The living process of an exec, if it is a supervisor's child; None otherwise.

    Waits for the runtime to end, as the process becomes the supervisor's child a moment after its pid is written.
    """
    pid = pid_in(bundle)
    if not pid:
        return None
    end = time.monotonic() + _BEGINS_S
    while (living := [supervisor for supervisor in supervisors if procs.alive(*supervisor)]) and time.monotonic() < end:
        for supervisor in living:
            if (found := procs.child_of(supervisor.pid, pid)) is not None:
                return found if procs.alive(*found) else None
        if procs.find(pid) is None:
            return None
        time.sleep(_PAUSE_S)
    return None


def await_end(bundle: Path, files: ExitFiles, supervisors: Collection[Process]) -> None:
    """Wait until a living supervisor has written the exit file, or the time is up.

    It writes the file after the runtime has ended, which may be later than the process.
    """
    end = time.monotonic() + _BEGINS_S
    deadline: float | None = None
    while files.read() is None and any(procs.alive(*supervisor) for supervisor in supervisors):
        now = time.monotonic()
        if deadline is None and not procs.with_argument(str(bundle / PID_FILE)):
            deadline = now + _WRITES_S
        if now > end or (deadline is not None and deadline < now):
            return
        time.sleep(_PAUSE_S)


def left_in(bundle: Path, container: str) -> Process | None:
    """The living process of an exec that outlived agent and supervisor: one that is in the container's cgroup."""
    process = procs.find(pid_in(bundle))
    if process is None or not procs.alive(*process):
        return None
    return process if container in procs.cgroup_text(process.pid) else None


def pid_in(bundle: Path) -> int:
    """The pid of an exec's program, from its pid file; 0 where there is none yet."""
    try:
        return int((bundle / PID_FILE).read_text())
    except (OSError, ValueError):
        return 0
