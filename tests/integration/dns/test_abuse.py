"""Bad messages and floods from a container: bounded, answered with a code, and no harm to others."""

import asyncio
import contextlib
import itertools
import os
import random
import select
import socket
import struct
import sys
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from contextlib import closing
from pathlib import Path

import dns.message
import dns.rcode
import pytest
from tests.integration.dns.upstream import Upstream
from tests.namespaces import call_in

from seaway_agent.dns import connection
from seaway_agent.dns.port import ADDRESS
from seaway_agent.dns.resolver.forward import Forwards
from seaway_agent.dns.resolver.sandbox import CONNECTIONS, SandboxServer
from seaway_kit.tasks import Tasks
from seaway_testing.waiting import until

from .conftest import ON_HOST, Node, answers

pytestmark = pytest.mark.root
ONE, TWO = "1" * 64, "2" * 64
HEADER = struct.pack("!6H", 7, 0x100, 1, 0, 0, 0)
QUESTION = b"\x03web\0\0\x01\0\x01"
LONG_QUESTION = b"\x01a" * 126 + b"\0\0\x01\0\x01"
BAD = {
    "cut": (HEADER + QUESTION[:-1], dns.rcode.FORMERR),
    "header alone": (HEADER, dns.rcode.FORMERR),
    "a loop": (HEADER + b"\xc0\x0c\0\x01\0\x01", dns.rcode.FORMERR),
    "two pointers at each other": (HEADER + b"\xc0\x0e\xc0\x0c\0\x01\0\x01", dns.rcode.FORMERR),
    "too long a name": (HEADER + (b"\x3f" + b"a" * 63) * 5 + b"\0\0\x01\0\x01", dns.rcode.FORMERR),
    "four kilobytes": (HEADER + QUESTION + b"\0" * 4000, dns.rcode.FORMERR),
    "no question": (struct.pack("!6H", 7, 0x100, 0, 0, 0, 0), dns.rcode.FORMERR),
    "two questions": (struct.pack("!6H", 7, 0x100, 2, 0, 0, 0) + QUESTION * 2, dns.rcode.FORMERR),
    "a class of its own": (HEADER + QUESTION[:-1] + b"\x03", dns.rcode.REFUSED),
    "any class": (HEADER + QUESTION[:-2] + b"\0\xff", dns.rcode.REFUSED),
    "two hundred records": (
        struct.pack("!6H", 7, 0x100, 1, 0, 0, 239)
        + LONG_QUESTION
        + struct.pack("!HHHIHHH", 0xC00C, 15, 1, 0, 4, 1, 0xC00C) * 239,
        dns.rcode.FORMERR,
    ),
    "an update": (struct.pack("!6H", 7, 5 << 11, 1, 0, 0, 0) + QUESTION, dns.rcode.NOTIMP),
    "a later EDNS": (dns.message.make_query("web", "A", use_edns=1, id=7).to_wire(), dns.rcode.BADVERS),
}


def dials(node: Node, container: str, kind: socket.SocketKind) -> socket.socket:
    """A socket in the container's sandbox, connected to the resolver."""
    made = call_in(node.sandboxes[container].fd, lambda: socket.socket(socket.AF_INET, kind))
    made.settimeout(60)
    made.connect((ADDRESS, 53))
    return made


def descriptors_of(pid: int) -> int:
    return len(os.listdir(f"/proc/{pid}/fd"))


def resident_mb(pid: int) -> int:
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGESIZE") >> 20


@pytest.fixture
def udp(node: Node) -> Iterator[Callable[[str], socket.socket]]:
    """``udp(container)``: a socket that is closed at the end."""
    made: list[socket.socket] = []

    def dial(container: str) -> socket.socket:
        made.append(dials(node, container, socket.SOCK_DGRAM))
        return made[-1]

    yield dial
    for one in made:
        one.close()


# --- bad messages


async def test_bad_messages_have_a_code_each(node: Node, udp: Callable[[str], socket.socket]) -> None:
    await node.attach(ONE)
    asker = udp(ONE)
    for what, (message, code) in BAD.items():
        asker.send(message)
        response = dns.message.from_wire(await asyncio.to_thread(asker.recv, 65535))
        assert (response.id, response.rcode()) == (7, code), what
    with closing(dials(node, ONE, socket.SOCK_STREAM)) as stream, stream.makefile("rb") as received:
        for what, (message, code) in BAD.items():
            stream.sendall(struct.pack("!H", len(message)) + message)
            size = struct.unpack("!H", await asyncio.to_thread(received.read, 2))[0]
            response = dns.message.from_wire(await asyncio.to_thread(received.read, size))
            assert (response.id, response.rcode()) == (7, code), what


