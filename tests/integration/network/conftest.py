"""A host of one's own for each test: a fresh network namespace in which the bridges are."""

import contextlib
import os
import secrets
import socket
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network

import pytest
import pytest_asyncio
from tests.namespaces import PATIENCE, Namespace, Process, call_in, end, start_container, wait_until

from seaway_agent.network.names import default_bridge
from seaway_agent.network.networks import NodeNetworks
from seaway_agent.network.port import DEFAULT_NAME, DEFAULT_NETWORK, EndpointInfo, EndpointRequest, NetworkSpec
from seaway_agent.network.published import PublishedPorts

BRIDGE = EndpointRequest(DEFAULT_NETWORK)


@dataclass(frozen=True)
class Held:
    """A sandbox that a container has, by its first endpoint. `netns_fd`: the networks' own, until it is handed over."""

    container: str
    path: str
    endpoints: tuple[EndpointInfo, ...]

    @property
    def netns_fd(self) -> int:
        return int(self.path.rpartition("/")[2])

    @property
    def first(self) -> EndpointInfo:
        return self.endpoints[0]

    @property
    def address(self) -> IPv4Address:
        return self.first.address

    @property
    def host_veth(self) -> str:
        return self.first.host_interface

    @property
    def request(self) -> EndpointRequest:
        """To adopt it."""
        return EndpointRequest(self.first.network, self.address)


class Node:
    """A suite's networks and published ports, in a namespace that plays the host, and containers to try them with."""

    def __init__(self, suite: str, host: Namespace | None, subnet: IPv4Network | None = None, **named: int) -> None:
        self.suite = suite
        self.bridge = default_bridge(suite)
        self.networks = NodeNetworks(suite, netns_fd=host.fd if host is not None else None, **named)
        self.ports = PublishedPorts(self.networks)
        self._default = NetworkSpec(DEFAULT_NETWORK, DEFAULT_NAME, subnet=subnet)

    async def open(self) -> IPv4Network:
        """With the default network; gives its subnet."""
        await self.networks.open()
        try:
            made = await self.networks.make(self._default)
        except BaseException:
            await self.close()
            raise
        assert made.subnet is not None
        return made.subnet

    async def acquire(self, *requests: EndpointRequest) -> Held:
        """A container's sandbox, on the default network if nothing else is told."""
        return await self.join(requests or (BRIDGE,))

    async def join(self, requests: Sequence[EndpointRequest]) -> Held:
        container = secrets.token_hex(32)
        return Held(container, *await self.networks.join(container, requests))

    async def release(self, held: Held) -> None:
        await self.networks.leave(held.container)

    async def close(self, *, teardown: bool = False) -> None:
        await self.ports.close()
        await self.networks.close(teardown=teardown)


@pytest.fixture
def start() -> Iterator[Callable[[int], Process]]:
    """``start(netns_fd)``: a container's process, which ends with the test."""
    processes: list[Process] = []

    def start_and_note(fd: int) -> Process:
        processes.append(start_container(fd))
        return processes[-1]

    yield start_and_note
    for process in processes:
        end(process)


def family_of(host: str) -> socket.AddressFamily:
    """The family of an address."""
    return socket.AF_INET6 if ":" in host else socket.AF_INET


class Answering:
    """A server in a namespace that tells each client the address that it came from."""

    def __init__(self, fd: int, port: int, kind: socket.SocketKind = socket.SOCK_STREAM, host: str = "0.0.0.0") -> None:
        self.kind = kind
        self._socket = call_in(fd, lambda: socket.socket(family_of(host), kind))
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if self._socket.family == socket.AF_INET6:
            self._socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        self._socket.bind((host, port))
        if kind == socket.SOCK_STREAM:
            self._socket.listen()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                if self.kind == socket.SOCK_STREAM:
                    client, peer = self._socket.accept()
                    with client:
                        client.sendall(peer[0].encode())
                else:
                    _, peer = self._socket.recvfrom(100)
                    if peer is None:
                        return
                    self._socket.sendto(peer[0].encode(), peer)

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._thread.join(PATIENCE)


@pytest.fixture
def serve() -> Iterator[Callable[..., Answering]]:
    """``serve(fd, port[, kind, host])``: a server that ends with the test."""
    servers: list[Answering] = []

    def start(*args: object, **named: object) -> Answering:
        servers.append(Answering(*args, **named))  # type: ignore[arg-type]
        return servers[-1]

    yield start
    for server in servers:
        server.close()


def ask(fd: int, host: str, port: int, timeout: float = 2.0) -> str:
    """Connect from a namespace; the address that the server saw."""
    with call_in(fd, lambda: socket.socket(family_of(host))) as client:
        client.settimeout(timeout)
        client.connect((host, port))
        return client.recv(100).decode()


def unreachable(fd: int, host: str, port: int) -> bool:
    try:
        ask(fd, host, port, timeout=0.3)
    except OSError:
        return True
    return False


def ask_udp(client: socket.socket, host: str, port: int) -> str:
    client.sendto(b"who am I?", (host, port))
    return client.recv(100).decode()


@pytest.fixture
def suite() -> str:
    return secrets.token_hex(3)


@pytest.fixture
def no_leaks() -> Iterator[None]:
    """Threads and descriptors are as many after the test as before."""
    threads, descriptors = threading.active_count(), len(os.listdir("/proc/self/fd"))
    yield
    wait_until(lambda: threading.active_count() <= threads, "threads ended")
    assert len(os.listdir("/proc/self/fd")) <= descriptors


@pytest.fixture
def host(no_leaks: None) -> Iterator[Namespace]:
    namespace = Namespace.make()
    yield namespace
    namespace.close()


@pytest.fixture
def outside(host: Namespace) -> Iterator[Namespace]:
    """Another machine, 10.77.0.2 and fd77::2, on a cable to the host, 10.77.0.1 and fd77::1."""
    namespace = Namespace.make()
    peer = f"/proc/{os.getpid()}/fd/{namespace.fd}"
    host.run("ip", "link", "add", "cable", "type", "veth", "peer", "name", "cable", "netns", peer)
    for side, last in ((host, 1), (namespace, 2)):
        side.run("ip", "address", "add", f"10.77.0.{last}/24", "dev", "cable")
        side.run("ip", "address", "add", f"fd77::{last}/64", "dev", "cable", "nodad")
        side.run("ip", "link", "set", "cable", "up")
    yield namespace
    namespace.close()


@pytest_asyncio.fixture
async def node(suite: str, host: Namespace) -> AsyncIterator[Node]:
    made = Node(suite, host)
    await made.open()
    yield made
    await made.close(teardown=True)
    wait_until(lambda: not host.own_links(), "the kernel removed all veths")
    assert host.run("nft", "list", "tables") == ""
