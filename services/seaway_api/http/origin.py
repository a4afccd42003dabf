"""Whether a browser was talked into sending a request to a TCP endpoint (DNS rebinding, cross-site requests). Pure."""

import ipaddress
from collections.abc import Mapping

from seaway_api.http.errors import ApiError


def check_origin(headers: Mapping[str, str], *, verified: bool) -> None:
    """Raise ApiError(403) for a foreign `Host` or `Origin`. `verified`: the client has shown a certificate.

    A rebound name is a name: addresses and localhost can't be rebound. An origin is scheme, host and port (RFC 6454):
    a page of another port of this machine is foreign, too.
    """
    given = headers.get("Host", "").lower()
    host = host_name(given)
    if not verified and not _is_ours(host):
        raise ApiError(
            403, f"the Host header {host[:128]!r} is foreign here; use this endpoint's address, or the unix socket"
        )
    origin = headers.get("Origin")
    if origin is not None and origin.lower() != f"{'https' if verified else 'http'}://{given}":
        raise ApiError(403, f"requests of pages from {origin[:128]!r} are not allowed")


def host_name(text: str) -> str:
    """The host of a Host header, without port and brackets."""
    if text.startswith("["):
        return text[1:].partition("]")[0]
    return text.partition(":")[0]


def _is_ours(host: str) -> bool:
    if host in ("localhost", ""):
        return True
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
