"""The publisher with real sockets on loopback and a table that only remembers."""

import errno
import socket
from collections.abc import Iterator, Sequence
from ipaddress import IPv4Address, IPv6Address

import pytest

from seaway_agent.network.errors import NetlinkError, PortError, PortInvalid
from seaway_agent.network.nfnl import Dnat
from seaway_agent.network.nft import NatTable
from seaway_agent.network.ports import PortBinding, PortRequest
from seaway_agent.network.publisher import PortPublisher, Published
from seaway_testing.ports import free_port, free_ports

ADDRESS = IPv4Address("172.18.0.2")
LOOPBACK = "127.0.0.1"


class RememberingTable(NatTable):
    def __init__(self) -> None:
        super().__init__("test")
        self.elements: set[Dnat] = set()
        self.refuse = False

    def add(self, elements: Sequence[Dnat]) -> None:
        if self.refuse:
            raise NetlinkError(errno.ENOMEM, "cannot publish ports: no memory")
        self.elements |= set(elements)

    def discard(self, elements: Sequence[Dnat]) -> None:
        if not set(elements) <= self.elements:
            raise NetlinkError(errno.ENOENT, "cannot withdraw published ports: no such element")
        self.elements -= set(elements)

    def replace(self, elements: Sequence[Dnat]) -> None:
        self.elements = set(elements)


@pytest.fixture
def nat() -> RememberingTable:
    return RememberingTable()


@pytest.fixture
def publisher(nat: RememberingTable) -> Iterator[PortPublisher]:
    made = PortPublisher(nat, ipv6=False)
    yield made
    made.close()


