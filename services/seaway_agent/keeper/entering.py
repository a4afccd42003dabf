"""Runs a program in a container that runs, as the runtime's `exec` does, but from this process.

A runtime takes several times as long to be loaded, linked and told all that is known here.

Two processes go, as with runtimes. The guide joins namespaces, where the container doesn't see it. Then it makes the
second one, which is born as one of the container's processes, has nothing of the host's any more but its memory, is put
into the container's cgroups by the keeper, and becomes the program; the guide waits for that and ends.

What is not yet the program must be safe from its container, whose root may see it, stop it, and send it signals. It
can't be looked into or written to by processes there (it isn't `dumpable`, and whoever has CAP_SYS_PTRACE is left to
the runtime), nor can its file, by `/proc/self/exe`: that is on a read-only mount. It handles no signals. On the way to
its working directory it follows none of the kernel's links, which may lead out. As its guide waits for it like vfork's
caller, its OOM score is its own (else who shares memory shares that), and the kernel doesn't choose it where memory is
short in its cgroup: it would end all who share its.

Both share this process's memory, and run nothing but a list of system calls. Where one of them fails, the runtime is
asked instead: it does it, or says why not.
"""

import contextlib
import ctypes
import os
import signal
import socket
import stat
from pathlib import Path
from typing import Final

from seaway_agent.keeper.calls import ANYTHING, Calls, executable, has_ended
from seaway_agent.keeper.orders import Entry

# asm/unistd_64.h
_READ, _WRITE, _OPEN, _CLOSE, _RT_SIGACTION, _RT_SIGPROCMASK, _ACCESS, _CLONE, _EXECVE = 0, 1, 2, 3, 13, 14, 21, 56, 59
_FTRUNCATE, _FCHDIR, _FCHOWN, _UMASK, _SETSID, _SETGROUPS, _SETRESUID, _SETRESGID = 77, 81, 93, 95, 112, 116, 117, 119
_CAPSET, _PRCTL, _EXIT_GROUP, _DUP3, _PRLIMIT, _SETNS, _SECCOMP = 126, 157, 231, 292, 302, 308, 317
_CLOSE_RANGE, _OPENAT2 = 436, 437
# linux/prctl.h, linux/seccomp.h, linux/openat2.h, linux/sched.h
_SET_DUMPABLE, _SET_KEEPCAPS, _CAPBSET_DROP, _SET_NO_NEW_PRIVS, _CAP_AMBIENT = 4, 8, 24, 38, 47
_AMBIENT_CLEAR_ALL: Final = 4
_SET_MODE_FILTER, _SPEC_ALLOW = 1, 4
_NO_MAGIC_LINKS: Final = 2
_CLONE_VM, _CLONE_VFORK, _CLONE_PARENT, _CLONE_PARENT_SETTID = 0x100, 0x4000, 0x8000, 0x100000
_AT_FDCWD: Final = -100
_CAPABILITY_VERSION_3: Final = 0x20080522
_APPARMOR: Final = "/proc/thread-self/attr/apparmor/exec"
_LAST_CAP_FILE: Final = Path("/proc/sys/kernel/cap_last_cap")
_SUID_DUMPABLE_FILE: Final = Path("/proc/sys/fs/suid_dumpable")
_DUMPABLE: Final = 1
_ALL_FDS: Final = 0xFFFFFFFF
_WORD: Final = 0xFFFFFFFF
_UNCHANGED: Final = 0xFFFFFFFF
"""As a user or group: leave it as it is."""
_INSTRUCTION: Final = 8
_MOST_FILTER: Final = 1 << 16

_GATE, _PID_FILE, _CONTAINER, _NEXT = 3, 4, 5, 6
"""Descriptors of the two behind the program's streams: what they say and where the second waits, its pid file, the
container, what is opened for a moment.
"""

_FAILED: Final = 125
"""The exit code of a process that did not become the program."""


