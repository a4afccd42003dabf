"""Run `crun exec`, and give its program's terminal a size before the program runs.

    python -I -S hold_program.py HEIGHT WIDTH RUNTIME ARGUMENT…

crun sizes an exec's terminal from outside, when the program may run already, and nothing makes the program wait
(docs/adr/0057). So this stands between conmon and crun. It traces crun and its children until one of them becomes the
program: that one stops in the kernel with its first instruction ahead of it, gets the size, and is let go. Where
tracing isn't allowed, or this is killed, the program runs as without it.

Stands alone, with few imports: it is started for each such exec.
"""

import ctypes
import fcntl
import os
import struct
import sys
import termios

_SEIZE, _CONT, _DETACH, _LISTEN = 0x4206, 7, 17, 0x4208
_EVENT_FORK, _EVENT_VFORK, _EVENT_CLONE, _EVENT_EXEC, _EVENT_STOP = 1, 2, 3, 4, 128
_OPTIONS = sum(1 << event for event in (_EVENT_FORK, _EVENT_VFORK, _EVENT_CLONE, _EVENT_EXEC))
_ALL_CHILDREN = 0x40000000  # __WALL: waitpid(2)
_GROUP_STOPS = (19, 20, 21, 22)  # SIGSTOP, SIGTSTP, SIGTTIN, SIGTTOU; the module signal takes long to import
_PIDFD_GETFD = 438
_libc = ctypes.CDLL(None, use_errno=True)
_libc.ptrace.argtypes = (ctypes.c_long, ctypes.c_long, ctypes.c_ulong, ctypes.c_ulong)
_libc.ptrace.restype = ctypes.c_long


def main(height: int, width: int, command: list[str]) -> int:
    """Run the command; its exit code, 128 + n for signal n."""
    ready, go = os.pipe()
    runtime = os.fork()
    if runtime == 0:
        os.close(go)
        os.read(ready, 1)
        os.execv(command[0], command)
    os.close(ready)
    _ptrace(_SEIZE, runtime, _OPTIONS)
    os.close(go)
    while True:
        pid, status = os.waitpid(-1, _ALL_CHILDREN)
        if os.WIFSTOPPED(status):
            _continue(pid, status, is_program=pid != runtime, size=(height, width))
        elif pid == runtime:
            code = os.waitstatus_to_exitcode(status)
            return code if code >= 0 else 128 - code


def _continue(pid: int, status: int, *, is_program: bool, size: tuple[int, int]) -> None:
    """Let a stopped process go on. crun executes itself once more; its children execute nothing but the program."""
    event, number = status >> 16, os.WSTOPSIG(status)
    if event == _EVENT_EXEC and is_program:
        _set_size(pid, size)
        _ptrace(_DETACH, pid)
    elif event == _EVENT_STOP and number in _GROUP_STOPS:
        _ptrace(_LISTEN, pid)
    else:
        _ptrace(_CONT, pid, 0 if event else number)


def _set_size(pid: int, size: tuple[int, int]) -> None:
    """Size the terminal that the process has as its input. It is taken from the process, as its path is not ours."""
    try:
        process = os.pidfd_open(pid)
        terminal = _libc.syscall(_PIDFD_GETFD, process, 0, 0)
        if terminal >= 0:
            fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", *size, 0, 0))
    except OSError:
        pass


def _ptrace(request: int, pid: int, data: int = 0) -> None:
    """A process that has been killed meanwhile is reported by waitpid; so no error matters here."""
    _libc.ptrace(request, pid, 0, data)


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3:]))
