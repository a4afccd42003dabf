"""A host of one's own for each test: a fresh network namespace in which the driver's bridge lives."""

import contextlib
import os
import secrets
import socket
import subprocess
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass
from typing import TypeVar

import pytest
import pytest_asyncio

from seaway_agent.network import netns
from seaway_agent.network.bridge import BridgeNetwork
from seaway_agent.network.driver import NetworkDriver
from seaway_agent.network.nft import NatTable

T = TypeVar("T")
Process = subprocess.Popen[bytes]
PATIENCE = 10.0


def call_in(fd: int, work: Callable[[], T]) -> T:
    """Run something in a namespace, in a thread made for it."""
    future: Future[T] = Future()

    def run() -> None:
        try:
            netns.enter(fd)
            future.set_result(work())
        except BaseException as error:
            future.set_exception(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    return future.result()


def wait_until(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, f"not within {PATIENCE} s: {what}"
        time.sleep(0.005)


@dataclass
class Namespace:
    """A network namespace held by a descriptor, with the tools to look into it."""

    fd: int

    @classmethod
    def make(cls) -> "Namespace":
        home = netns.current()
        try:
            made = call_in(home, lambda: _new_namespace(home))
        finally:
            os.close(home)
        namespace = cls(made)
        namespace.run("ip", "link", "set", "lo", "up")
        return namespace

    def run(self, *command: str) -> str:
        prefix = ["nsenter", f"--net=/proc/{os.getpid()}/fd/{self.fd}", "--"]
        return subprocess.run([*prefix, *command], check=True, capture_output=True, text=True).stdout

    def links(self) -> set[str]:
        return {name for _, name in call_in(self.fd, socket.if_nameindex)}

    def own_links(self) -> set[str]:
        """The interfaces apart from loopback and what the kernel puts into each namespace by itself."""
        return {name for name in self.links() if name.startswith(("sw", "v"))}

    def table(self, suite: str) -> str:
        return self.run("nft", "list", "table", "ip", f"seaway_{suite}")

    def close(self) -> None:
        os.close(self.fd)


def _new_namespace(home: int) -> int:
    with netns.inside_new(home) as fd:
        return fd


def start_container(fd: int) -> Process:
    """A process that holds a sandbox as a container's would."""
    process = subprocess.Popen(
        ["nsenter", f"--net=/proc/{os.getpid()}/fd/{fd}", "--", "sleep", "600"],
        stdin=subprocess.DEVNULL,
    )
    wanted = os.fstat(fd).st_ino
    wait_until(lambda: os.stat(f"/proc/{process.pid}/ns/net").st_ino == wanted, "process in its sandbox")
    return process


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


def end(process: Process) -> None:
    process.kill()
    process.wait()


class Answering:
    """A server in a namespace that tells each client the address that it came from."""

    def __init__(self, fd: int, port: int, kind: socket.SocketKind = socket.SOCK_STREAM, host: str = "0.0.0.0") -> None:
        self.kind = kind
        self._socket = call_in(fd, lambda: socket.socket(socket.AF_INET, kind))
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
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
    with call_in(fd, socket.socket) as client:
        client.settimeout(timeout)
        client.connect((host, port))
        return client.recv(100).decode()


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
    """Another machine, 10.77.0.2, on a cable to the host, 10.77.0.1."""
    namespace = Namespace.make()
    peer = f"/proc/{os.getpid()}/fd/{namespace.fd}"
    host.run("ip", "link", "add", "cable", "type", "veth", "peer", "name", "cable", "netns", peer)
    for side, address in ((host, "10.77.0.1/24"), (namespace, "10.77.0.2/24")):
        side.run("ip", "address", "add", address, "dev", "cable")
        side.run("ip", "link", "set", "cable", "up")
    yield namespace
    namespace.close()


def make_driver(suite: str, host: Namespace, **named: int) -> NetworkDriver:
    return NetworkDriver(BridgeNetwork(suite, None, None, 1500, NatTable(suite)), netns_fd=host.fd, **named)


@pytest_asyncio.fixture
async def driver(suite: str, host: Namespace) -> AsyncIterator[NetworkDriver]:
    made = make_driver(suite, host)
    await made.open()
    yield made
    await made.close(teardown=True)
    wait_until(lambda: not host.own_links(), "the kernel removed all veths")
    assert host.run("nft", "list", "tables") == ""
