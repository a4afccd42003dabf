"""What comes to an IPv6 port of the host goes on to an IPv4 port, over loopback here."""

import asyncio
import socket
from collections.abc import AsyncIterator, Iterator

import pytest

from seaway_agent.network.relay import RelayedPort, Relays
from seaway_testing.waiting import GUARD_S


async def _echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()
    writer.write(b"!")
    writer.close()


@pytest.fixture
async def inside() -> AsyncIterator[int]:
    """The port of a server in the container's place."""
    async with await asyncio.start_server(_echo, "127.0.0.1", 0) as server:
        yield int(server.sockets[0].getsockname()[1])


@pytest.fixture
def outside() -> Iterator[socket.socket]:
    """A bound socket of the host."""
    with socket.socket(socket.AF_INET6, socket.SOCK_STREAM) as bound:
        bound.bind(("::1", 0))
        yield bound


@pytest.fixture
async def relays(outside: socket.socket) -> AsyncIterator[Relays]:
    made = Relays()
    yield made
    await made.stop_all()


def port_of(bound: socket.socket) -> int:
    return int(bound.getsockname()[1])


async def test_bytes_and_their_ends_go_both_ways(relays: Relays, inside: int, outside: socket.socket) -> None:
    for _ in range(2):
        relays.start("web", [RelayedPort(outside, "127.0.0.1", inside)])
    reader, writer = await asyncio.open_connection("::1", port_of(outside))
    sent = bytes(range(256)) * 4_000
    writer.write(sent)
    writer.write_eof()
    assert await reader.read() == sent + b"!"
    writer.close()


async def test_stopping_ends_connections_and_takes_no_more(relays: Relays, inside: int, outside: socket.socket) -> None:
    relays.start("web", [RelayedPort(outside, "127.0.0.1", inside)])
    reader, writer = await asyncio.open_connection("::1", port_of(outside))
    writer.write(b"x")
    assert await reader.read(1) == b"x"
    await relays.stop("web")
    assert await reader.read() == b""
    writer.close()
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("::1", port_of(outside))
    relays.start("web", [RelayedPort(outside, "127.0.0.1", inside)])
    _, again = await asyncio.open_connection("::1", port_of(outside))
    again.close()


async def test_nobody_listens_in_the_container(relays: Relays, outside: socket.socket) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        relays.start("web", [RelayedPort(outside, "127.0.0.1", port_of(closed))])
        reader, writer = await asyncio.open_connection("::1", port_of(outside))
        assert await reader.read() == b""
        writer.close()


async def test_datagrams_find_their_way_back_to_each_client(relays: Relays) -> None:
    loop = asyncio.get_running_loop()

    class Echo(asyncio.DatagramProtocol):
        def connection_made(self, transport: asyncio.DatagramTransport) -> None:  # type: ignore[override]
            self.transport = transport

        def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
            self.transport.sendto(data.upper(), addr)

    server, _ = await loop.create_datagram_endpoint(Echo, local_addr=("127.0.0.1", 0))
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as bound:
        bound.bind(("::1", 0))
        relays.start("dns", [RelayedPort(bound, "127.0.0.1", server.get_extra_info("sockname")[1])])
        clients = [socket.socket(socket.AF_INET6, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) for _ in range(3)]
        for number, client in enumerate(clients):
            client.connect(("::1", port_of(bound)))
            client.send(b"ask %d" % number)
        async with asyncio.timeout(GUARD_S):
            assert [await loop.sock_recv(client, 100) for client in clients] == [b"ASK 0", b"ASK 1", b"ASK 2"]
        await relays.stop("dns")
        for client in clients:
            client.close()
    server.close()
