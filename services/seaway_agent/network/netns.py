"""Network namespaces of threads. A namespace lives as long as a file descriptor or a process holds it."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

from seaway_agent.kernel import syscalls


def current() -> int:
    """A new close-on-exec descriptor of the calling thread's namespace."""
    return os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)


def enter(fd: int) -> None:
    """Move the calling thread into a namespace. Raises OSError."""
    syscalls.setns(fd, syscalls.CLONE_NEWNET)


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
    syscalls.unshare(syscalls.CLONE_NEWNET)
    try:
        yield current()
    finally:
        enter(home)
