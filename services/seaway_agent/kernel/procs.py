"""Processes by pidfd, or by pid and start time where only a number was stored."""

import contextlib
import errno
import fcntl
import functools
import os
import select
import signal
import struct
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

# struct pidfd_info of linux/pidfd.h, first published size: u64 mask, u64 cgroupid, 11 x u32, s32 exit_code.
_PIDFD_INFO: Final = struct.Struct("=QQ11Ii")
_PIDFD_GET_INFO: Final = (3 << 30) | (_PIDFD_INFO.size << 16) | (0xFF << 8) | 11
_PIDFD_INFO_EXIT: Final = 1 << 3
# starttime is field 22 (proc_pid_stat(5)); field 3 is the first one after the ")" that ends comm.
_SECOND_NS: Final = 1_000_000_000
_OOM_SCORE: Final = Path("/proc/self/oom_score_adj")
_START_TIME_INDEX: Final = 22 - 3
_PARENT_INDEX: Final = 4 - 3
# The state letters of a process that no longer runs.
_DEAD_STATES: Final = frozenset({"Z", "X", "x"})


class Process(NamedTuple):
    """A process. `started` (clock ticks since boot) tells it from a later one with the same pid."""

    pid: int
    started: int


def has_namespace_root(pid: int) -> bool:
    """Whether a process's root is that of its mount namespace, not a volume, say, whose server may hang."""
    try:
        return os.readlink(f"/proc/{pid}/root") == "/"  # noqa: PTH115 - asked at each exec
    except OSError:
        return False


def open_pidfd(pid: int) -> int:
    """A close-on-exec pidfd. Raises ProcessLookupError when there is no such process."""
    try:
        return os.pidfd_open(pid)
    except OSError as error:
        # EINVAL: the number belongs to a thread, so the process that had it is gone.
        if error.errno in (errno.ESRCH, errno.EINVAL):
            raise ProcessLookupError(errno.ESRCH, "no such process", str(pid)) from error
        raise


def open_process(process: Process) -> int:
    """A close-on-exec pidfd of exactly that process. Raises ProcessLookupError when it has ended."""
    pidfd = open_pidfd(process.pid)
    if not alive(*process):
        os.close(pidfd)
        raise ProcessLookupError(errno.ESRCH, "no such process", str(process.pid))
    return pidfd


def send_signal(pidfd: int, sig: int) -> bool:
    """Send a signal; False when the process has ended already."""
    try:
        signal.pidfd_send_signal(pidfd, signal.Signals(sig) if sig in _STANDARD else sig)
    except ProcessLookupError:
        return False
    return True


_STANDARD: Final = frozenset(signal.Signals)


def parse_stat(text: str) -> tuple[str, int]:
    """(state letter, start time in clock ticks since boot) of /proc/<pid>/stat."""
    fields = _fields(text)
    return fields[0], int(fields[_START_TIME_INDEX])


def state_of(pid: int) -> str | None:
    """A process's state letter (proc_pid_stat(5), field 3); None when there is no such process."""
    status = _read_stat(pid)
    return None if status is None else status[0]


def start_time(pid: int) -> int | None:
    """When the process started, in clock ticks since boot; None when there is none. A zombie counts."""
    status = _read_stat(pid)
    return None if status is None else status[1]