class Entering:
    """Two processes under way: `guide` is the first one's pid. They are heard at the gate, where the second waits."""

    def __init__(self, guide: int, gate: socket.socket, calls: Calls, number_at: int) -> None:
        self.guide = guide
        self.gate = gate
        self.calls = calls
        self._number_at = number_at

    def is_ready(self) -> bool:
        """To be asked when the gate is readable: whether the second one waits for leave. Else it is over: both are
        gone, or one is the program.
        """
        try:
            return bool(self.gate.recv(1))
        except ConnectionResetError:  # both were killed before the second one had heard that it may
            return False

    @property
    def pid(self) -> int:
        """Of the second one; 0 where there is none."""
        return self.calls.number_at(self._number_at)

    def go(self) -> None:
        """Let it, if it hasn't been killed."""
        with contextlib.suppress(OSError):
            self.gate.send(b"\0")

    def stop(self) -> None:
        """Don't let it."""
        with contextlib.suppress(OSError):
            self.gate.shutdown(socket.SHUT_WR)


class Enterer:
    """Sends processes into containers."""

    def __init__(self) -> None:
        """Raises OSError where that can't be done, or not be done safely."""
        if not os.statvfs("/proc/self/exe").f_flag & os.ST_RDONLY:
            raise PermissionError("the interpreter isn't on a read-only mount")
        if int(_SUID_DUMPABLE_FILE.read_text()) == _DUMPABLE:
            raise PermissionError("who changes its user can be looked into here, by fs.suid_dumpable")
        self._code = executable()
        self._last_cap = int(_LAST_CAP_FILE.read_text())
        self._handled = [number for number in signal.valid_signals() if _is_handled(number)]
        if _libc.prctl(_SET_DUMPABLE, 0, 0, 0, 0):
            raise OSError(ctypes.get_errno(), "prctl")
        self._idle: list[Calls] = []

    def send(self, entry: Entry, container: int, stdio: list[int], pid_file: int) -> Entering:
        """Have them go. `container`: a pidfd of its first process. `pid_file` is emptied where none of them becomes the
        program.

        Raises OSError, OverflowError, ValueError.
        """
        gate, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        calls = self._idle.pop() if self._idle else Calls()
        try:
            calls.begin()
            number_at = calls.numbers("i", 0)
            self._write(calls, entry, number_at, (*stdio, theirs.fileno(), pid_file, container))
            return Entering(calls.run(self._code), gate, calls, number_at)
        except BaseException:
            self._idle.append(calls)
            gate.close()
            raise
        finally:
            theirs.close()

    def arrived(self, entering: Entering) -> bool:
        """Whether it is the program; to be asked once, when it is over."""
        entering.gate.close()
        has_ended(entering.guide)
        self._idle.append(entering.calls)
        return entering.pid > 0 and not has_ended(entering.pid)

    # --- the calls

    def _write(self, calls: Calls, entry: Entry, number_at: int, fds: tuple[int, ...]) -> None:
        calls.add(_FTRUNCATE, _PID_FILE, 0, least=ANYTHING)
        calls.add(_EXIT_GROUP, _FAILED)
        calls.start()
        _guide(calls, entry, fds)
        _second(calls, number_at)
        calls.add(_WRITE, _GATE, calls.put(b"\0"), 1)
        calls.add(_READ, _GATE, calls.put(b"\0"), 1, least=1)
        _change_directory(calls, entry.cwd)
        for number, soft, hard in entry.rlimits:
            calls.add(_PRLIMIT, 0, number, calls.numbers("Q", soft, hard))
        filter_ = _filter(calls, entry.seccomp) if entry.seccomp else None
        if not entry.no_new_privileges:
            _confine(calls, filter_)
        _own_streams(calls, entry, fds)
        self._become_user(calls, entry)
        if entry.no_new_privileges:
            calls.add(_PRCTL, _SET_NO_NEW_PRIVS, 1)
            _confine(calls, filter_)
        self._heed_signals(calls)
        _execute(calls, entry)

    def _become_user(self, calls: Calls, entry: Entry) -> None:
        for number in range(self._last_cap + 1):
            if not entry.bounding >> number & 1:
                calls.add(_PRCTL, _CAPBSET_DROP, number)
        if min(entry.uid, entry.gid) < 0 or max(entry.uid, entry.gid) >= _UNCHANGED:
            raise OverflowError("not a user, or not a group")
        calls.add(_PRCTL, _SET_KEEPCAPS, 1)
        calls.add(_SETGROUPS, len(entry.groups), calls.numbers("I", *entry.groups))
        calls.add(_SETRESGID, *(entry.gid,) * 3)
        calls.add(_SETRESUID, *(entry.uid,) * 3)
        calls.add(_PRCTL, _SET_DUMPABLE, 0)  # that was fs.suid_dumpable's to say again; a core would be this process's
        masks = entry.effective, entry.permitted, entry.inheritable
        words = calls.numbers("I", *(mask & _WORD for mask in masks), *(mask >> 32 for mask in masks))
        calls.add(_CAPSET, calls.numbers("I", _CAPABILITY_VERSION_3, 0), words)
        calls.add(_PRCTL, _CAP_AMBIENT, _AMBIENT_CLEAR_ALL)
        calls.add(_UMASK, entry.umask)

    def _heed_signals(self, calls: Calls) -> None:
        """Only now, when no handler of this process's can be run any more."""
        default = calls.put(bytes(32))
        for number in self._handled:
            calls.add(_RT_SIGACTION, number, default, 0, 8)
        calls.add(_RT_SIGPROCMASK, signal.SIG_SETMASK, default, 0, 8)


