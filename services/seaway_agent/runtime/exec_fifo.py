"""Starts a created container by its runtime's own `exec.fifo`, which spares a process: what `start` would do.

crun's init reads the fifo, so one writes a byte; runc's init writes it, so one reads. Others have no such gate.
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
"""The gate's name in the runtime's state directory."""
_READY: Final = b"0"
_PATIENCE_S: Final = 30.0
_TRIES: Final = 200
_SETTLES: Final = 50
_INIT: Final = "runc:["
_STOPS_S: Final = 1.0
_LOOKS: Final = 1000
_LOOK_S: Final = 0.001  # with less uvloop doesn't pause at all


async def open_exec_fifo(runtime: str, fifo: Path, pidfd: int) -> bool:
    """Let a created container of that runtime run; False where it has to be done by `start`.

    Raises OSError; SeawayError where the container has ended before it could run.
    """
    if runtime == "crun":
        return await write_fifo(fifo, pidfd)
    if runtime == "runc" and pidfd >= 0:
        return await read_fifo(fifo, pidfd)
    return False


def stop_if_init(pid: int) -> bool:
    """Whether a process is runc's init, and not yet the program. If so it is left stopped, and never will be.

    runc names it `runc:[2:INIT]` (libcontainer, nsexec.c); the program's execve(2) takes that name away. Stopped first,
    so that it can't become the program behind our back.
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
    """proc_pid_stat(5), field 3. One that sleeps uninterruptibly comes to it later, before it runs on."""
    end = time.monotonic() + _STOPS_S
    with contextlib.suppress(OSError):
        while time.monotonic() < end:
            if procs.parse_stat(Path(f"/proc/{pid}/stat").read_text(errors="replace"))[0] in "TZX":
                return
            time.sleep(0.001)


async def write_fifo(fifo: Path, pidfd: int) -> bool:
    """crun's side: its init waits for a byte, and takes the end of its wait without one for an error."""
    await _wait_until_asleep(pidfd)
    for _ in range(_TRIES):
        try:
            fd = os.open(fifo, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except FileNotFoundError:
            return False
        except OSError as error:
            if error.errno != errno.ENXIO:  # nobody has it open to read
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
    """Wait, for a moment at most, until init sleeps. While its select(2) begins, an open for writing can look to it as
    the end of a writer does (the kernel looks at the FIFO without a lock): it reads, finds nothing, and ends.
    """
    pid = procs.pid_of(pidfd) if pidfd >= 0 else -1
    for _ in range(_SETTLES):
        if (status := procs.state_of(pid)) is None or status in "SZX":
            return
        await asyncio.sleep(_LOOK_S)


def _ended_early() -> SeawayError:
    return internal("the container's init ended before its program could be started")


async def read_fifo(fifo: Path, pidfd: int) -> bool:
    """runc's side: its init blocks until somebody reads, writes `0`, and runs the program (runc, `Container.Exec`)."""
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
    """Wait, for a moment at most, until init is the program: signals that come before are met by Go's runtime."""
    pid = procs.pid_of(pidfd)
    for _ in range(_LOOKS):
        if not _is_init(pid):
            return
        await asyncio.sleep(_LOOK_S)


async def _wait_for_ready(fd: int, pidfd: int) -> bytes:
    """What init writes; empty where it ends without a word. Raises SeawayError when it does neither for long.

    A FIFO can seem to be at its end in the moment in which its writer comes (see `_wait_until_asleep`).
    """
    loop = asyncio.get_running_loop()
    said: asyncio.Future[bytes] = loop.create_future()

    def heard() -> None:
        ended = procs.has_ended(pidfd)
        word = _read(fd)
        if not said.done() and (word or ended):
            said.set_result(word)

    for each in (fd, pidfd):
        loop.add_reader(each, heard)
    try:
        async with asyncio.timeout(_PATIENCE_S):
            return await said
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