async def test_more_than_a_query_can_have_is_a_format_error(node: Node, udp: Callable[[str], socket.socket]) -> None:
    await node.attach(ONE)
    asker = udp(ONE)
    asker.send(HEADER + QUESTION + b"\0" * 60000)
    response = dns.message.from_wire(await asyncio.to_thread(asker.recv, 65535))
    assert response.rcode() == dns.rcode.FORMERR
    assert answers(await node.query(ONE, "web")) == ["10.1.0.2"]


async def test_noise_does_no_harm(node: Node, udp: Callable[[str], socket.socket]) -> None:
    await node.attach(ONE)
    asker, dice = udp(ONE), random.Random(11)
    query = dns.message.make_query("web.front", "A", use_edns=0).to_wire()
    for _ in range(3000):
        noise = bytearray(query if dice.random() < 0.7 else dice.randbytes(dice.randrange(80)))
        for _ in range(dice.randrange(4)):
            if noise:
                noise[dice.randrange(len(noise))] = dice.randrange(256)
        asker.send(noise)
    assert answers(await node.query(ONE, "web")) == ["10.1.0.2"]
    assert not (node.run / "resolver.log").read_text()


async def test_a_stream_that_breaks_off_is_closed(node: Node) -> None:
    await node.attach(ONE)
    (resolver,) = connection.resolvers_below(node.run)
    before = descriptors_of(resolver.pid)
    for sent in (b"", b"\0", b"\0\0", struct.pack("!H", 20) + HEADER, b"\xff\xff" + b"\0" * 1000, b"\0\x05abcde"):
        with closing(dials(node, ONE, socket.SOCK_STREAM)) as stream:
            stream.sendall(sent)
    await until(lambda: descriptors_of(resolver.pid) <= before, what="closed connections")
    assert answers(await node.query(ONE, "web", tcp=True)) == ["10.1.0.2"]


async def test_a_longer_query_than_any_ends_its_connection(node: Node) -> None:
    await node.attach(ONE)
    with closing(dials(node, ONE, socket.SOCK_STREAM)) as stream, contextlib.suppress(ConnectionResetError):
        stream.sendall(struct.pack("!H", 4097) + HEADER + QUESTION.ljust(4085, b"\0"))
        assert await asyncio.to_thread(stream.recv, 1) == b""
    assert answers(await node.query(ONE, "web", tcp=True)) == ["10.1.0.2"]


async def test_connections_of_a_sandbox_are_bounded(node: Node) -> None:
    await node.attach(ONE)
    await node.attach(TWO)
    (resolver,) = connection.resolvers_below(node.run)
    before = descriptors_of(resolver.pid)
    streams = [dials(node, ONE, socket.SOCK_STREAM) for _ in range(CONNECTIONS)]
    await until(lambda: descriptors_of(resolver.pid) == before + CONNECTIONS, what="connections")
    with closing(dials(node, ONE, socket.SOCK_STREAM)) as one_more:
        assert await asyncio.to_thread(one_more.recv, 1) == b""
    assert descriptors_of(resolver.pid) == before + CONNECTIONS
    assert answers(await node.query(ONE, "web")) == ["10.1.0.2"]
    assert answers(await node.query(TWO, "web", tcp=True)) == ["10.1.0.2"]
    for stream in streams:
        stream.close()
    await until(lambda: descriptors_of(resolver.pid) == before, what="closed connections")


# --- floods


def flood(asker: socket.socket, queries: Iterable[bytes], enough: int = sys.maxsize) -> Counter[dns.rcode.Rcode]:
    """Send all without waiting for responses, or until enough are refused; returns how many came of each code."""
    codes: Counter[dns.rcode.Rcode] = Counter()

    def receive(seconds: float) -> None:
        while select.select([asker], [], [], seconds)[0]:
            codes[dns.rcode.Rcode(asker.recv(65535)[3] & 0xF)] += 1

    for query in queries:
        asker.send(query)
        receive(0)
        if codes[dns.rcode.REFUSED] >= enough:
            break
    receive(0.2)
    return codes