def _is_handled(number: int) -> bool:
    """Whether this process does not leave a signal to the kernel."""
    return signal.getsignal(number) not in (signal.SIG_DFL, None)


def _guide(calls: Calls, entry: Entry, fds: tuple[int, ...]) -> None:
    """What the first one does: after it, it has nothing open but its streams, the gate and the pid file."""
    for place, fd in enumerate(fds):
        calls.add(_DUP3, fd, place, os.O_CLOEXEC if place >= _GATE else 0)
    calls.add(_CLOSE_RANGE, _NEXT, _ALL_FDS)
    calls.add(_SETSID)
    if entry.apparmor:
        words = b"exec " + entry.apparmor.encode()
        calls.add(_OPEN, calls.text(_APPARMOR), os.O_WRONLY | os.O_CLOEXEC)
        calls.add(_WRITE, _NEXT, calls.put(words), len(words))
        calls.add(_CLOSE, _NEXT)
    calls.add(_SETNS, _CONTAINER, entry.namespaces)
    calls.add(_CLOSE, _CONTAINER)


def _second(calls: Calls, number_at: int) -> None:
    """Both come back from `clone`: the second with 0, so it leaves out the first one's end. So does the first where
    there is no second; but a leader of a session can't begin one.
    """
    flags = _CLONE_VM | _CLONE_VFORK | _CLONE_PARENT | _CLONE_PARENT_SETTID
    calls.add(_CLONE, flags, 0, number_at, least=1, skip=1)
    calls.add(_EXIT_GROUP, 0)
    calls.add(_SETSID)


def _change_directory(calls: Calls, path: str) -> None:
    how = calls.numbers("Q", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC, 0, _NO_MAGIC_LINKS)
    calls.add(_OPENAT2, _AT_FDCWD, calls.text(path), how, 24)
    calls.add(_FCHDIR, _CONTAINER)  # the number is free again
    calls.add(_CLOSE, _CONTAINER)


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


def _execute(calls: Calls, entry: Entry) -> None:
    """The first of the PATH that can be executed, by the PATH that the program will have."""
    name = entry.args[0]
    directories = [""] if "/" in name else [f"{part}/" for part in entry.env.get("PATH", "").split(":") if part]
    args, env = calls.texts(entry.args), calls.texts([f"{name}={value}" for name, value in entry.env.items()])
    *others, last = [calls.text(f"{directory}{name}") for directory in directories]
    for path in others:
        calls.add(_ACCESS, path, os.X_OK, skip=1)
        calls.add(_EXECVE, path, args, env)
    calls.add(_EXECVE, last, args, env)


_libc = ctypes.CDLL(None, use_errno=True)
