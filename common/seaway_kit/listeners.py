"""Listening sockets: those of the Docker API, and those that systemd passes to the process (sd_listen_fds(3)).

A unix socket is only taken over from a dead server.
"""

import contextlib
import grp
import os
import socket
import stat
from collections.abc import MutableMapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from seaway_kit.addresses import TCP, UNIX, join_address, split_address

GROUP: Final = "docker"
_MODE: Final = 0o660
BACKLOG: Final = 1024
_PROBE_S: Final = 0.5
_FIRST_FD: Final = 3
_VARIABLES: Final = ("LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES")


@dataclass(frozen=True)
class Listener:
    """A listening socket and its endpoint (with the real port, also if 0 was asked for).

    `path`: the unix socket's path, which `close` removes.
    """

    host: str
    socket: socket.socket
    path: "UnixPath | None" = None

    def close(self) -> None:
        """Close the socket: clients are refused, unless another process has the socket too and accepts on it."""
        if self.path is not None:
            self.path.remove()
        self.socket.close()


def listen_on(host: str, group: str = GROUP) -> Listener:
    """A bound and listening socket; `group` may connect to a unix socket. Raises OSError with a sentence."""
    if host.startswith(UNIX):
        made = _unix(Path(host.removeprefix(UNIX)), group)
        return Listener(host, made, UnixPath.of(host))
    made = _tcp(*split_address(host.removeprefix(TCP)))
    return Listener(TCP + join_address(*made.getsockname()[:2]), made)


def _unix(path: Path, group: str) -> socket.socket:
    """Bind under another name, then rename: the path never names a socket that isn't ready or has the wrong mode."""
    path.parent.mkdir(parents=True, exist_ok=True)
    _make_way(path)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        fresh.unlink(missing_ok=True)
        listener.bind(str(fresh))
        os.chown(fresh, -1, _group_id(group))
        fresh.chmod(_MODE)
        listener.listen(BACKLOG)
        fresh.rename(path)
    except OSError as error:
        listener.close()
        fresh.unlink(missing_ok=True)
        raise OSError(f"can't listen on unix://{path}: {error.strerror or error}") from error
    return listener


def _make_way(path: Path) -> None:
    """Raise OSError if a live server has the path, or if it is no socket."""
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        raise OSError(f"can't listen on unix://{path}: there is something else than a socket; move it away")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(_PROBE_S)
        try:
            probe.connect(str(path))
        except (ConnectionRefusedError, FileNotFoundError):
            return
        except OSError as error:
            raise OSError(f"can't listen on unix://{path}: {error.strerror or error}") from error
    raise OSError(f"can't listen on unix://{path}: another server answers there; stop it or choose another --host")


def _group_id(group: str) -> int:
    """The group's id; this process's own if there is no such group."""
    try:
        return grp.getgrnam(group).gr_gid
    except KeyError:
        return os.getegid()


def _tcp(address: str, port: int) -> socket.socket:
    try:
        family, _, _, _, target = socket.getaddrinfo(address, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        listener = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    except OSError as error:
        raise OSError(f"can't listen on tcp://{join_address(address, port)}: {error.strerror or error}") from error
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(target)
        listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        raise OSError(f"can't listen on tcp://{join_address(address, port)}: {error.strerror or error}") from error
    return listener


@dataclass(frozen=True)
class UnixPath:
    """A unix socket's path and inode."""

    path: Path
    inode: int

    @classmethod
    def of(cls, host: str) -> "UnixPath":
        """The socket that is at the path now."""
        path = Path(host.removeprefix(UNIX))
        return cls(path, path.stat().st_ino)

    def remove(self) -> None:
        """Remove the path, unless another server has it by now."""
        with contextlib.suppress(OSError):
            if self.path.stat().st_ino == self.inode:
                self.path.unlink()


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