async def test_ten_thousand_questions_in_flight_are_bounded(
    node: Node, serve: Callable[..., Upstream], udp: Callable[[str], socket.socket]
) -> None:
    serve()
    sandboxes = [f"{number:064x}" for number in range(5)]
    for container in (*sandboxes, ONE):
        await node.attach(container, ON_HOST)
    (resolver,) = connection.resolvers_below(node.run)
    before = descriptors_of(resolver.pid)
    askers = [udp(container) for container in sandboxes]
    queries = [dns.message.make_query(f"silent.{number}.example", "A").to_wire() for number in range(2000)]
    enough = (10_000 - 4096) // len(askers)
    floods = asyncio.gather(*(asyncio.to_thread(flood, asker, itertools.cycle(queries), enough) for asker in askers))
    most = 0
    while not floods.done():  # meanwhile our own names are found, and no more is held than what is allowed
        assert answers(await node.query(ONE, "web")) == ["10.1.0.2"]
        most = max(most, descriptors_of(resolver.pid))
    codes = sum(await floods, Counter())
    assert codes[dns.rcode.REFUSED] >= enough * len(askers)
    assert set(codes) <= {dns.rcode.REFUSED, dns.rcode.SERVFAIL}
    assert before < most <= before + 4096
    assert resident_mb(resolver.pid) < 200
    await until(lambda: descriptors_of(resolver.pid) <= before, what="all forwarded questions to end")
    assert answers(await node.query(ONE, "one.example")) == ["192.0.2.1"]
    assert [one.pid for one in connection.resolvers_below(node.run)] == [resolver.pid]
    assert not (node.run / "resolver.log").read_text()


async def test_ten_thousand_questions_for_our_names_are_answered(
    node: Node, udp: Callable[[str], socket.socket]
) -> None:
    await node.attach(ONE)
    asker = udp(ONE)
    query = dns.message.make_query("web", "A").to_wire()
    codes = await asyncio.to_thread(flood, asker, [query] * 10_000)
    assert set(codes) == {dns.rcode.NOERROR}
    assert answers(await node.query(ONE, "web")) == ["10.1.0.2"]


async def test_one_container_s_flood_leaves_room_for_others(
    node: Node, serve: Callable[..., Upstream], udp: Callable[[str], socket.socket]
) -> None:
    serve()
    await node.attach(ONE, ON_HOST)
    await node.attach(TWO, ON_HOST)
    (resolver,) = connection.resolvers_below(node.run)
    before = descriptors_of(resolver.pid)
    queries = [dns.message.make_query(f"silent.{number}.example", "A").to_wire() for number in range(2000)]
    # again and again: a fast machine sends faster than the resolver reads, and the kernel drops most of one round
    flooding = asyncio.create_task(asyncio.to_thread(flood, udp(ONE), itertools.cycle(queries), 1000))
    await until(lambda: descriptors_of(resolver.pid) >= before + 1024, what="the flood")
    assert answers(await node.query(TWO, "one.example")) == ["192.0.2.1"]
    assert descriptors_of(resolver.pid) <= before + 1025
    assert (await flooding)[dns.rcode.REFUSED] >= 1000


# --- turns


@pytest.fixture
async def server(node: Node, tasks: Tasks) -> AsyncIterator[SandboxServer]:
    """What answers ONE, in the test's event loop."""
    await node.sandbox(ONE)
    with open("/proc/thread-self/ns/net") as home:
        made = SandboxServer(os.dup(node.sandboxes[ONE].fd), home.fileno(), Forwards(), tasks, Counter())
        yield made
        made.close()


async def most_in_a_turn(askers: Sequence[socket.socket], whole: int) -> int:
    """How many bytes of responses came in one turn of the event loop at most, until all came."""
    for asker in askers:
        asker.setblocking(False)
    received, most = 0, 0
    while received < whole:
        await asyncio.sleep(0)
        before = received
        for asker in askers:
            with contextlib.suppress(BlockingIOError):
                while True:
                    received += len(asker.recv(512))
        most = max(most, received - before)
    return most


async def test_one_unusual_datagram_of_a_sandbox_is_answered_in_a_turn(
    server: SandboxServer, udp: Callable[[str], socket.socket]
) -> None:
    asker = udp(ONE)
    for _ in range(20):
        asker.send(HEADER)
    assert await most_in_a_turn([asker], 20 * len(HEADER)) == len(HEADER)


async def test_one_unusual_message_of_all_connections_is_answered_in_a_turn(server: SandboxServer, node: Node) -> None:
    framed = struct.pack("!H", len(HEADER)) + HEADER
    with contextlib.ExitStack() as stack:
        streams = [stack.enter_context(closing(dials(node, ONE, socket.SOCK_STREAM))) for _ in range(20)]
        for stream in streams:
            stream.sendall(framed * 3)
        assert await most_in_a_turn(streams, 60 * len(framed)) == len(framed)
