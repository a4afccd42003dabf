"""What a former agent's supervisor holds, as the directories of its execs tell. Waits for what takes a moment."""

import time
from collections.abc import Collection
from pathlib import Path
from typing import Final

from seaway_agent.execs.supervisor.orders import REFUSED
from seaway_agent.kernel import procs
from seaway_agent.kernel.procs import Process
from seaway_agent.runtime.shim import ExitFiles
from seaway_agent.runtime.shims import end_with_children

_BEGINS_S: Final = 3.0
_WRITES_S: Final = 1.0
_PAUSE_S: Final = 0.002
_PID_FILE: Final = "pidfile"


def begun_in(bundle: Path, files: ExitFiles, supervisors: Collection[Process]) -> bool:
    """Whether an exec was begun, and its end is not written down. One that was ordered a moment ago is waited for."""
    end = time.monotonic() + _BEGINS_S
    while True:
        hopeless = time.monotonic() > end or not any(procs.alive(*supervisor) for supervisor in supervisors)
        if files.read() is not None or (bundle / REFUSED).exists():
            return False
        if _pid(bundle):
            return True
        if hopeless:
            return bool(begun_alone(bundle / _PID_FILE))
        time.sleep(_PAUSE_S)


def begun_alone(pid_file: Path) -> int | None:
    """The pid of an exec whose supervisor was killed or says nothing, once its runtime has ended; 0 if nothing was run.

    A runtime that hangs is ended: an exec that is reported as failed must not begin later. The result is None then, as
    its program may have run.
    """
    end = time.monotonic() + _BEGINS_S
    while (runtimes := procs.naming(str(pid_file))) and time.monotonic() < end:
        while any(procs.alive(*one) for one in runtimes) and time.monotonic() < end:
            time.sleep(_PAUSE_S)
    for runtime in runtimes:
        end_with_children(runtime)
    return None if runtimes else _pid(pid_file.parent)


def held_in(bundle: Path, supervisors: Collection[Process]) -> Process | None:
    """The process of an exec that a supervisor has; the runtime leaves it there a moment after its pid is written."""
    pid = _pid(bundle)
    if not pid:
        return None
    end = time.monotonic() + _BEGINS_S
    while (living := [supervisor for supervisor in supervisors if procs.alive(*supervisor)]) and time.monotonic() < end:
        for supervisor in living:
            if (found := procs.child_of(supervisor.pid, pid)) is not None:
                return found
        if procs.find(pid) is None:
            return None
        time.sleep(_PAUSE_S)
    return None


def await_end(bundle: Path, files: ExitFiles, supervisors: Collection[Process]) -> None:
    """Wait while a supervisor is about to write down the end of a process that is gone.

    It does so only when the runtime has ended too, where the process was quicker.
    """
    end, written_by = time.monotonic() + _BEGINS_S, 0.0
    while files.read() is None and any(procs.alive(*supervisor) for supervisor in supervisors):
        now = time.monotonic()
        if not written_by and not procs.naming(str(bundle / _PID_FILE)):
            written_by = now + _WRITES_S
        if now > end or 0 < written_by < now:
            return
        time.sleep(_PAUSE_S)


def left_in(bundle: Path, container: str) -> Process | None:
    """The exec's process, if it outlived agent and supervisor: it is in its container's cgroup."""
    process = procs.find(_pid(bundle))
    if process is None or not procs.alive(*process):
        return None
    return process if container in procs.cgroup_text(process.pid) else None


def _pid(bundle: Path) -> int:
    """Of an exec's program; 0 where there is none yet."""
    try:
        return int((bundle / _PID_FILE).read_text())
    except (OSError, ValueError):
        return 0
