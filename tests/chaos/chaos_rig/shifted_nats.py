"""The clock of a running nats-server, moved.

A Go program asks the kernel's own code in its memory (vdso(7)) for the time, where no library can come between. So that
code is replaced, in this one process, by a few instructions that add an offset.
"""

import contextlib
import ctypes
import os
import signal
import struct
from collections.abc import Iterator
from pathlib import Path

from e2e_rig.waits import eventually

_CODE = bytes.fromhex(
    "b8e4000000"  # mov eax, SYS_clock_gettime
    "0f05"  # syscall
    "85ff"  # test edi, edi: CLOCK_REALTIME?
    "750a"  # jne to the last instruction
    "488b0d06000000"  # mov rcx, the offset
    "48010e"  # add to the seconds
    "c3"  # ret
)
_OFFSET = struct.Struct("q")
_AT = 24  # beyond the code, aligned; the instruction above counts from its own end
_SYMBOL = "__vdso_clock_gettime"


class ShiftedNats:
    """Of the process `pid`. Only on x86-64."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        first, last = _vdso(pid)
        self._place = first + _symbol_offset()
        eventually(lambda: self._replaced(first, last), "a moment in which nobody looks at the clock")

    def move(self, seconds: int) -> None:
        """From now on its clock is so much ahead of the machine's (behind, where negative)."""
        self._write(self._place + _AT, _OFFSET.pack(seconds))

    def _replaced(self, first: int, last: int) -> bool:
        """Put the code in place, unless a thread is within it just now; whether that was done."""
        with _stopped(self._pid):
            eventually(lambda: _stand_still(self._pid), "threads that stand still")
            free = not any(first <= place < last for place in _places(self._pid))
            if free:
                self._write(self._place, _CODE.ljust(_AT, b"\x90") + _OFFSET.pack(0))
            return free

    def _write(self, place: int, data: bytes) -> None:
        with open(f"/proc/{self._pid}/mem", "r+b", buffering=0) as memory:
            memory.seek(place)
            assert memory.write(data) == len(data)


def _vdso(pid: int) -> tuple[int, int]:
    """Where the kernel's code is in a process' memory."""
    line = next(line for line in Path(f"/proc/{pid}/maps").read_text().splitlines() if line.endswith("[vdso]"))
    first, _, last = line.split()[0].partition("-")
    return int(first, 16), int(last, 16)


def _symbol_offset() -> int:
    """Where the function is in that code, which is the same in all processes."""
    function = getattr(ctypes.CDLL("linux-vdso.so.1"), _SYMBOL)
    return int(ctypes.cast(function, ctypes.c_void_p).value or 0) - _vdso(os.getpid())[0]


@contextlib.contextmanager
def _stopped(pid: int) -> Iterator[None]:
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def _threads(pid: int) -> list[list[str]]:
    """Of each thread: `running`, or words of which the last one is the address where it is (proc(5), task/syscall)."""
    return [(thread / "syscall").read_text().split() for thread in Path(f"/proc/{pid}/task").iterdir()]


def _stand_still(pid: int) -> bool:
    return ["running"] not in _threads(pid)


def _places(pid: int) -> list[int]:
    return [int(words[-1], 16) for words in _threads(pid)]
