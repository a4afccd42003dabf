"""Checks that a container's system calls are filtered: its runtime may have left the filter out, or not understood it.

Runtimes load the filter before init waits at its gate, as long as that needs a capability. crun, where there may be no
new privileges, loads it behind the gate, just before execve(2) (`runtimes.filters_late`).
"""

import asyncio
import os
import signal as signals
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


class FilterCheck:
    """Of one start of a container that must be filtered. `pid`, `pidfd`: its init; `late`: see `runtimes.filters_late`."""

    def __init__(self, pid: int, pidfd: int, runtime: str, *, late: bool) -> None:
        self._pid = pid
        self._pidfd = pidfd
        self._runtime = runtime
        self._late = late
        self._init = b""

    def before_start(self) -> None:
        """To be called while init waits there. Raises SeawayError where it has no filter, and should have it by now.

        An init that has ended is the gate's to report.
        """
        self._init, mode = _look(self._pid)
        if not self._late and mode != _FILTERED and self._pidfd >= 0 and not procs.has_ended(self._pidfd):
            raise self._refusal()

    async def after_start(self) -> None:
        """To be called when init has passed the gate: where its filter comes late, wait for that.

        Raises SeawayError, and kills it, where it has become the program without a filter, or does neither for 30 s.
        """
        if self._late and not await self._is_harmless():
            procs.send_signal(self._pidfd, signals.SIGKILL)
            raise self._refusal()

    async def _is_harmless(self) -> bool:
        """Filtered, or ended before it was the program. If it has been reaped nobody knows, but nothing runs."""
        for _ in range(_LOOKS):
            name, mode = _look(self._pid)
            if mode == _FILTERED or self._pidfd < 0 or procs.pid_of(self._pidfd) != self._pid:
                return True
            if name != self._init:
                return False
            if procs.has_ended(self._pidfd):
                return True
            await asyncio.sleep(_LOOK_S)
        return False

    def _refusal(self) -> SeawayError:
        return internal(f"the runtime {self._runtime} gave the container no seccomp filter, so it must not run")


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
