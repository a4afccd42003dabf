"""Runs a program in a container that runs, as the runtime's `exec` does, but from this process.

A runtime takes several times as long to be loaded, linked and told all that is known here.

What is not yet the program belongs to no container, and must be safe from it. It is born among the container's
processes, but can't be looked into or written to by them (it isn't `dumpable`, and whoever has CAP_SYS_PTRACE is left
to the runtime), nor can its file, by `/proc/self/exe`: that is on a read-only mount. It has nothing open when it follows
a path that the user or the container chose, and follows none of the kernel's links, which may lead out. It shares this
process's memory, and runs nothing but a list of system calls. Where one of them fails, the runtime is asked instead: it
does it, or says why not.
"""

import ctypes
import os
import signal
import socket
import stat
from typing import Final

from seaway_agent.keeper.calls import ANYTHING, Calls, executable
from seaway_agent.keeper.orders import Entry

CLONE_NEWPID: Final = 0x20000000
# asm/unistd_64.h
_READ, _WRITE, _OPEN, _CLOSE, _RT_SIGACTION, _RT_SIGPROCMASK, _EXECVE = 0, 1, 2, 3, 13, 14, 59
_FTRUNCATE, _FCHDIR, _FCHOWN, _UMASK, _SETSID, _SETGROUPS, _SETRESUID, _SETRESGID = 77, 81, 93, 95, 112, 116, 117, 119
_CAPSET, _PRCTL, _EXIT_GROUP, _DUP3, _PRLIMIT, _SETNS, _SECCOMP = 126, 157, 231, 292, 302, 308, 317
_CLOSE_RANGE, _OPENAT2 = 436, 437
# linux/prctl.h, linux/seccomp.h, linux/openat2.h
_SET_DUMPABLE, _SET_KEEPCAPS, _CAPBSET_DROP, _SET_NO_NEW_PRIVS, _CAP_AMBIENT = 4, 8, 24, 38, 47
_AMBIENT_CLEAR_ALL: Final = 4
_SET_MODE_FILTER, _SPEC_ALLOW = 1, 4
_NO_MAGIC_LINKS: Final = 2
_AT_FDCWD: Final = -100
_CAPABILITY_VERSION_3: Final = 0x20080522
_APPARMOR: Final = "/proc/thread-self/attr/apparmor/exec"
_LAST_CAP_FILE: Final = "/proc/sys/kernel/cap_last_cap"
_ALL_FDS: Final = 0xFFFFFFFF
_WORD: Final = 0xFFFFFFFF
_INSTRUCTION: Final = 8
_MOST_FILTER: Final = 1 << 16
_HANDLED: Final = (signal.SIGCHLD, signal.SIGPIPE, signal.SIGXFSZ)
"""What this process does not leave to the kernel."""

_GATE, _PID_FILE, _CONTAINER, _NEXT = 3, 4, 5, 6
"""Descriptors of the new process behind its streams: where it waits, its pid file, its container, what it opens for a
moment.
"""

FAILED: Final = 125
"""The exit code of a process that did not become the program."""


class Entering:
    """A process that waits at its gate until something is sent there; gone, if that is closed. The gate is readable when
    it has become the program, or has ended.
    """

    def __init__(self, pid: int, gate: socket.socket, calls: Calls) -> None:
        self.pid = pid
        self.gate = gate
        self.calls = calls


