"""Start a program with exactly the descriptors it is given.

posix_spawn(3) of glibc 2.34 or newer, which clones without copying the page tables, so that its cost doesn't grow with
the memory of the caller. Through ctypes, because os.posix_spawn of Python 3.11 to 3.13 can neither change the directory
nor close all other descriptors, and a descriptor that leaks into a container is a way out of it.
"""

import ctypes
import fcntl
import os
import signal
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from seaway_agent.kernel import procs

# glibc's structs have 80 and 336 bytes on 64-bit machines, a sigset_t 128.
_ACTIONS_SIZE: Final = 512
_ATTRIBUTES_SIZE: Final = 1024
_SIGSET_SIZE: Final = 128
_SETSIGDEF: Final = 0x04
_SETSIGMASK: Final = 0x08
_SETSID: Final = 0x80
# execve resets handlers, but signals that the caller ignores stay ignored.
_RESET_SIGNALS: Final = (
    signal.SIGPIPE,
    signal.SIGXFSZ,
    signal.SIGINT,
    signal.SIGHUP,
    signal.SIGQUIT,
    signal.SIGTERM,
    signal.SIGCHLD,
    signal.SIGUSR1,
    signal.SIGUSR2,
)

# Signals that glibc reserves. Up to 2.36 it leaves them ignored in the child; sigaddset(3) refuses them.
_INTERNAL_SIGNALS: Final = (32, 33)

_libc = ctypes.CDLL(None, use_errno=True)


@dataclass(frozen=True, slots=True)
class Spawned:
    """A started child; its owner closes `pidfd` and waits for `pid`."""

    pid: int
    pidfd: int


def _checked(code: int, what: str) -> None:
    """Raise OSError for the error number that the posix_spawn family returns."""
    if code:
        raise OSError(code, os.strerror(code), what)


class _Actions:
    """posix_spawn_file_actions_t as a context."""

    def __init__(self) -> None:
        self.raw = ctypes.create_string_buffer(_ACTIONS_SIZE)

    def __enter__(self) -> "_Actions":
        _checked(_libc.posix_spawn_file_actions_init(self.raw), "posix_spawn_file_actions_init")
        return self

    def __exit__(self, *_: object) -> None:
        _libc.posix_spawn_file_actions_destroy(self.raw)

    def chdir(self, directory: str) -> None:
        _checked(_libc.posix_spawn_file_actions_addchdir_np(self.raw, os.fsencode(directory)), directory)

    def open_null(self, fd: int) -> None:
        _checked(_libc.posix_spawn_file_actions_addopen(self.raw, fd, b"/dev/null", os.O_RDWR, 0), f"fd {fd}")

    def dup2(self, source: int, fd: int) -> None:
        _checked(_libc.posix_spawn_file_actions_adddup2(self.raw, source, fd), f"fd {source}")

    def close(self, fd: int) -> None:
        _checked(_libc.posix_spawn_file_actions_addclose(self.raw, fd), f"fd {fd}")

    def close_from(self, fd: int) -> None:
        _checked(_libc.posix_spawn_file_actions_addclosefrom_np(self.raw, fd), f"fd {fd}")


def _sigset(signals: Iterable[int]) -> ctypes.Array[ctypes.c_ulong]:
    """A sigset_t: signal n is bit n - 1 of an array of unsigned longs."""
    bits = 8 * ctypes.sizeof(ctypes.c_ulong)
    mask = (ctypes.c_ulong * (8 * _SIGSET_SIZE // bits))()
    for number in signals:
        mask[(number - 1) // bits] |= 1 << ((number - 1) % bits)
    return mask


def _attributes() -> ctypes.Array[ctypes.c_char]:
    """posix_spawnattr_t: own session, empty signal mask, default dispositions. glibc keeps no memory outside it."""
    raw = ctypes.create_string_buffer(_ATTRIBUTES_SIZE)
    _libc.posix_spawnattr_init(raw)
    _libc.posix_spawnattr_setflags(raw, ctypes.c_short(_SETSIGDEF | _SETSIGMASK | _SETSID))
    _libc.posix_spawnattr_setsigdefault(raw, _sigset((*_RESET_SIGNALS, *_INTERNAL_SIGNALS)))
    _libc.posix_spawnattr_setsigmask(raw, _sigset(()))
    return raw


_ATTRIBUTES: Final = _attributes()


def _c_strings(items: Sequence[str]) -> "ctypes.Array[ctypes.c_char_p]":
    return (ctypes.c_char_p * (len(items) + 1))(*map(os.fsencode, items), None)


def _arrange(actions: _Actions, fds: Mapping[int, int], parked: list[int]) -> None:
    """Descriptors of the child: those of `fds`, /dev/null at 0, 1 and 2 where it has none, nothing else."""
    end = max(3, *(fd + 1 for fd in fds)) if fds else 3
    for child, parent in fds.items():
        source = parent
        if parent != child and parent in fds:
            # Another action overwrites this number first: take it from a copy out of the way.
            source = fcntl.fcntl(parent, fcntl.F_DUPFD_CLOEXEC, end)
            parked.append(source)
        actions.dup2(source, child)
    for fd in range(end):
        if fd not in fds:
            (actions.open_null if fd < 3 else actions.close)(fd)
    actions.close_from(end)


def spawn(
    argv: Sequence[str],
    *,
    env: Mapping[str, str] | None = None,
    cwd: str = "/",
    fds: Mapping[int, int] | None = None,
) -> Spawned:
    """Start `argv` in a session of its own; `fds` says child descriptor -> descriptor here.

    Raises OSError, without a child, when it can't be started. The program is looked up in PATH if it has no slash.
    The child has the calling thread's mount namespace and, on cgroup v1, its cgroups.
    """
    pid = ctypes.c_int()
    parked: list[int] = []
    variables = _c_strings([f"{key}={value}" for key, value in (env or {}).items()])
    try:
        with _Actions() as actions:
            actions.chdir(cwd)
            _arrange(actions, fds or {}, parked)
            file = os.fsencode(argv[0])
            code = _libc.posix_spawnp(ctypes.byref(pid), file, actions.raw, _ATTRIBUTES, _c_strings(argv), variables)
            _checked(code, f"{argv[0]} (started in {cwd})")
    finally:
        for fd in parked:
            os.close(fd)
    return Spawned(pid.value, procs.open_pidfd(pid.value))
