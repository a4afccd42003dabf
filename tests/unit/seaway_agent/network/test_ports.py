from ipaddress import IPv4Address, IPv6Address
from itertools import islice

import pytest

from seaway_agent.network import ports
from seaway_agent.network.errors import PortError, PortInvalid
from seaway_agent.network.nfnl import Dnat
from seaway_agent.network.ports import PortBinding, PortRequest, PortTable


def claim(table: PortTable, host_ip: str, port: int, protocol: str = "tcp") -> None:
    table.claim((PortBinding(protocol, host_ip, port, 80),))


def test_conflict_has_dockers_words() -> None:
    table = PortTable()
    claim(table, "0.0.0.0", 18090)
    with pytest.raises(PortError, match=r"^Bind for 0\.0\.0\.0:18090 failed: port is already allocated$"):
        claim(table, "0.0.0.0", 18090)
    claim(table, "::", 18090)
    with pytest.raises(PortError, match=r"^Bind for \[::\]:18090 failed: port is already allocated$"):
        claim(table, "::", 18090)


def test_unspecified_address_clashes_with_every_other_of_its_family() -> None:
    table = PortTable()
    claim(table, "127.0.0.1", 80)
    claim(table, "127.0.0.2", 80)
    claim(table, "::1", 80)
    claim(table, "0.0.0.0", 80, "udp")
    with pytest.raises(PortError, match="already allocated"):
        claim(table, "0.0.0.0", 80)
    with pytest.raises(PortError, match="already allocated"):
        claim(table, "127.0.0.1", 80, "udp")


def test_claims_are_all_or_nothing_and_can_be_given_back() -> None:
    table = PortTable()
    claim(table, "0.0.0.0", 81)
    both = (PortBinding("tcp", "0.0.0.0", 80, 1), PortBinding("tcp", "0.0.0.0", 81, 2))
    with pytest.raises(PortError):
        table.claim(both)
    table.release((PortBinding("tcp", "0.0.0.0", 81, 2),))
    table.claim(both)
    table.release(both)
    table.release(both)
    table.claim(both)


def test_ephemeral_ports_go_on_after_the_last_one_and_wrap_around() -> None:
    table = PortTable(first=100, last=102)
    request = PortRequest(80)
    assert list(table.candidates(request)) == [100, 101, 102]
    table.advance_past(request, 101)
    assert list(table.candidates(request)) == [102, 100, 101]
    table.advance_past(request, 102)
    table.advance_past(PortRequest(80, host_port=100), 100)
    assert list(table.candidates(request)) == [100, 101, 102]
    assert next(islice(PortTable().candidates(request), 1)) == 32768


def test_ranges_are_tried_in_order() -> None:
    table = PortTable()
    assert list(table.candidates(PortRequest(80, host_port=8000, host_port_end=8002))) == [8000, 8001, 8002]
    assert list(table.candidates(PortRequest(80, host_port=8000))) == [8000]


@pytest.mark.parametrize(
    "request_",
    [
        PortRequest(80, protocol="icmp"),
        PortRequest(0),
        PortRequest(65536),
        PortRequest(80, host_port=-1),
        PortRequest(80, host_port=65536),
        PortRequest(80, host_port=9, host_port_end=8),
        PortRequest(80, host_port=0, host_port_end=65536),
        PortRequest(80, host_ip="localhost"),
        PortRequest(80, "sctp", host_ip="::1"),
    ],
)
def test_senseless_requests(request_: PortRequest) -> None:
    with pytest.raises(PortInvalid):
        ports.check(request_)


def test_host_addresses_of_a_request() -> None:
    assert ports.host_ips(PortRequest(80), ipv6=True) == ("0.0.0.0", "::")
    assert ports.host_ips(PortRequest(80), ipv6=False) == ("0.0.0.0",)
    assert ports.host_ips(PortRequest(80, "sctp"), ipv6=True) == ("0.0.0.0",)
    assert ports.host_ips(PortRequest(80, host_ip="0:0::1"), ipv6=True) == ("::1",)


def test_sctp_at_an_ipv6_address_needs_a_container_with_one() -> None:
    assert ports.host_ips(PortRequest(80, "sctp"), ipv6=True, native6=True) == ("0.0.0.0", "::")
    assert ports.host_ips(PortRequest(80), ipv6=False, native6=True) == ("0.0.0.0",)
    ports.check(PortRequest(80, "sctp", host_ip="fd00::1"), native6=True)
    with pytest.raises(PortInvalid, match="can't publish a port for sctp at an IPv6 address"):
        ports.check(PortRequest(80, "sctp", host_ip="::1"), native6=True)


def test_ipv6_is_translated_to_a_container_with_an_ipv6_address() -> None:
    address, address6 = IPv4Address("172.18.0.2"), IPv6Address("fd00:1::2")
    anywhere = ports.dnat_of(PortBinding("tcp", "::", 8080, 80), address, address6)
    assert anywhere == Dnat("tcp", None, 8080, address6, 80)
    host = IPv6Address("fd09::1")
    assert ports.dnat_of(PortBinding("udp", str(host), 53, 53), address, address6) == Dnat(
        "udp", host, 53, address6, 53
    )
    assert ports.dnat_of(PortBinding("tcp", "::1", 8080, 80), address, address6) is None
    assert ports.dnat_of(PortBinding("tcp", "0.0.0.0", 8080, 80), address, address6) == Dnat(
        "tcp", None, 8080, address, 80
    )


def test_translation_of_a_binding() -> None:
    address = IPv4Address("172.18.0.2")
    assert ports.dnat_of(PortBinding("tcp", "0.0.0.0", 8080, 80), address) == Dnat("tcp", None, 8080, address, 80)
    loopback = IPv4Address("127.0.0.1")
    assert ports.dnat_of(PortBinding("udp", "127.0.0.1", 53, 5353), address) == Dnat("udp", loopback, 53, address, 5353)
    assert ports.dnat_of(PortBinding("tcp", "::", 8080, 80), address) is None
