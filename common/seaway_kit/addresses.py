"""Texts that name hosts: `HOST:PORT`, endpoints of the Docker API, NATS URLs. Pure."""

import ipaddress
from typing import Final
from urllib.parse import urlsplit

UNIX: Final = "unix://"
TCP: Final = "tcp://"
_LONGEST_PATH: Final = 107  # sockaddr_un.sun_path
NATS_PORT: Final = 4222
_SCHEMES: Final = ("nats", "tls", "ws", "wss")


def split_address(text: str) -> tuple[str, int]:
    """Host and port of `HOST:PORT` or `[IPV6]:PORT`; raises ValueError with a sentence."""
    host, colon, port = text.rpartition(":")
    if not colon or not host or not port.isdigit() or int(port) > 65535:
        raise ValueError(f"{text!r} is not an address: write HOST:PORT, such as 127.0.0.1:9100")
    return host.removeprefix("[").removesuffix("]"), int(port)


def join_address(host: str, port: int) -> str:
    """The text for a host and port, with brackets around an IPv6 address."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def ip_of(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """The IP address in `host`, an IPv4-mapped IPv6 address as IPv4; None for a name."""
    try:
        address = ipaddress.ip_address(host.strip("[]").partition("%")[0])
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return mapped or address


def is_loopback(host: str) -> bool:
    """Whether `host` names this machine: `localhost`, 127.0.0.0/8, ::1."""
    address = ip_of(host)
    return address.is_loopback if address is not None else host.lower().rstrip(".") == "localhost"


def host_name(text: str) -> str:
    """The host of an HTTP Host header, without port and brackets."""
    if text.startswith("["):
        return text[1:].partition("]")[0]
    return text.partition(":")[0]


def can_be_rebound(host: str) -> bool:
    """Whether the host of a request is a name whose owner may have it point to this machine (DNS rebinding)."""
    return host not in ("localhost", "") and ip_of(host) is None


def check_host(host: str, *, verified: bool, needs: str) -> None:
    """Raise ValueError for an endpoint that can't be, or that would be open to anybody who can reach it.

    `verified`: whether clients must have a certificate. `needs`: how to require one, in the caller's words.
    """
    if host.startswith(UNIX):
        _check_path(host, host.removeprefix(UNIX))
    elif host.startswith(TCP):
        _check_address(host, verified, needs)
    else:
        raise ValueError(f"{host}: write unix:///PATH or tcp://ADDRESS:PORT")


def _check_path(host: str, path: str) -> None:
    if not path.startswith("/"):
        raise ValueError(f"{host}: the path must begin with / (unix:///run/seaway/docker.sock)")
    length = len(path.encode())
    if length > _LONGEST_PATH:
        raise ValueError(f"{host}: a socket's path may have {_LONGEST_PATH} bytes, this one has {length}")


def _check_address(host: str, verified: bool, needs: str) -> None:
    try:
        address, _ = split_address(host.removeprefix(TCP))
    except ValueError as error:
        raise ValueError(f"{host}: {error}") from None
    if not verified and not is_loopback(address):
        raise ValueError(
            f"{host} is reachable from other machines, and whoever reaches it is root on every node: "
            f"give {needs}, or listen on 127.0.0.1"
        )


def nats_endpoints(url: str) -> tuple[tuple[str, int], ...]:
    """Host and port of each server in a comma-separated list of NATS URLs; raises ValueError with a sentence."""
    return tuple(_endpoint(one.strip()) for one in url.split(","))


def _endpoint(url: str) -> tuple[str, int]:
    wrong = ValueError(f"{url!r} is not a NATS URL: write nats://HOST:PORT")
    try:
        parts = urlsplit(url if "://" in url else f"nats://{url}")
        host, port = parts.hostname, parts.port or NATS_PORT
    except ValueError:
        raise wrong from None
    if parts.scheme not in _SCHEMES or not host:
        raise wrong
    return host, port
