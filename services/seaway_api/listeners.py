"""The sockets that the API listens on. A unix socket is taken over only from the dead."""

import contextlib
import grp
import os
import socket
import ssl
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from seaway_api.settings import ApiSettings
from seaway_kit.addresses import join_address, split_address
from seaway_kit.docker_hosts import TCP, UNIX

_MODE: Final = 0o660
BACKLOG: Final = 1024
_PROBE_S: Final = 0.5


def listen_on(host: str, settings: ApiSettings) -> socket.socket:
    """A bound and listening socket. Raises OSError with a sentence."""
    if host.startswith(UNIX):
        return _unix(Path(host.removeprefix(UNIX)), settings.socket_group)
    return _tcp(*split_address(host.removeprefix(TCP)))


def host_of(listener: socket.socket, settings: ApiSettings) -> str:
    """What a passed socket listens on, as `--host` would say it. Raises OSError for one that would let anybody in."""
    if listener.family == socket.AF_UNIX:
        return f"{UNIX}{listener.getsockname()}"
    host = TCP + join_address(*listener.getsockname()[:2])
    try:
        settings.check_host(host)
    except ValueError as error:
        raise OSError(str(error)) from error
    return host


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


def tls_context(settings: ApiSettings) -> ssl.SSLContext | None:
    """TLS for the TCP endpoints, with a check of the client's certificate where a CA is given. Raises OSError."""
    if settings.tls_cert is None:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(settings.tls_cert, settings.tls_key)
        if settings.tls_ca is not None:
            context.load_verify_locations(settings.tls_ca)
            context.verify_mode = ssl.CERT_REQUIRED
    except (OSError, ssl.SSLError) as error:
        raise OSError(f"can't use the TLS files ({settings.tls_cert}, …): {error}") from error
    return context


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
