"""Sockets that systemd passes to the process at its start (sd_listen_fds(3))."""

import os
import socket
from collections.abc import MutableMapping
from typing import Final

_FIRST_FD: Final = 3
_VARIABLES: Final = ("LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES")


def take_sockets(env: MutableMapping[str, str] = os.environ, first_fd: int = _FIRST_FD) -> list[socket.socket]:
    """The sockets for this process, non-blocking and close-on-exec. Removes the variables.

    Raises OSError for a descriptor that is no listening stream socket.
    """
    meant_for, count, _ = [env.pop(name, "") for name in _VARIABLES]
    if meant_for != str(os.getpid()) or not count.isdigit():
        return []
    taken: list[socket.socket] = []
    try:
        for number in range(first_fd, first_fd + int(count)):
            taken.append(_take(number))
    except OSError:
        for one in taken:
            one.close()
        raise
    return taken


def _take(number: int) -> socket.socket:
    try:
        made = socket.socket(fileno=number)
    except OSError as error:
        raise OSError(f"the descriptor {number} that was passed is no socket: {error.strerror}") from error
    if made.type != socket.SOCK_STREAM or not made.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
        made.close()
        raise OSError(f"the socket {number} that was passed doesn't listen: use ListenStream= and Accept=no")
    made.setblocking(False)
    made.set_inheritable(False)
    return made
