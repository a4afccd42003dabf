"""A lock among the agents of a network namespace: two that choose a subnet at once would take the same one."""

import contextlib
import errno
import logging
import socket
import time
from collections.abc import Iterator
from typing import Final

_log = logging.getLogger(__name__)
_NAME: Final = "\0seaway-chooses-a-subnet"
_WAIT_S: Final = 10.0
_POLL_S: Final = 0.01


@contextlib.contextmanager
def subnet_lock(wait_s: float = _WAIT_S) -> Iterator[None]:
    """Hold the lock, an abstract unix address: the kernel scopes it to the namespace, and frees it if the process dies.

    Blocks while another process holds it, for ``wait_s`` seconds at most: then it continues without the lock.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as lock:
        deadline = time.monotonic() + wait_s
        while not _taken(lock):
            if time.monotonic() > deadline:
                _log.warning("another agent has been choosing a subnet for %g s: choosing as well", wait_s)
                break
            time.sleep(_POLL_S)
        yield


def _taken(lock: socket.socket) -> bool:
    try:
        lock.bind(_NAME)
    except OSError as error:
        if error.errno != errno.EADDRINUSE:
            raise
        return False
    return True
