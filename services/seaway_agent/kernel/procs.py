"""Processes held by pidfd, and told apart by start time where only a number was kept."""

import errno
import fcntl
import functools
import os
import signal
import struct
from pathlib import Path
from typing import Final

# struct pidfd_info of linux/pidfd.h, first published size: u64 mask, u64 cgroupid, 11 x u32, s32 exit_code.
_PIDFD_INFO: Final = struct.Struct("=QQ11Ii")
_PIDFD_GET_INFO: Final = (3 << 30) | (_PIDFD_INFO.size << 16) | (0xFF << 8) | 11
_PIDFD_INFO_EXIT: Final = 1 << 3
# starttime is field 22 (proc_pid_stat(5)); fields count on from 3 after the ")" that ends comm.
_START_TIME_INDEX: Final = 22 - 3
# The state letters of a process that no longer runs.
_DEAD_STATES: Final = frozenset({"Z", "X", "x"})


def open_pidfd(pid: int) -> int:
    """A close-on-exec pidfd. Raises ProcessLookupError when there is no such process."""
    try:
        return os.pidfd_open(pid)
    except OSError as error:
        # EINVAL: the number belongs to a thread, so the process that had it is gone.
        if error.errno in (errno.ESRCH, errno.EINVAL):
            raise ProcessLookupError(errno.ESRCH, "no such process", str(pid)) from error
        raise


def send_signal(pidfd: int, sig: int) -> bool:
    """Signal the process; False when it has ended already."""
    try:
        signal.pidfd_send_signal(pidfd, signal.Signals(sig) if sig in _STANDARD else sig)
    except ProcessLookupError:
        return False
    return True


_STANDARD: Final = frozenset(signal.Signals)


def parse_stat(text: str) -> tuple[str, int]:
    """(state letter, start time in clock ticks since boot) of /proc/<pid>/stat; comm may hold blanks and ")"."""
    fields = text[text.rindex(")") + 2 :].split(" ")
    return fields[0], int(fields[_START_TIME_INDEX])


def start_time(pid: int) -> int | None:
    """When the process started, in clock ticks since boot; None when there is none. A zombie counts."""
    status = _read_stat(pid)
    return None if status is None else status[1]


def alive(pid: int, started: int) -> bool:
    """Whether the process that had this number at that start time still runs (a zombie doesn't)."""
    status = _read_stat(pid)
    return status is not None and status[1] == started and status[0] not in _DEAD_STATES


def _read_stat(pid: int) -> tuple[str, int] | None:
    try:
        return parse_stat(Path(f"/proc/{pid}/stat").read_text(errors="replace"))
    except (FileNotFoundError, ProcessLookupError):
        return None


def bounding_set() -> int:
    """The capabilities that this process can pass on, as a mask (proc_pid_status(5), CapBnd)."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line.split()[1] for line in lines if line.startswith("CapBnd:")), 16)


def exit_code_from_wait_status(status: int) -> int:
    """0-255, or 128 + signal as shells and Docker count."""
    code = os.waitstatus_to_exitcode(status)
    return code if code >= 0 else 128 - code


def exit_code_from_pidfd(pidfd: int) -> int | None:
    """How a process ended that someone else has reaped.

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
    """The kernel's random name for this boot: another one means that every process of before is gone."""
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
