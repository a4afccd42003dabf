"""Network namespaces of threads. A namespace lives as long as a file descriptor or a process holds it."""

import ctypes
import os
from collections.abc import Iterator
from contextlib import contextmanager

_CLONE_NEWNET = 0x40000000
_libc = ctypes.CDLL(None, use_errno=True)


def current() -> int:
    """A new close-on-exec descriptor of the calling thread's namespace."""
    return os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)


def enter(fd: int) -> None:
    """Move the calling thread into a namespace. Raises OSError."""
    _check(_libc.setns(fd, _CLONE_NEWNET), "enter a network namespace")


@contextmanager
def inside(fd: int, home: int) -> Iterator[None]:
    """Be in one namespace, then back in ``home``."""
    enter(fd)
    try:
        yield
    finally:
        enter(home)


@contextmanager
def inside_new(home: int) -> Iterator[int]:
    """Be in a new namespace, then back in ``home``; yields a descriptor of the new one, the caller's to close."""
    _check(_libc.unshare(_CLONE_NEWNET), "make a network namespace")
    try:
        yield current()
    finally:
        enter(home)


def _check(result: int, doing: str) -> None:
    if result != 0:
        code = ctypes.get_errno()
        raise OSError(code, f"cannot {doing}: {os.strerror(code)}")
