"""Whether a browser was talked into sending a request to a TCP endpoint (DNS rebinding, cross-site requests). Pure."""

from collections.abc import Mapping

from seaway_api.http.errors import ApiError
from seaway_kit.addresses import can_be_rebound, host_name


def check_origin(headers: Mapping[str, str], *, verified: bool) -> None:
    """Raise ApiError(403) for a foreign `Host` or `Origin`. `verified`: the client has shown a certificate.

    A rebound name is a name: addresses and localhost can't be rebound. An origin is scheme, host and port (RFC 6454):
    a page of another port of this machine is foreign, too.
    """
    given = headers.get("Host", "").lower()
    host = host_name(given)
    if not verified and can_be_rebound(host):
        raise ApiError(
            403, f"the Host header {host[:128]!r} is foreign here; use this endpoint's address, or the unix socket"
        )
    origin = headers.get("Origin")
    if origin is not None and origin.lower() != f"{'https' if verified else 'http'}://{given}":
        raise ApiError(403, f"requests of pages from {origin[:128]!r} are not allowed")
