"""Start a created container by its runtime's `exec.fifo`, as the runtime's `start` does, but without that process.

crun's init reads the FIFO, so the agent writes a byte; runc's init writes, so the agent reads. Other runtimes have no
such FIFO.
"""

import asyncio
import contextlib
import errno
import os
import signal as signals
import time
from pathlib import Path
from typing import Final

from seaway_agent.kernel import procs
from seaway_contracts.errors import SeawayError, internal

EXEC_FIFO: Final = "exec.fifo"
"""The FIFO's name in the runtime's state directory."""
_READY: Final = b"0"
_PATIENCE_S: Final = 30.0
_TRIES: Final = 200
_SETTLES: Final = 50
_INIT: Final = "runc:["
_STOPS_S: Final = 1.0
_LOOKS: Final = 1000
_LOOK_S: Final = 0.001  # with less uvloop doesn't pause at all


async def open_exec_fifo(runtime: str, fifo: Path, pidfd: int) -> bool:
    """Let a created container run; False if it needs the runtime's `start`.

    Raises OSError; SeawayError if init ended before the program ran.
    """
    if runtime == "crun":
        return await write_fifo(fifo, pidfd)
    if runtime == "runc" and pidfd >= 0:
        return await read_fifo(fifo, pidfd)
    return False


def stop_if_init(pid: int) -> bool:
    """Stop a process that is runc's init, so that it never becomes the program; False if it already is.

    runc names its init `runc:[2:INIT]` (libcontainer, nsexec.c) until execve(2). It is stopped before the final check,
    so that it can't become the program in between.
    """
    try:
        pidfd = procs.open_pidfd(pid)
    except ProcessLookupError:
        return False
    try:
        if not _is_init(pid):
            return False
        procs.send_signal(pidfd, signals.SIGSTOP)
        _until_stopped(pid)
        if _is_init(pid):
            return True
        procs.send_signal(pidfd, signals.SIGCONT)
        return False
    finally:
        os.close(pidfd)


def _is_init(pid: int) -> bool:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/comm").read_text(errors="replace").startswith(_INIT)
    return False


def _until_stopped(pid: int) -> None:
    """Wait up to a second for the state `T` (proc_pid_stat(5)). An uninterruptible sleeper stops when it wakes."""
    end = time.monotonic() + _STOPS_S
    with contextlib.suppress(OSError):
        while time.monotonic() < end:
            if procs.parse_stat(Path(f"/proc/{pid}/stat").read_text(errors="replace"))[0] in "TZX":
                return
            time.sleep(0.001)


async def write_fifo(fifo: Path, pidfd: int) -> bool:
    """Start crun's init, which waits for a byte and fails if the FIFO is closed without one."""
    await _wait_until_asleep(pidfd)
    for _ in range(_TRIES):
        try:
            fd = os.open(fifo, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except FileNotFoundError:
            return False
        except OSError as error:
            if error.errno != errno.ENXIO:  # no reader yet
                raise
            await asyncio.sleep(_LOOK_S)
            continue
        try:
            with contextlib.suppress(FileNotFoundError):
                fifo.unlink()
            os.write(fd, b"\0")
        except BrokenPipeError:
            raise _ended_early() from None
        finally:
            os.close(fd)
        return True
    return False


async def _wait_until_asleep(pidfd: int) -> None:
    """Wait, at most 50 ms, until init sleeps.

    An open for writing while its select(2) begins can look like the end of a writer, as the kernel checks the FIFO
    without a lock: init would read nothing and end.
    """
    pid = procs.pid_of(pidfd) if pidfd >= 0 else -1
    for _ in range(_SETTLES):
        if (status := procs.state_of(pid)) is None or status in "SZX":
            return
        await asyncio.sleep(_LOOK_S)


def _ended_early() -> SeawayError:
    return internal("the container's init ended before its program could be started")


async def read_fifo(fifo: Path, pidfd: int) -> bool:
    """Start runc's init, which blocks for a reader, writes `0`, and runs the program (runc, `Container.Exec`)."""
    try:
        fd = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        if await _wait_for_ready(fd, pidfd) != _READY:
            raise _ended_early()
        with contextlib.suppress(FileNotFoundError):
            fifo.unlink()
    finally:
        os.close(fd)
    await _wait_for_exec(pidfd)
    return True


async def _wait_for_exec(pidfd: int) -> None:
    """Wait, at most a second, until init is the program: Go's runtime would handle earlier signals."""
    pid = procs.pid_of(pidfd)
    for _ in range(_LOOKS):
        if not _is_init(pid):
            return
        await asyncio.sleep(_LOOK_S)


async def _wait_for_ready(fd: int, pidfd: int) -> bytes:
    """What init writes; empty if it ends without writing. Raises SeawayError after 30 s.

    A FIFO can report its end in the moment in which its writer opens it (see `_wait_until_asleep`).
    """
    loop = asyncio.get_running_loop()
    written: asyncio.Future[bytes] = loop.create_future()

    def readable() -> None:
        ended = procs.has_ended(pidfd)
        data = _read(fd)
        if not written.done() and (data or ended):
            written.set_result(data)

    for each in (fd, pidfd):
        loop.add_reader(each, readable)
    try:
        async with asyncio.timeout(_PATIENCE_S):
            return await written
    except TimeoutError:
        raise internal(f"the container's init did not come to its start within {_PATIENCE_S:.0f} s") from None
    finally:
        for each in (fd, pidfd):
            loop.remove_reader(each)


def _read(fd: int) -> bytes:
    try:
        return os.read(fd, 16)
    except BlockingIOError:
        return b""
