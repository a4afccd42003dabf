"""Network namespaces of threads. A namespace lives as long as a descriptor or a process refers to it."""

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
    """Enter a namespace for the block, then return to ``home``."""
    enter(fd)
    try:
        yield
    finally:
        enter(home)


@contextmanager
def inside_new(home: int) -> Iterator[int]:
    """Enter a new namespace for the block, then return to ``home``; yields its descriptor, which the caller closes."""
    syscalls.unshare(syscalls.CLONE_NEWNET)
    try:
        yield current()
    finally:
        enter(home)