class Enterer:
    """Sends processes into containers."""

    def __init__(self) -> None:
        """Raises OSError where that can't be done, or not be done safely."""
        if not os.statvfs("/proc/self/exe").f_flag & os.ST_RDONLY:
            raise PermissionError("the interpreter isn't on a read-only mount")
        self._code = executable()
        with open(_LAST_CAP_FILE) as file:  # noqa: PTH123
            self._last_cap = int(file.read())
        if _libc.prctl(_SET_DUMPABLE, 0, 0, 0, 0):
            raise OSError(ctypes.get_errno(), "prctl")
        self._own_pids = os.open("/proc/self/ns/pid", os.O_RDONLY | os.O_CLOEXEC)
        self._idle: list[Calls] = []

    def send(self, entry: Entry, container: int, stdio: list[int], pid_file: int) -> Entering:
        """One to the gate. `container`: a pidfd of its first process. `pid_file`: it is emptied where
        the process doesn't become the program.

        Raises OSError, OverflowError, ValueError.
        """
        calls = self._idle.pop() if self._idle else Calls()
        gate, theirs = socket.socketpair()
        try:
            calls.begin()
            self._write(calls, entry, (*stdio, theirs.fileno(), pid_file, container))
            return Entering(self._run(calls, entry, container), gate, calls)
        except BaseException:
            self._idle.append(calls)
            gate.close()
            raise
        finally:
            theirs.close()

    def arrived(self, entering: Entering) -> bool:
        """Whether it is the program now; else it ends. To be asked when the gate is readable, or to close it."""
        entering.gate.close()
        self._idle.append(entering.calls)
        return entering.calls.failure is None

    def _run(self, calls: Calls, entry: Entry, container: int) -> int:
        if not entry.namespaces & CLONE_NEWPID:
            return calls.run(self._code)
        _setns(container)
        try:
            return calls.run(self._code)
        finally:
            self._return()

    def _return(self) -> None:
        """What is started from here on is no container's. It can't fail; if it does, nothing may be started any more."""
        try:
            _setns(self._own_pids)
        except OSError as error:
            raise SystemExit(f"the keeper can't leave a container's processes: {error}") from error

    # --- the calls

    def _write(self, calls: Calls, entry: Entry, fds: tuple[int, ...]) -> None:
        add = calls.add
        for place, fd in enumerate(fds):
            add(_DUP3, fd, place, os.O_CLOEXEC if place >= _GATE else 0)
        add(_CLOSE_RANGE, _NEXT, _ALL_FDS)
        add(_READ, _GATE, calls.put(b"\0"), 1, least=1)
        add(_SETSID)
        _join(calls, entry.cgroups)
        if entry.apparmor:
            _say(calls, _APPARMOR, calls.put(b"exec " + entry.apparmor.encode()), len(entry.apparmor.encode()) + 5)
        add(_SETNS, _CONTAINER, entry.namespaces & ~CLONE_NEWPID)
        add(_CLOSE, _CONTAINER)
        how = calls.numbers("Q", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC, 0, _NO_MAGIC_LINKS)
        add(_OPENAT2, _AT_FDCWD, calls.text(entry.cwd), how, 24)
        add(_FCHDIR, _CONTAINER)  # the number is free again
        add(_CLOSE, _CONTAINER)
        for number, soft, hard in entry.rlimits:
            add(_PRLIMIT, 0, number, calls.numbers("Q", soft, hard))
        filter_ = _filter(calls, entry.seccomp) if entry.seccomp else None
        if not entry.no_new_privileges:
            _confine(calls, filter_)
        _own_streams(calls, entry, fds)
        self._become_user(calls, entry)
        if entry.no_new_privileges:
            add(_PRCTL, _SET_NO_NEW_PRIVS, 1)
            _confine(calls, filter_)
        _heed_signals(calls)
        _execute(calls, entry)
        calls.on_failure()
        add(_FTRUNCATE, _PID_FILE, 0, least=ANYTHING)
        add(_EXIT_GROUP, FAILED)

    def _become_user(self, calls: Calls, entry: Entry) -> None:
        for number in range(self._last_cap + 1):
            if not entry.bounding >> number & 1:
                calls.add(_PRCTL, _CAPBSET_DROP, number)
        calls.add(_PRCTL, _SET_KEEPCAPS, 1)
        calls.add(_SETGROUPS, len(entry.groups), calls.numbers("I", *entry.groups))
        calls.add(_SETRESGID, *(entry.gid,) * 3)
        calls.add(_SETRESUID, *(entry.uid,) * 3)
        masks = entry.effective, entry.permitted, entry.inheritable
        words = calls.numbers("I", *(mask & _WORD for mask in masks), *(mask >> 32 for mask in masks))
        calls.add(_CAPSET, calls.numbers("I", _CAPABILITY_VERSION_3, 0), words)
        calls.add(_PRCTL, _CAP_AMBIENT, _AMBIENT_CLEAR_ALL)
        calls.add(_UMASK, entry.umask)


def _join(calls: Calls, cgroups: list[str]) -> None:
    itself = calls.put(b"0")
    for directory in cgroups:
        _say(calls, f"{directory}/cgroup.procs", itself, 1)


def _say(calls: Calls, file: str, what: int, size: int) -> None:
    calls.add(_OPEN, calls.text(file), os.O_WRONLY | os.O_CLOEXEC)
    calls.add(_WRITE, _NEXT, what, size)
    calls.add(_CLOSE, _NEXT)


def _filter(calls: Calls, path: str) -> int:
    """The address of a struct sock_fprog."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        program = os.read(fd, _MOST_FILTER)
    finally:
        os.close(fd)
    return calls.numbers("Q", len(program) // _INSTRUCTION, calls.put(program))


def _confine(calls: Calls, filter_: int | None) -> None:
    if filter_ is not None:
        calls.add(_SECCOMP, _SET_MODE_FILTER, _SPEC_ALLOW, filter_)


def _own_streams(calls: Calls, entry: Entry, fds: tuple[int, ...]) -> None:
    """So that the program can open its streams once more by name. /dev/null stays whose it is: it is the host's."""
    for place, fd in enumerate(fds[:_GATE]):
        if (entry.uid or entry.gid) and stat.S_ISFIFO(os.fstat(fd).st_mode):
            calls.add(_FCHOWN, place, entry.uid, entry.gid)


def _heed_signals(calls: Calls) -> None:
    default = calls.put(bytes(32))
    for number in _HANDLED:
        calls.add(_RT_SIGACTION, number, default, 0, 8)
    calls.add(_RT_SIGPROCMASK, signal.SIG_SETMASK, default, 0, 8)


def _execute(calls: Calls, entry: Entry) -> None:
    """The first of the PATH that can be executed, by the PATH that the program will have."""
    name = entry.args[0]
    directories = [""] if "/" in name else [f"{part}/" for part in entry.env.get("PATH", "").split(":") if part]
    args, env = calls.texts(entry.args), calls.texts([f"{name}={value}" for name, value in entry.env.items()])
    paths = [calls.text(f"{directory}{name}") for directory in directories] or [calls.text(name)]
    for path in paths[:-1]:
        calls.add(_EXECVE, path, args, env, least=ANYTHING)
    calls.add(_EXECVE, paths[-1], args, env)


_libc = ctypes.CDLL(None, use_errno=True)


def _setns(fd: int) -> None:
    if _libc.setns(fd, CLONE_NEWPID):
        raise OSError(ctypes.get_errno(), "setns")
