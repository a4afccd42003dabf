"""Only one agent of a network namespace chooses a subnet at a time: two would both find the same one free."""

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
    """Hold the right to choose: an abstract unix address, which is the namespace's own and goes with a killed process.

    Blocks while another has it; whoever holds it for too long is not waited for.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as right:
        deadline = time.monotonic() + wait_s
        while not _taken(right):
            if time.monotonic() > deadline:
                _log.warning("another agent has been choosing a subnet for %g s: choosing as well", wait_s)
                break
            time.sleep(_POLL_S)
        yield


def _taken(right: socket.socket) -> bool:
    try:
        right.bind(_NAME)
    except OSError as error:
        if error.errno != errno.EADDRINUSE:
            raise
        return False
    return True
