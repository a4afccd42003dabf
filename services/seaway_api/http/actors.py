"""Who is at the other end of a connection, as events and logs name them."""

import asyncio
import socket
import struct
from collections.abc import Mapping
from typing import Any, Final

from seaway_kit.settings import local_actor

_CREDENTIALS: Final = struct.Struct("3i")
_LONGEST: Final = 128


def actor_of(transport: asyncio.BaseTransport) -> str:
    """`cn:alice@10.0.0.5` (client certificate), `uid:1000@host` (unix socket) or `ip:127.0.0.1`."""
    certificate = transport.get_extra_info("peercert")
    peer = transport.get_extra_info("peername")
    address = str(peer[0]) if isinstance(peer, tuple) and peer else ""
    if certificate:
        return f"cn:{_common_name(certificate)}@{address}"
    return f"ip:{address}" if address else _local_user(transport.get_extra_info("socket"))


def _common_name(certificate: Mapping[str, Any]) -> str:
    for part in certificate.get("subject", ()):
        for key, value in part:
            if key == "commonName":  # it goes into a header
                return "".join(letter if letter.isprintable() else "?" for letter in str(value)[:_LONGEST])
    return ""


def _local_user(sock: Any) -> str:
    if sock is None or sock.family != socket.AF_UNIX:
        return ""
    try:
        _, uid, _ = _CREDENTIALS.unpack(sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size))
    except OSError:
        return ""
    return local_actor(uid)
