"""Check that a container has its seccomp filter: the runtime may have omitted or ignored it.

Runtimes load the filter before init waits at the exec FIFO, as long as that needs a capability. crun, with
no-new-privileges, loads it after the FIFO, just before execve(2) (`runtimes.filters_late`).
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
    """The check for one start. `pid`, `pidfd`: the container's init; `late`: see `runtimes.filters_late`."""

    def __init__(self, pid: int, pidfd: int, runtime: str, *, late: bool) -> None:
        self._pid = pid
        self._pidfd = pidfd
        self._runtime = runtime
        self._late = late
        self._init = b""

    def before_start(self) -> None:
        """Call while init waits at the FIFO. Raises SeawayError if init lacks a filter that it must have by now.

        Opening the FIFO reports an init that has ended.
        """
        self._init, mode = _look(self._pid)
        if not self._late and mode != _FILTERED and self._pidfd >= 0 and not procs.has_ended(self._pidfd):
            raise self._refusal()

    async def after_start(self) -> None:
        """Call when init has passed the FIFO: wait for a filter that is loaded late.

        Kills the process and raises SeawayError if it became the program without a filter, or did neither for 30 s.
        """
        if self._late and not await self._is_harmless():
            procs.send_signal(self._pidfd, signals.SIGKILL)
            raise self._refusal()

    async def _is_harmless(self) -> bool:
        """Whether it is filtered, or ended before it became the program. True if it was reaped: nothing runs."""
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
    """Name and seccomp mode, read in this order, so that the program's name implies its mode. Empty: unknown."""
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
