"""Who is at the other end of a connection, as events and logs name them."""

import asyncio
import socket
import struct
from collections.abc import Mapping
from typing import Any, Final

_CREDENTIALS: Final = struct.Struct("3i")


def actor_of(transport: asyncio.BaseTransport) -> str:
    """`cn:alice` (client certificate), `uid:1000` (unix socket) or `ip:127.0.0.1`."""
    certificate = transport.get_extra_info("peercert")
    if certificate:
        return f"cn:{_common_name(certificate)}"
    peer = transport.get_extra_info("peername")
    if isinstance(peer, tuple) and peer:
        return f"ip:{peer[0]}"
    return _local_user(transport.get_extra_info("socket"))


def _common_name(certificate: Mapping[str, Any]) -> str:
    for part in certificate.get("subject", ()):
        for key, value in part:
            if key == "commonName":
                return str(value)
    return ""


def _local_user(sock: Any) -> str:
    if sock is None or sock.family != socket.AF_UNIX:
        return ""
    try:
        _, uid, _ = _CREDENTIALS.unpack(sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size))
    except OSError:
        return ""
    return f"uid:{uid}"
