"""Packets of an attach socket, from a real SEQPACKET pair."""

import socket
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from seaway_agent.streams.packets import PACKET, STDERR, STDOUT, PacketSocket
from seaway_docker.stdcopy import Decoder, frame

Pair = tuple[socket.socket, socket.socket]


@pytest.fixture
def pair() -> Iterator[Pair]:
    """Ours, which doesn't block, and conmon's."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    ours.setblocking(False)
    yield ours, theirs
    ours.close()
    theirs.close()


def test_packets_become_frames_in_order(pair: Pair) -> None:
    pair[1].send(b"\x02out")
    pair[1].send(b"\x03err")
    batch = PacketSocket(pair[0]).receive()
    assert batch is not None
    assert batch.chosen(stdout=True, stderr=True, raw=False) == frame(1, b"out") + frame(2, b"err")
    assert batch.chosen(stdout=True, stderr=False, raw=False) == frame(1, b"out")
    assert batch.chosen(stdout=False, stderr=True, raw=False) == frame(2, b"err")
    assert batch.chosen(stdout=True, stderr=True, raw=True) == b"outerr"
    assert batch.chosen(stdout=False, stderr=False, raw=False) == b""


def test_nothing_there_is_not_the_end(pair: Pair) -> None:
    packets = PacketSocket(pair[0])
    assert packets.receive() is None and not packets.closed
    pair[1].send(b"\x02last")
    pair[1].close()
    batch = packets.receive()
    assert batch is not None and batch.chosen(stdout=True, stderr=True, raw=True) == b"last"
    assert packets.closed


def test_unknown_and_empty_packets_are_left_out(pair: Pair) -> None:
    for packet in (b"\x07what", b"\x02", b"\x02a"):
        pair[1].send(packet)
    batch = PacketSocket(pair[0]).receive()
    assert batch is not None and batch.chosen(stdout=True, stderr=True, raw=False) == frame(1, b"a")


def test_the_largest_packets_are_whole(pair: Pair) -> None:
    body = bytes(range(256)) * 32
    assert len(body) == PACKET - 1
    for _ in range(3):
        pair[1].send(bytes((STDERR,)) + body)
    batch = PacketSocket(pair[0]).receive()
    assert batch is not None and batch.chosen(stdout=True, stderr=True, raw=False) == frame(2, body) * 3


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(st.lists(st.tuples(st.sampled_from((STDOUT, STDERR)), st.binary(min_size=1, max_size=300)), max_size=80))
def test_any_packets_come_as_they_were_sent(pair: Pair, sent: list[tuple[int, bytes]]) -> None:
    packets, decoder, found = PacketSocket(pair[0]), Decoder(), list[tuple[int, bytes]]()
    for kind, data in sent:
        pair[1].send(bytes((kind,)) + data)
    while (batch := packets.receive()) is not None:
        found += decoder.feed(batch.chosen(stdout=True, stderr=True, raw=False))
    assert found == [(kind - 1, data) for kind, data in sent]
    assert decoder.between_frames and not packets.closed
