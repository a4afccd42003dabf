"""Forwards questions to upstream servers, from a container's namespace or the host's.

The query is sent as it came, under an id of our own and from a port of its own, and so is the response passed on.
"""

import asyncio
import os
import socket
import struct
from collections.abc import Sequence
from typing import Final

from seaway_agent.dns.port import Upstream
from seaway_agent.dns.resolver import wire
from seaway_agent.dns.resolver.wire import Question
from seaway_agent.network import netns

PORT: Final = 53
_NEXT_S: Final = 2.0
_LAST_S: Final = 4.0
"""How long the last upstream server may take, and one behind which there is another. Askers mostly wait for 5 s."""
_LENGTH: Final = struct.Struct("!H")


class Forwards:
    """How many questions are being forwarded: bounded for one sandbox and in all, so that one can't starve the others.

    Each holds a socket and some kilobytes.
    """

    def __init__(self, most: int = 4096, most_of_one: int = 1024) -> None:
        self._free = most
        self._most_of_one = most_of_one

    def admit(self, of_one: int) -> bool:
        """Take a place for a sandbox that has so many; False: it has to go without. `release` gives the place back."""
        if of_one >= min(self._most_of_one, self._free):
            return False
        self._free -= 1
        return True

    def release(self) -> None:
        """Give a place back."""
        self._free += 1


async def ask(
    query: bytes, question: Question, upstreams: Sequence[Upstream], spaces: tuple[int, int], *, tcp: bool
) -> bytes:
    """The response of the first server that has one; SERVFAIL if none has.

    `spaces`: descriptors of the container's network namespace and of the host's, in which we are.
    """
    sent = wire.with_id(query, int.from_bytes(os.urandom(2)))
    for number, upstream in enumerate(upstreams, 1):
        try:
            async with asyncio.timeout(_LAST_S if number == len(upstreams) else _NEXT_S):
                response = await _exchange(sent, question, upstream, spaces, tcp=tcp)
        except (OSError, EOFError):  # among them TimeoutError
            continue
        if wire.code_of(response) not in (wire.SERVFAIL, wire.REFUSED):
            return wire.with_id(response, question.id)
    return wire.failure(query, question, wire.SERVFAIL)


async def _exchange(
    query: bytes, question: Question, upstream: Upstream, spaces: tuple[int, int], *, tcp: bool
) -> bytes:
    loop = asyncio.get_running_loop()
    kind = socket.SOCK_STREAM if tcp else socket.SOCK_DGRAM
    with _socket(upstream, kind, spaces) as upstream_socket:
        address = socket.getaddrinfo(upstream.address, PORT, type=kind, flags=socket.AI_NUMERICHOST)[0][4]
        await loop.sock_connect(upstream_socket, address)
        if tcp:
            await send_framed(upstream_socket, query)
            response = await receive_framed(upstream_socket)
            if not wire.is_reply(response, query, question):
                raise EOFError
            return response
        await loop.sock_sendall(upstream_socket, query)
        while True:
            response = await loop.sock_recv(upstream_socket, question.size + 1)
            if wire.is_reply(response, query, question):
                return response if len(response) <= question.size else wire.truncated(query, question)


def _socket(upstream: Upstream, kind: socket.SocketKind, spaces: tuple[int, int]) -> socket.socket:
    family = socket.AF_INET6 if ":" in upstream.address else socket.AF_INET
    kind_of_ours = kind | socket.SOCK_NONBLOCK
    container, home = spaces
    if upstream.on_host:
        return socket.socket(family, kind_of_ours)
    with netns.inside(container, home):
        return socket.socket(family, kind_of_ours)


async def send_framed(stream: socket.socket, message: bytes) -> None:
    """Send a message over TCP, its length first."""
    await asyncio.get_running_loop().sock_sendall(stream, _LENGTH.pack(len(message)) + message)


async def receive_framed(stream: socket.socket, most: int = wire.MOST) -> bytes:
    """Receive a message over TCP. Raises EOFError at the stream's end, and for a message of more than `most` bytes."""
    (size,) = _LENGTH.unpack(await _receive(stream, _LENGTH.size))
    if size > most:
        raise EOFError
    return await _receive(stream, size)


async def _receive(stream: socket.socket, size: int) -> bytes:
    loop, parts = asyncio.get_running_loop(), []
    while size:
        part = await loop.sock_recv(stream, size)
        if not part:
            raise EOFError
        parts.append(part)
        size -= len(part)
    return b"".join(parts)