def age_ns(pid: int) -> int:
    """A process's age by CLOCK_BOOTTIME; 0 when there is no such process."""
    started = start_time(pid)
    if started is None:
        return 0
    return max(0, time.clock_gettime_ns(time.CLOCK_BOOTTIME) - started * _SECOND_NS // os.sysconf("SC_CLK_TCK"))


def alive(pid: int, started: int) -> bool:
    """Whether the process that had this number at that start time still runs (a zombie doesn't)."""
    status = _read_stat(pid)
    return status is not None and status[1] == started and status[0] not in _DEAD_STATES


def find(pid: int) -> Process | None:
    """The process that has this number now; a zombie counts."""
    started = start_time(pid)
    return None if started is None else Process(pid, started)


def child_of(parent: int, pid: int) -> Process | None:
    """The process that has this number now, if it is a child of `parent`."""
    text = _stat_text(pid)
    if text is None or int(_fields(text)[_PARENT_INDEX]) != parent:
        return None
    return Process(pid, parse_stat(text)[1])


def with_argument(word: str) -> list[Process]:
    """The processes with `word` among their arguments."""
    numbers = [int(entry.name) for entry in os.scandir("/proc") if entry.name.isdigit()]
    found = [find(number) for number in numbers if word.encode() in _command_line(number)]
    return [process for process in found if process is not None]


def _command_line(pid: int) -> list[bytes]:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return []


def cgroup_text(pid: int) -> str:
    """The text of /proc/<pid>/cgroup (cgroups(7)); empty for an ended process."""
    try:
        return Path(f"/proc/{pid}/cgroup").read_text()
    except OSError:
        return ""


def children(pid: int) -> list[Process]:
    """The children of a process that has one thread."""
    try:
        listed = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    except OSError:
        return []
    return [child for number in listed.split() if (child := child_of(pid, int(number))) is not None]


def _read_stat(pid: int) -> tuple[str, int] | None:
    text = _stat_text(pid)
    return None if text is None else parse_stat(text)


def _stat_text(pid: int) -> str | None:
    try:
        return Path(f"/proc/{pid}/stat").read_text(errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return None


def _fields(text: str) -> list[str]:
    """The fields after comm, which may contain blanks and ")"."""
    return text[text.rindex(")") + 2 :].split(" ")


def bounding_set() -> int:
    """This process's capability bounding set, as a mask (proc_pid_status(5), CapBnd)."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line.split()[1] for line in lines if line.startswith("CapBnd:")), 16)


def pid_of(pidfd: int) -> int:
    """The pid of a pidfd (pidfd_open(2)); -1 for a reaped process."""
    text = Path(f"/proc/self/fdinfo/{pidfd}").read_text()
    return int(text.partition("\nPid:")[2].split()[0])


def has_ended(pidfd: int) -> bool:
    """Whether the process has ended."""
    poll = select.poll()
    poll.register(pidfd, select.POLLIN)
    return bool(poll.poll(0))


def reap(pidfd: int) -> None:
    """Reap the process if it has ended and is a child of this one."""
    with contextlib.suppress(ChildProcessError):
        os.waitid(os.P_PIDFD, pidfd, os.WEXITED | os.WNOHANG)


@contextlib.contextmanager
def oom_score(adjustment: int) -> Iterator[None]:
    """Set oom_score_adj (proc(5)) for children made inside the block.

    The value is per process, so only one thread may do this. A value that the kernel refuses is ignored.
    """
    before = _OOM_SCORE.read_text()
    with contextlib.suppress(OSError):
        _OOM_SCORE.write_text(str(adjustment))
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            _OOM_SCORE.write_text(before)


def exit_code_from_wait_status(status: int) -> int:
    """0-255, or 128 + signal as shells and Docker count."""
    code = os.waitstatus_to_exitcode(status)
    return code if code >= 0 else 128 - code


def exit_code_from_pidfd(pidfd: int) -> int | None:
    """The exit code of a process that someone else has reaped.

    None while it runs or is a zombie, and where the kernel keeps no exit codes (before Linux 6.15).
    """
    request = bytearray(_PIDFD_INFO.size)
    struct.pack_into("=Q", request, 0, _PIDFD_INFO_EXIT)
    try:
        fcntl.ioctl(pidfd, _PIDFD_GET_INFO, request)
    except OSError:
        return None
    mask, *_ids, status = _PIDFD_INFO.unpack(request)
    return exit_code_from_wait_status(status) if mask & _PIDFD_INFO_EXIT else None


@functools.cache
def boot_id() -> str:
    """The kernel's random id of this boot: a new one means that all earlier processes are gone.

    A container that plays a machine sets its own by SEAWAY_BOOT_ID.
    """
    return os.environ.get("SEAWAY_BOOT_ID") or Path("/proc/sys/kernel/random/boot_id").read_text().strip()
