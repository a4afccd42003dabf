"""Sockets that reserve published ports on the host.

IPv4: bound and never read, as nftables translates the traffic before. IPv6: the relay accepts connections there.
"""

import errno
import os
import socket
from contextlib import suppress

from seaway_agent.network.errors import PortError
from seaway_agent.network.ports import PortBinding, with_port

_KINDS = {
    "tcp": (socket.SOCK_STREAM, socket.IPPROTO_TCP),
    "udp": (socket.SOCK_DGRAM, socket.IPPROTO_UDP),
    "sctp": (socket.SOCK_STREAM, socket.IPPROTO_SCTP),
}
_UNSUPPORTED = (errno.EPROTONOSUPPORT, errno.ESOCKTNOSUPPORT, errno.EAFNOSUPPORT)


def reserve(binding: PortBinding) -> socket.socket | None:
    """Bind a binding's host address and port. None if the host's kernel lacks the protocol (SCTP is a module).

    Raises PortError with the text of Docker's (Go's) listener if a process of the host has the port.
    """
    family = socket.AF_INET6 if ":" in binding.host_ip else socket.AF_INET
    try:
        return _bind(binding, family)
    except OSError as error:
        if error.errno in _UNSUPPORTED:
            return None
        version = "6" if family == socket.AF_INET6 else "4"
        where = with_port(binding.host_ip, binding.host_port)
        reason = os.strerror(error.errno or 0).lower()
        raise PortError(f"listen {binding.protocol}{version} {where}: bind: {reason}") from error


def _bind(binding: PortBinding, family: socket.AddressFamily) -> socket.socket:
    try:
        return _bind_once(binding, family, reuse=False)
    except OSError as error:
        if error.errno != errno.EADDRINUSE or binding.protocol != "tcp":
            raise
        return _bind_despite_time_wait(binding, family)


def _bind_once(binding: PortBinding, family: socket.AddressFamily, *, reuse: bool) -> socket.socket:
    kind, protocol = _KINDS[binding.protocol]
    bound = socket.socket(family, kind | socket.SOCK_CLOEXEC, protocol)
    try:
        if family == socket.AF_INET6:
            bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        if reuse:
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind((binding.host_ip, binding.host_port))
    except BaseException:
        bound.close()
        raise
    return bound


def _bind_despite_time_wait(binding: PortBinding, family: socket.AddressFamily) -> socket.socket:
    """A port whose only users are closed connections in TIME_WAIT is free, as Go sees it.

    Only listen(2) tells them from a live listener; the socket stops listening at once, so that no client connects to a
    socket that never accepts.
    """
    bound = _bind_once(binding, family, reuse=True)
    try:
        bound.listen(1)
    except BaseException:
        bound.close()
        raise
    with suppress(OSError):
        bound.shutdown(socket.SHUT_RD)
    return bound
