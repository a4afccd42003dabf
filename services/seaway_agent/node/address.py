"""The address by which other machines reach this node."""

import asyncio
import logging
import socket
from collections.abc import Iterable
from typing import Final

from seaway_kit.addresses import is_loopback, nats_endpoints

log = logging.getLogger(__name__)
_RESOLVES_S: Final = 2.0
_FAR: Final = ((socket.AF_INET, ("192.0.2.1", 9)), (socket.AF_INET6, ("2001:db8::1", 9)))
"""Addresses for documentation (RFC 5737, RFC 3849): only a default route leads there. Nothing is sent."""
Target = tuple[int, tuple[object, ...]]


class NodeAddress:
    """The given address, else the source address of the route to NATS, else of the default route."""

    def __init__(self, given: str, nats: str) -> None:
        self._found = given
        self._is_given = bool(given)
        self._nats = nats
        self._targets: list[Target] = list(_FAR)

    async def resolve(self) -> None:
        """Look up the addresses of the NATS servers, once: a look-up may take longer than a heartbeat can wait."""
        if self._is_given:
            return
        resolved: list[Target] = []
        try:
            async with asyncio.timeout(_RESOLVES_S):
                for host, port in nats_endpoints(self._nats):
                    resolved += await _addresses(host, port)
        except (TimeoutError, OSError) as error:
            log.warning("the address of NATS can't be looked up, so the default route tells this node's: %s", error)
        self._targets = [*resolved, *_FAR]

    def current(self) -> str:
        """The present address; the last known one while the host has no route, and empty before."""
        if not self._is_given:
            self._found = source_address(self._targets) or self._found
        return self._found


async def _addresses(host: str, port: int) -> list[Target]:
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_DGRAM)
    return [(family, address) for family, _, _, _, address in found]


def source_address(targets: Iterable[Target]) -> str:
    """The address from which this host would send to the first target that it reaches by a real interface; or empty.

    Loopback doesn't count. Connecting a UDP socket sends nothing.
    """
    for family, target in targets:
        try:
            with socket.socket(family, socket.SOCK_DGRAM) as probe:
                probe.connect(target)
                address = str(probe.getsockname()[0]).partition("%")[0]
        except OSError:
            continue
        if not is_loopback(address):
            return address
    return ""
