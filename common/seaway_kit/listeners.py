"""The sockets that the Docker API listens on. A unix socket is taken over only from the dead."""

import contextlib
import grp
import os
import socket
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from seaway_kit.addresses import join_address, split_address
from seaway_kit.docker_hosts import TCP, UNIX

GROUP: Final = "docker"
_MODE: Final = 0o660
BACKLOG: Final = 1024
_PROBE_S: Final = 0.5


@dataclass(frozen=True)
class Listener:
    """A listening socket, and the endpoint that it is (with the real port, also where 0 was asked for).

    `path`: what is to be taken away with it.
    """

    host: str
    socket: socket.socket
    path: "UnixPath | None" = None

    def close(self) -> None:
        """Be no longer there: clients are refused, unless another process has the socket and accepts on it."""
        if self.path is not None:
            self.path.remove()
        self.socket.close()


def listen_on(host: str, group: str = GROUP) -> Listener:
    """Bound and listening; members of `group` may connect to a unix socket. Raises OSError with a sentence."""
    if host.startswith(UNIX):
        made = _unix(Path(host.removeprefix(UNIX)), group)
        return Listener(host, made, UnixPath.of(host))
    made = _tcp(*split_address(host.removeprefix(TCP)))
    return Listener(TCP + join_address(*made.getsockname()[:2]), made)


def _unix(path: Path, group: str) -> socket.socket:
    """Bound under another name and renamed: the path never names a socket that nobody accepts on, nor an open one."""
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
    """Refuse to take a path from a live server, or from what is no socket."""
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
    """The group's id; that of this process where there is no such group."""
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
    """A unix socket's path, and which socket it names."""

    path: Path
    inode: int

    @classmethod
    def of(cls, host: str) -> "UnixPath":
        """The socket that stands there now."""
        path = Path(host.removeprefix(UNIX))
        return cls(path, path.stat().st_ino)

    def remove(self) -> None:
        """Take the path away, unless another server has it by now."""
        with contextlib.suppress(OSError):
            if self.path.stat().st_ino == self.inode:
                self.path.unlink()
