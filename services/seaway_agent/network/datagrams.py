"""Relay UDP ports published on IPv6 addresses to IPv4, with one inner socket per client.

Belongs to the agent's event loop, as `relay` does.
"""

import asyncio
import contextlib
import socket
from dataclasses import dataclass
from typing import Any, Final

_LARGEST: Final = 1 << 16
_IDLE_S: Final = 90.0  # as docker-proxy has it
_SWEEP_S: Final = 30.0
_MOST_CLIENTS: Final = 1024
_AT_ONCE: Final = 64


@dataclass
class _Client:
    inner: socket.socket
    last_used: float


class DatagramRelay:
    """Relays datagrams as soon as it is constructed."""

    def __init__(self, listener: socket.socket, address: str, port: int) -> None:
        self._listener = listener
        self._target = (address, port)
        self._clients: dict[Any, _Client] = {}
        self._loop = asyncio.get_running_loop()
        listener.setblocking(False)
        self._loop.add_reader(listener.fileno(), self._inward)
        self._sweeping = self._loop.call_later(_SWEEP_S, self._sweep)

    async def stop(self) -> None:
        """Stop relaying; the listening socket stays bound."""
        self._sweeping.cancel()
        self._loop.remove_reader(self._listener.fileno())
        for source in list(self._clients):
            self._drop_client(source)

    def _inward(self) -> None:
        for _ in range(_AT_ONCE):
            try:
                data, source = self._listener.recvfrom(_LARGEST)
            except OSError:
                return
            with contextlib.suppress(OSError):  # a datagram may be lost
                client = self._clients.get(source) or self._add_client(source)
                client.last_used = self._loop.time()
                client.inner.send(data)

    def _add_client(self, source: Any) -> _Client:
        if len(self._clients) >= _MOST_CLIENTS:
            self._drop_client(min(self._clients, key=lambda known: self._clients[known].last_used))
        inner = socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
        try:
            inner.connect(self._target)
        except OSError:
            inner.close()
            raise
        self._clients[source] = _Client(inner, self._loop.time())
        self._loop.add_reader(inner.fileno(), self._outward, source)
        return self._clients[source]

    def _outward(self, source: Any) -> None:
        client = self._clients[source]
        with contextlib.suppress(OSError):  # such as: nobody listens in the container
            self._listener.sendto(client.inner.recv(_LARGEST), source)
            client.last_used = self._loop.time()

    def _drop_client(self, source: Any) -> None:
        client = self._clients.pop(source)
        self._loop.remove_reader(client.inner.fileno())
        client.inner.close()

    def _sweep(self) -> None:
        limit = self._loop.time() - _IDLE_S
        for source in [source for source, client in self._clients.items() if client.last_used < limit]:
            self._drop_client(source)
        self._sweeping = self._loop.call_later(_SWEEP_S, self._sweep)