def is_free(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex((LOOPBACK, port)) != 0 and _can_bind(port)


def _can_bind(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
    return True


def test_port_is_reserved_and_translated_until_withdrawn(publisher: PortPublisher, nat: RememberingTable) -> None:
    port = free_port()
    [binding] = publisher.publish("a", ADDRESS, [PortRequest(80, host_ip=LOOPBACK, host_port=port)])
    assert binding == PortBinding("tcp", LOOPBACK, port, 80)
    assert nat.elements == {Dnat("tcp", IPv4Address(LOOPBACK), port, ADDRESS, 80)}
    assert not _can_bind(port)
    publisher.unpublish("a")
    publisher.unpublish("a")
    assert nat.elements == set()
    assert is_free(port)


def test_publishing_twice_is_publishing_once(publisher: PortPublisher) -> None:
    request = [PortRequest(80, host_ip=LOOPBACK)]
    assert publisher.publish("a", ADDRESS, request) == publisher.publish("a", ADDRESS, request)


def test_port_of_another_container(publisher: PortPublisher) -> None:
    request = [PortRequest(80, host_ip=LOOPBACK, host_port=free_port())]
    publisher.publish("a", ADDRESS, request)
    with pytest.raises(
        PortError, match=rf"^Bind for 127\.0\.0\.1:{request[0].host_port} failed: port is already alloc"
    ):
        publisher.publish("b", ADDRESS, request)


def test_port_of_a_host_process(publisher: PortPublisher, nat: RememberingTable) -> None:
    with socket.create_server((LOOPBACK, 0)) as server:
        taken, other = server.getsockname()[1], free_port()
        requests = [PortRequest(80, host_ip=LOOPBACK, host_port=p) for p in (other, taken)]
        with pytest.raises(PortError, match=rf"^listen tcp4 127\.0\.0\.1:{taken}: bind: address already in use$"):
            publisher.publish("a", ADDRESS, requests)
        assert is_free(other)
        assert nat.elements == set()
        publisher.publish("a", ADDRESS, requests[:1])


def test_udp_port_of_a_host_process(publisher: PortPublisher) -> None:
    with socket.socket(type=socket.SOCK_DGRAM) as held:
        held.bind((LOOPBACK, 0))
        port = held.getsockname()[1]
        with pytest.raises(PortError, match=rf"^listen udp4 127\.0\.0\.1:{port}: bind: address already in use$"):
            publisher.publish("a", ADDRESS, [PortRequest(53, "udp", LOOPBACK, port)])


def test_address_that_the_host_does_not_have(publisher: PortPublisher) -> None:
    with pytest.raises(PortError, match=r"^listen tcp4 203\.0\.113\.9:8080: bind: cannot assign requested address$"):
        publisher.publish("a", ADDRESS, [PortRequest(80, host_ip="203.0.113.9", host_port=8080)])


def test_old_connections_of_a_port_do_not_take_it(publisher: PortPublisher) -> None:
    with socket.create_server((LOOPBACK, 0)) as server:
        port = server.getsockname()[1]
        client = socket.create_connection((LOOPBACK, port))
        accepted, _ = server.accept()
        accepted.close()
        client.recv(1)
        client.close()
    publisher.publish("a", ADDRESS, [PortRequest(80, host_ip=LOOPBACK, host_port=port)])
    with socket.socket() as probe:
        assert probe.connect_ex((LOOPBACK, port)) == errno.ECONNREFUSED


def test_ephemeral_ports_follow_each_other(publisher: PortPublisher) -> None:
    one, two = publisher.publish("a", ADDRESS, [PortRequest(80, host_ip=LOOPBACK), PortRequest(81, host_ip=LOOPBACK)])
    assert 32768 <= one.host_port < two.host_port <= 60999


def test_a_range_gives_its_first_free_port(publisher: PortPublisher) -> None:
    start, *_ = free_ports(6)
    request = PortRequest(80, host_ip=LOOPBACK, host_port=start, host_port_end=start + 5)
    got = [publisher.publish(name, ADDRESS, [request])[0].host_port for name in ("a", "b")]
    assert start <= got[0] < got[1] <= start + 5
    single = PortRequest(80, host_ip=LOOPBACK, host_port=got[0], host_port_end=got[0])
    with pytest.raises(PortError, match="already allocated"):
        publisher.publish("c", ADDRESS, [single])


def test_exhausted_range(publisher: PortPublisher) -> None:
    start, end = free_ports(2)
    for name, port in (("a", start), ("b", end)):
        publisher.publish(name, ADDRESS, [PortRequest(80, host_ip=LOOPBACK, host_port=port)])
    both = PortRequest(80, host_ip=LOOPBACK, host_port=start, host_port_end=end)
    with pytest.raises(PortError, match=r"^all ports are allocated$"):
        publisher.publish("c", ADDRESS, [both])


def test_nothing_stays_when_the_table_refuses(publisher: PortPublisher, nat: RememberingTable) -> None:
    port = free_port()
    nat.refuse = True
    with pytest.raises(NetlinkError):
        publisher.publish("a", ADDRESS, [PortRequest(80, host_ip=LOOPBACK, host_port=port)])
    assert is_free(port)
    nat.refuse = False
    publisher.publish("a", ADDRESS, [PortRequest(80, host_ip=LOOPBACK, host_port=port)])


def test_nothing_is_tried_for_a_senseless_request(publisher: PortPublisher, nat: RememberingTable) -> None:
    with pytest.raises(PortInvalid):
        publisher.publish("a", ADDRESS, [PortRequest(80, host_ip=LOOPBACK), PortRequest(80, "icmp")])
    assert nat.elements == set()


def test_a_lost_element_does_not_stop_a_withdrawal(publisher: PortPublisher, nat: RememberingTable) -> None:
    kept = publisher.publish("a", ADDRESS, [PortRequest(80, host_ip=LOOPBACK)])
    [gone] = publisher.publish("b", ADDRESS, [PortRequest(80, host_ip=LOOPBACK)])
    nat.elements.clear()
    publisher.unpublish("b")
    assert {element.host_port for element in nat.elements} == {kept[0].host_port}
    assert is_free(gone.host_port)


def test_a_container_with_an_ipv6_address_gets_ipv6_translated(nat: RememberingTable) -> None:
    publisher, address6 = PortPublisher(nat, ipv6=True), IPv6Address("fd00:1::2")
    try:
        port = free_port()
        four, six = publisher.publish("a", ADDRESS, [PortRequest(80, host_port=port)], address6)
        assert (four.host_ip, six.host_ip) == ("0.0.0.0", "::")
        assert nat.elements == {Dnat("tcp", None, port, ADDRESS, 80), Dnat("tcp", None, port, address6, 80)}
        assert [relayed.address for relayed in publisher.relayed_ports()["a"]] == [str(ADDRESS)]
        publisher.unpublish("a")
        assert nat.elements == set()
    finally:
        publisher.close()


def test_restore_makes_it_exactly_so(publisher: PortPublisher, nat: RememberingTable) -> None:
    nat.elements = {Dnat("tcp", None, 1, IPv4Address("172.18.0.9"), 1)}
    binding = PortBinding("tcp", LOOPBACK, free_port(), 80)
    assert publisher.restore({"a": Published(ADDRESS, (binding,))}) == []
    assert nat.elements == {Dnat("tcp", IPv4Address(LOOPBACK), binding.host_port, ADDRESS, 80)}
    assert not _can_bind(binding.host_port)
    assert publisher.publish("a", ADDRESS, []) == (binding,)


def test_restore_goes_on_when_a_host_process_took_the_port(publisher: PortPublisher, nat: RememberingTable) -> None:
    with socket.create_server((LOOPBACK, 0)) as server:
        binding = PortBinding("tcp", LOOPBACK, server.getsockname()[1], 80)
        [warning] = publisher.restore({"a": Published(ADDRESS, (binding,))})
    assert "host process took it" in warning
    assert len(nat.elements) == 1
