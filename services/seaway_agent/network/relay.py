"""Relay ports published on IPv6 addresses to IPv4: for containers without IPv6, and from ::1 and link-local addresses.

The kernel can't translate between the two, or route from those, so the bytes pass through the agent, as they pass
through docker-proxy with Docker. Connections end with the agent; the next agent accepts new ones. Belongs to the
agent's event loop.
"""

import asyncio
import contextlib
import logging
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from seaway_agent.network.datagrams import DatagramRelay
from seaway_kit.tasks import Tasks, cancel

log = logging.getLogger(__name__)
_BACKLOG: Final = 128
_PIECE: Final = 1 << 16
_PAUSE_S: Final = 0.1
_CONNECT_S: Final = 10.0


@dataclass(frozen=True)
class RelayedPort:
    """A bound socket of the host, and its target: address and port of a container."""

    listener: socket.socket
    address: str
    port: int


class Relays:
    """The running relays of this node's containers."""

    def __init__(self) -> None:
        self._open: dict[str, list[_ConnectionRelay | DatagramRelay]] = {}

    def start(self, container: str, relayed_ports: Sequence[RelayedPort]) -> None:
        """Start a container's relays, unless they run already."""
        if relayed_ports and container not in self._open:
            self._open[container] = [_relay(container, relayed) for relayed in relayed_ports]

    async def stop(self, container: str) -> None:
        """Stop a container's relays and end their connections. The sockets stay bound: the publisher owns them."""
        for relay in self._open.pop(container, []):
            await relay.stop()

    async def stop_all(self) -> None:
        """Stop the relays of all containers."""
        for container in list(self._open):
            await self.stop(container)


def _relay(container: str, relayed: RelayedPort) -> "_ConnectionRelay | DatagramRelay":
    if relayed.listener.type == socket.SOCK_DGRAM:
        return DatagramRelay(relayed.listener, relayed.address, relayed.port)
    return _ConnectionRelay(container, relayed)


class _ConnectionRelay:
    def __init__(self, container: str, relayed: RelayedPort) -> None:
        self._relayed = relayed
        self._tasks = Tasks(f"relay-{container[:12]}-{relayed.port}")
        self._loop = asyncio.get_running_loop()
        self._pause: asyncio.TimerHandle | None = None
        relayed.listener.setblocking(False)
        # inherited by each connection: one that is left of this agent must not block the next agent's bind
        relayed.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        relayed.listener.listen(_BACKLOG)
        self._listen()

    def _listen(self) -> None:
        self._pause = None
        self._loop.add_reader(self._relayed.listener.fileno(), self._accept)

    def _accept(self) -> None:
        try:
            client, _ = self._relayed.listener.accept()
        except (BlockingIOError, ConnectionError):
            return
        except OSError as error:
            log.warning("no connection can be taken at a published port just now: %s", error)
            self._loop.remove_reader(self._relayed.listener.fileno())
            self._pause = self._loop.call_later(_PAUSE_S, self._listen)
            return
        client.setblocking(False)
        self._tasks.spawn("connection", self._relay(client))

    async def stop(self) -> None:
        if self._pause is not None:
            self._pause.cancel()
        else:
            self._loop.remove_reader(self._relayed.listener.fileno())
        with contextlib.suppress(OSError):
            self._relayed.listener.shutdown(socket.SHUT_RD)  # stop accepting, but stay bound
        await self._tasks.close()

    async def _relay(self, client: socket.socket) -> None:
        loop = self._loop
        inner = socket.socket(socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        with client, inner, contextlib.suppress(OSError, TimeoutError):
            async with asyncio.timeout(_CONNECT_S):
                await loop.sock_connect(inner, (self._relayed.address, self._relayed.port))
            there = self._tasks.spawn("there", _copy(loop, client, inner))
            back = self._tasks.spawn("back", _copy(loop, inner, client))
            try:
                await asyncio.wait({there, back})
            finally:
                await cancel(there)
                await cancel(back)


async def _copy(loop: asyncio.AbstractEventLoop, source: socket.socket, target: socket.socket) -> None:
    """Copy all bytes, then the end of stream; a broken connection ends both halves."""
    with contextlib.suppress(OSError):
        while piece := await loop.sock_recv(source, _PIECE):
            await loop.sock_sendall(target, piece)
        target.shutdown(socket.SHUT_WR)
        return
    for broken in (source, target):
        with contextlib.suppress(OSError):
            broken.shutdown(socket.SHUT_RDWR)
