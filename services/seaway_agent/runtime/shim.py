"""One container's conmon: its report, exit files, terminal size, and the end of processes by pidfd."""

import asyncio
import contextlib
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from seaway_agent.core.instructions import Exit
from seaway_agent.kernel import procs
from seaway_agent.runtime import conmon
from seaway_contracts.errors import internal

_REPORT_S: Final = 120.0
_READ: Final = 199
"""How many bytes conmon reads at once: of two messages in one read, conmon 2.1.12 applies the first one twice."""
_RESIZE_FLAGS: Final = os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC


async def read_report(fd: int) -> conmon.Report:
    """conmon's report from the sync pipe; pid -1 if conmon ends without one. Raises SeawayError after 120 s."""
    loop = asyncio.get_running_loop()
    got: asyncio.Future[conmon.Report] = loop.create_future()
    buffer = bytearray()

    def readable() -> None:
        data = os.read(fd, 65536)
        buffer.extend(data)
        try:
            report = conmon.parse_report(bytes(buffer)) if buffer else None
        except ValueError as error:
            report = conmon.Report(-1, str(error))
        if report is None and not data:
            report = conmon.Report(-1, "the shim (conmon) ended without a word; see its output in the agent's log")
        if report is not None and not got.done():
            loop.remove_reader(fd)
            got.set_result(report)

    os.set_blocking(fd, False)
    loop.add_reader(fd, readable)
    try:
        async with asyncio.timeout(_REPORT_S):
            return await got
    except TimeoutError:
        raise internal(f"the shim (conmon) said nothing for {_REPORT_S:.0f} s") from None
    finally:
        loop.remove_reader(fd)


@dataclass(frozen=True)
class ExitFiles:
    """The files in which conmon records one container's exit."""

    exit: Path
    oom: tuple[Path, ...]

    @classmethod
    def of(cls, exits: Path, persist: Path, bundle: Path, container: str) -> "ExitFiles":
        """The files of one container."""
        return cls(exits / container, (persist / "oom", bundle / "oom"))

    def read(self) -> Exit | None:
        """The recorded exit; None if there is none (yet)."""
        try:
            with open(self.exit) as file:
                code = conmon.exit_code(file.read())
                ended_ns = min(os.fstat(file.fileno()).st_mtime_ns, time.time_ns())  # the clock may have been set back
        except (FileNotFoundError, ValueError):
            return None
        return Exit(code, ended_ns, any(path.exists() for path in self.oom))

    def clear(self) -> None:
        """Remove the files: a stale one would end the next run at once."""
        for path in (self.exit, *self.oom):
            with contextlib.suppress(FileNotFoundError):
                path.unlink()


class PidfdWatch:
    """Calls `ended` when a process ends, by its pidfd; reaps a child of ours."""

    def __init__(self, pidfd: int, ended: Callable[[], None], child: bool) -> None:
        self._pidfd = pidfd
        self._ended = ended
        self._child = child
        asyncio.get_running_loop().add_reader(pidfd, self._ready)

    def _ready(self) -> None:
        self.close()
        self._ended()

    def close(self) -> None:
        """Stop watching, reap a child that has ended. Safe to call twice."""
        if self._pidfd < 0:
            return
        asyncio.get_running_loop().remove_reader(self._pidfd)
        if self._child:
            procs.reap(self._pidfd)
        os.close(self._pidfd)
        self._pidfd = -1


async def wait_and_reap(pidfd: int) -> int:
    """Wait for a child's end, reap it, close the descriptor. Returns its exit code; -1 after a signal."""
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    loop.add_reader(pidfd, ended.set)
    try:
        await ended.wait()
        return _reap(pidfd)
    finally:
        loop.remove_reader(pidfd)
        os.close(pidfd)


def _reap(pidfd: int) -> int:
    try:
        result = os.waitid(os.P_PIDFD, pidfd, os.WEXITED | os.WNOHANG)
    except ChildProcessError:
        return -1
    return result.si_status if result is not None and result.si_code == os.CLD_EXITED else -1


def resize_terminal(bundle: Path, height: int, width: int) -> None:
    """Resize conmon's terminal, in characters; does nothing without a terminal. Raises OSError if the shim is gone."""
    try:
        fd = os.open(bundle / "winsz", _RESIZE_FLAGS)
    except FileNotFoundError:
        return os.close(os.open(bundle / "ctl", _RESIZE_FLAGS))
    try:
        os.write(fd, f"{height} {width}\n".rjust(_READ).encode())
    finally:
        os.close(fd)
