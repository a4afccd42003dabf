"""One forked child: its own session, its log, no descriptors of ours, and it ends when we do."""

import contextlib
import ctypes
import errno
import gc
import os
import signal
import sys
import traceback
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NoReturn, TextIO

from seaway_kit.notify import READY_FD

_PR_SET_PDEATHSIG: Final = 1
_OOM_SCORE: Final = "-500"  # as dockerd's unit has it
_SIGNALS: Final = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD)
_libc = ctypes.CDLL(None, use_errno=True)


@dataclass(frozen=True)
class Child:
    """A running child: `pidfd` turns readable at its end, `ready` when it has something to say. Both are ours."""

    pid: int
    pidfd: int
    ready: int


def fill_standard_streams() -> None:
    """Make sure that descriptors 0 to 2 are open, so that no other file gets their numbers."""
    while (fd := os.open(os.devnull, os.O_RDWR)) <= 2:
        os.set_inheritable(fd, True)
    os.close(fd)


def spawn(run: Callable[[], int], log: Path, keep: Iterable[int] = ()) -> Child:
    """Fork; the child calls `run` and exits with its result. `keep` are descriptors that it shares with us.

    The caller must have no other thread. Raises OSError, and then leaves nothing behind.
    """
    out = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o640)
    ours, theirs = os.pipe2(os.O_CLOEXEC)
    parent = os.getpid()
    signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)  # until the child has let go of our handlers
    try:
        pid = os.fork()
        if pid == 0:
            _become_child(run, out, theirs, parent, keep)
    except OSError:
        os.close(ours)
        raise
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
        os.close(out)
        os.close(theirs)
    return Child(pid, os.pidfd_open(pid), ours)


def _become_child(run: Callable[[], int], out: int, ready: int, parent: int, keep: Iterable[int]) -> NoReturn:
    code = 1
    try:
        _detach_from(parent)
        null = os.open(os.devnull, os.O_RDONLY)
        for target, source in ((0, null), (1, out), (2, out)):
            os.dup2(source, target)
        sys.stdout, sys.stderr = _text(1), _text(2)  # the inherited ones may hold unwritten text of the parent's
        _close_all_but({0, 1, 2, ready, *keep})
        _outlive_containers()
        for name in ("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"):  # they speak of the supervisor
            os.environ.pop(name, None)
        os.environ[READY_FD] = str(ready)
        gc.enable()
        code = run()
    except SystemExit as stop:
        code = stop.code if isinstance(stop.code, int) else 1
    except BaseException:
        traceback.print_exc()
    finally:
        _leave(code)


def _outlive_containers() -> None:
    """Where memory is short the kernel is to look elsewhere first, if we may say so."""
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text(_OOM_SCORE)


def _leave(code: int) -> NoReturn:
    """End without running anything of the parent's: its exit handlers and stack frames are not ours."""
    with contextlib.suppress(OSError, ValueError):
        sys.stdout.flush()
    os._exit(code)


def _text(fd: int) -> TextIO:
    return open(fd, "w", buffering=1, closefd=False, errors="backslashreplace")


def _detach_from(parent: int) -> None:
    """Leave the parent's signal handlers and terminal, and ask to be stopped with it."""
    signal.set_wakeup_fd(-1)
    for number in _SIGNALS:
        signal.signal(number, signal.SIG_DFL)
    os.setsid()
    if _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG) failed")
    if os.getppid() != parent:
        os._exit(1)  # it died before we asked
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)


def _close_all_but(keep: set[int]) -> None:
    lowest = 0
    for kept in sorted(keep):
        if lowest < kept:  # an empty range at 0 would close everything
            os.closerange(lowest, kept)
        lowest = kept + 1
    os.closerange(lowest, os.sysconf("SC_OPEN_MAX"))


def kill(child: Child, number: signal.Signals) -> None:
    """Signal a child; one that has ended already is no error."""
    try:
        signal.pidfd_send_signal(child.pidfd, number)
    except OSError as error:
        if error.errno != errno.ESRCH:
            raise


def reap(child: Child) -> int:
    """Wait for a child that has ended, and let go of it. Its exit code; minus the signal that ended it."""
    _, status = os.waitpid(child.pid, 0)
    os.close(child.pidfd)
    return os.waitstatus_to_exitcode(status)


def describe_end(code: int) -> str:
    """How a process ended, in words."""
    if code >= 0:
        return f"exit code {code}"
    try:
        return f"killed by {signal.Signals(-code).name}"
    except ValueError:
        return f"killed by signal {-code}"
