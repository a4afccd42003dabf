"""Where services serve their metrics: on loopback, each at a port of its own. Pure."""

from typing import Final

from seaway_kit.addresses import join_address, split_address

METRICS_PORT: Final = 9323
"""The first port, which is the API's: the one of dockerd's metrics."""
_ORDER: Final = ("api", "metadata", "scheduler", "image", "agent")
_AGENTS: Final = 100
"""So many agents on one machine find a port: the first takes the first one, the next one the next."""
_LAST: Final = 65535
LAST_BASE: Final = _LAST - len(_ORDER) + 1
_LOOPBACK: Final = "127.0.0.1"


def metrics_address(service: str, base: int = METRICS_PORT) -> str:
    """A service's address where `base` is the API's port; any free port with base 0, and of an unknown service."""
    if not base or service not in _ORDER:
        return join_address(_LOOPBACK, 0)
    port = base + _ORDER.index(service)
    address = join_address(_LOOPBACK, port)
    return f"{address}-{min(port + _AGENTS - 1, _LAST)}" if service == "agent" else address


def fixed_ports(base: int = METRICS_PORT) -> dict[str, int]:
    """The ports that must be free, by service. An agent takes the first free one of its range."""
    return {service: base + place for place, service in enumerate(_ORDER) if base and service != "agent"}


def split_ports(text: str) -> tuple[str, range]:
    """Host and ports of `HOST:PORT` or `HOST:FIRST-LAST`; raises ValueError with a sentence."""
    address, dash, last = text.rpartition("-")
    if not dash or not address.rpartition(":")[2].isdigit():
        host, port = split_address(text)
        return host, range(port, port + 1)
    host, first = split_address(address)
    if not last.isdigit() or not 0 < first <= int(last) <= _LAST:
        raise ValueError(f"{text!r} has no range of ports: write HOST:FIRST-LAST, such as 127.0.0.1:9327-9426")
    return host, range(first, int(last) + 1)
