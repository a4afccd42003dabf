"""Hosts and ports of NATS URLs."""

from typing import Final
from urllib.parse import urlsplit

DEFAULT_PORT: Final = 4222
_SCHEMES: Final = ("nats", "tls", "ws", "wss")


def endpoints(url: str) -> tuple[tuple[str, int], ...]:
    """Host and port of each server in a comma-separated list of NATS URLs; raises ValueError with a sentence."""
    return tuple(_endpoint(one.strip()) for one in url.split(","))


def _endpoint(url: str) -> tuple[str, int]:
    wrong = ValueError(f"{url!r} is not a NATS URL: write nats://HOST:PORT")
    try:
        parts = urlsplit(url if "://" in url else f"nats://{url}")
        host, port = parts.hostname, parts.port or DEFAULT_PORT
    except ValueError:
        raise wrong from None
    if parts.scheme not in _SCHEMES or not host:
        raise wrong
    return host, port
