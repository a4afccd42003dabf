"""Checks that a container's system calls are filtered: its runtime may have left the filter out, or not understood it.

Runtimes load the filter before init waits at its gate, as long as that needs a capability. crun, where there may be no
new privileges, loads it behind the gate, just before execve(2) (`flags.filters_late`).
"""

import asyncio
import os
from typing import Final

from seaway_agent.kernel import procs
from seaway_contracts.errors import SeawayError, internal

_FILTERED: Final = b"2"
"""SECCOMP_MODE_FILTER (proc_pid_status(5))."""
_NAME: Final = b"Name:\t"
_SECCOMP: Final = b"\nSeccomp:\t"
_LARGE: Final = 16384
_LOOKS: Final = 30_000
_LOOK_S: Final = 0.001


def check_at_gate(pid: int, pidfd: int, runtime: str) -> None:
    """Raises SeawayError where init waits at its gate without a filter. One that has ended is the gate's to report."""
    if _look(pid)[1] != _FILTERED and pidfd >= 0 and not procs.has_ended(pidfd):
        raise _unfiltered(runtime)


def name_of_init(pid: int) -> bytes:
    """The name by which `check_behind_gate` tells init from the program; to be asked before init passes the gate."""
    return _look(pid)[0]


async def check_behind_gate(pid: int, pidfd: int, runtime: str, init: bytes) -> None:
    """Wait until init has its filter. Raises SeawayError where it has become the program without one, or does neither
    for 30 s; the caller kills it then. Of one that has been reaped nothing is known, and nothing runs.
    """
    for _ in range(_LOOKS):
        name, mode = _look(pid)
        if mode == _FILTERED or pidfd < 0 or procs.number_of(pidfd) != pid:
            return
        if name != init:
            break
        if procs.has_ended(pidfd):
            return
        await asyncio.sleep(_LOOK_S)
    raise _unfiltered(runtime)


def _look(pid: int) -> tuple[bytes, bytes]:
    """Name and seccomp mode, in this order: whoever has the program's name has the program's mode. Empty: unknown."""
    try:
        fd = os.open(f"/proc/{pid}/status", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return b"", b""
    try:
        text = os.read(fd, _LARGE)
    except OSError:
        return b"", b""
    finally:
        os.close(fd)
    return _line(text, _NAME), _line(text, _SECCOMP)


def _line(text: bytes, head: bytes) -> bytes:
    return text.partition(head)[2].partition(b"\n")[0]


def _unfiltered(runtime: str) -> SeawayError:
    return internal(f"the runtime {runtime} gave the container no seccomp filter, so it must not run")
