"""The hand-packed wire formats: attributes, rtnl, nfnl, ctnl."""

import struct
from ipaddress import IPv4Address, IPv4Interface, IPv6Address, IPv6Interface
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyroute2.netlink.rtnl.ifaddrmsg import ifaddrmsg
from pyroute2.netlink.rtnl.ifinfmsg import ifinfmsg
from pyroute2.netlink.rtnl.rtmsg import rtmsg

from seaway_agent.network import attributes, ctnl, nfnl, rtnl
from seaway_agent.network.attributes import Message
from seaway_agent.network.port import InterfaceCounters

ADDRESS = IPv4Address("172.18.0.2")


def decoded(kind: Any, message: Message) -> Any:
    """What an independent implementation reads from a message."""
    parsed = kind(message.pack(1))
    parsed.decode()
    return parsed


@given(st.dictionaries(st.integers(1, 200), st.binary(max_size=20)))
def test_attributes_round_trip(values: dict[int, bytes]) -> None:
    packed = b"".join(attributes.attribute(kind, payload) for kind, payload in values.items())
    assert len(packed) % 4 == 0
    assert attributes.parse_attributes(packed) == values


@given(st.binary(max_size=100))
def test_parsers_survive_garbage(data: bytes) -> None:
    attributes.parse_attributes(data)


def test_deleted_tables_are_told_by_name() -> None:
    def told(kind: int, table: str) -> bytes:
        return Message(10 << 8 | kind, 0, struct.pack("!BBH", 2, 0, 0) + attributes.text(1, table)).pack(0)

    new_table, deleted_table, deleted_rule = 0, 2, 8
    datagram = told(deleted_rule, "a") + told(deleted_table, "b") + told(new_table, "c") + told(deleted_table, "d")
    assert nfnl.deleted_tables(datagram) == {"b", "d"}
    assert nfnl.deleted_tables(b"") == set()


def test_errors_carry_the_kernels_explanation() -> None:
    echoed = struct.pack("=IHHII", 16, 16, 0, 5, 0)
    body = struct.pack("=i", -17) + echoed + attributes.text(1, "it is there")
    datagram = Message(2, 0x300, body).pack(5)
    [reply] = attributes.parse_replies(datagram)
    assert (reply.error, reply.explanation, reply.sequence) == (17, "it is there", 5)


def test_veth_is_what_another_implementation_reads() -> None:
    message = rtnl.create_veth("v1", 7, 1400, peer="eth0", peer_mac="02:42:ac:12:00:02", netns_fd=9)
    link = decoded(ifinfmsg, message)
    assert link.get_attr("IFLA_IFNAME") == "v1"
    assert link.get_attr("IFLA_MASTER") == 7
    assert link.get_attr("IFLA_MTU") == 1400
    info = link.get_attr("IFLA_LINKINFO")
    assert info.get_attr("IFLA_INFO_KIND") == "veth"
    peer = info.get_attr("IFLA_INFO_DATA").get_attr("VETH_INFO_PEER")
    assert peer.get_attr("IFLA_IFNAME") == "eth0"
    assert peer.get_attr("IFLA_ADDRESS") == "02:42:ac:12:00:02"
    assert peer.get_attr("IFLA_NET_NS_FD") == 9


def test_address_and_route_are_what_another_implementation_reads() -> None:
    address = decoded(ifaddrmsg, rtnl.add_address(3, IPv4Interface("172.18.0.2/16")))
    assert (address["index"], address["prefixlen"], address["family"]) == (3, 16, 2)
    assert address.get_attr("IFA_LOCAL") == "172.18.0.2"
    assert address.get_attr("IFA_BROADCAST") == "172.18.255.255"
    route = decoded(rtmsg, rtnl.set_default_route(3, IPv4Address("172.18.0.1")))
    assert route.get_attr("RTA_GATEWAY") == "172.18.0.1"
    assert (route.get_attr("RTA_OIF"), route["dst_len"], route["table"]) == (3, 0, 254)
    assert route["header"]["flags"] & 0x100, "it replaces another one"


def test_ipv6_address_and_route_are_what_another_implementation_reads() -> None:
    address = decoded(ifaddrmsg, rtnl.add_address(3, IPv6Interface("fd00:1::2/64")))
    assert (address["index"], address["prefixlen"], address["family"], address["flags"]) == (3, 64, 10, 2)
    assert address.get_attr("IFA_LOCAL") == "fd00:1::2"
    route = decoded(rtmsg, rtnl.set_default_route(3, IPv6Address("fd00:1::1")))
    assert route.get_attr("RTA_GATEWAY") == "fd00:1::1"
    assert (route["family"], route.get_attr("RTA_OIF"), route["dst_len"], route["table"]) == (10, 3, 0, 254)


@pytest.mark.parametrize("address", [IPv4Interface("10.1.0.1/24"), IPv6Interface("fd00:1::2/64")])
def test_addresses_are_read_as_they_are_written(address: IPv4Interface | IPv6Interface) -> None:
    assert rtnl.parse_address(rtnl.add_address(7, address).body) == (7, address)


def test_counters_are_swapped_to_the_containers_side() -> None:
    stats = attributes.attribute(1, struct.pack("=8Q", 1, 2, 3, 4, 5, 6, 7, 8))
    index, counters = rtnl.parse_counters(struct.pack("=BxHiI", 0, 0, 42, 1) + stats)
    assert index == 42
    assert counters == InterfaceCounters(
        rx_bytes=4, rx_packets=2, rx_errors=6, rx_dropped=8, tx_bytes=3, tx_packets=1, tx_errors=5, tx_dropped=7
    )


def test_map_keys_are_padded_field_by_field() -> None:
    anywhere = nfnl.Dnat("tcp", None, 8080, ADDRESS, 80)
    assert anywhere.key().hex() == "06000000" + "1f900000"
    assert anywhere.target().hex() == "ac120002" + "00500000"
    loopback = nfnl.Dnat("udp", IPv4Address("127.0.0.1"), 53, ADDRESS, 53)
    assert loopback.key().hex() == "11000000" + "7f000001" + "00350000"
    assert (anywhere.map, loopback.map) == (nfnl.ANY_MAP, nfnl.EXACT_MAP)


def test_ipv6_ports_are_in_maps_of_their_own() -> None:
    address6 = IPv6Address("fd00:1::2")
    anywhere = nfnl.Dnat("tcp", None, 8080, address6, 80)
    assert anywhere.key().hex() == "06000000" + "1f900000"
    assert anywhere.target() == address6.packed + bytes((0, 80, 0, 0))
    four = nfnl.Dnat("tcp", None, 8080, ADDRESS, 80)
    assert [message.body[0] for message in nfnl.add("t", [anywhere, four])] == [10, 2]
    assert [message.body[0] for message in nfnl.flush("t", (4, 6))] == [2, 2, 10, 10]


def test_the_policy_of_a_chain() -> None:
    assert nfnl.get_chain("filter", "FORWARD", 6).body[:4] == bytes((10, 0, 0, 0))

    def chain(*parts: bytes) -> bytes:
        return struct.pack("!BBH", 2, 0, 0) + attributes.text(3, "FORWARD") + b"".join(parts)

    assert nfnl.drops(chain(attributes.attribute(5, struct.pack("!I", 0))))
    assert not nfnl.drops(chain(attributes.attribute(5, struct.pack("!I", 1))))
    assert not nfnl.drops(chain()), "one without a hook has no policy"


def test_batch_frames_one_message_per_map_and_chunk() -> None:
    many = [nfnl.Dnat("tcp", None, port, ADDRESS, 80) for port in range(1, 900)]
    messages = nfnl.batch(nfnl.add("t", [*many, nfnl.Dnat("tcp", IPv4Address("127.0.0.1"), 1, ADDRESS, 80)]))
    assert len(messages) == 2 + 1 + 3
    assert (messages[0].kind, messages[-1].kind) == (0x10, 0x11)
    assert all(len(message.body) < 65536 for message in messages)


@pytest.mark.parametrize(
    ("family", "prefix_len", "table", "attrs", "expected"),
    [
        (2, 24, 254, [("RTA_DST", "10.8.0.0"), ("RTA_OIF", 3)], "10.8.0.0/24"),
        (10, 64, 254, [("RTA_DST", "fd00::"), ("RTA_OIF", 3)], "fd00::/64"),
        (2, 0, 254, [("RTA_OIF", 3)], "0.0.0.0/0"),
        (2, 16, 252, [("RTA_DST", "10.9.0.0"), ("RTA_TABLE", 51820)], "10.9.0.0/16"),
        (2, 32, 255, [("RTA_DST", "10.8.0.1"), ("RTA_OIF", 3)], None),
    ],
)
def test_a_route_is_read_as_another_implementation_writes_it(
    family: int, prefix_len: int, table: int, attrs: list[tuple[str, Any]], expected: str | None
) -> None:
    message = rtmsg()
    message.setvalue({"family": family, "dst_len": prefix_len, "table": table, "attrs": attrs})
    message.encode()
    found = rtnl.parse_route(bytes(message.data[16:]))
    assert (str(found.destination) if found is not None else None) == expected


FLOW = ctnl.Flow(17, IPv4Address("10.0.0.9"), IPv4Address("10.0.0.1"), 53, ADDRESS, IPv4Address("10.0.0.9"), b"", b"")


@pytest.mark.parametrize(
    ("change", "stale"),
    [
        ({}, True),
        ({"reply_source": IPv4Address("10.0.0.1")}, True),
        ({"reply_source": IPv4Address("172.18.0.3")}, False),
        ({"port": 54}, False),
        ({"protocol": 6}, False),
        ({"reply_source": IPv4Address("10.0.0.1"), "reply_destination": IPv4Address("10.0.0.2")}, False),
    ],
)
def test_which_flows_go_astray(change: dict[str, object], stale: bool) -> None:
    values = {name: getattr(FLOW, name) for name in FLOW.__slots__} | change
    assert ctnl.is_stale(ctnl.Flow(**values), {53}, {ADDRESS}) is stale


def test_a_flow_of_ipv6_is_deleted_as_one_of_ipv6() -> None:
    one, two = IPv6Address("fd00::1"), IPv6Address("fd00::2")
    flow = ctnl.Flow(17, one, two, 53, two, one, b"", b"")
    assert (ctnl.delete(flow).body[0], ctnl.delete(FLOW).body[0], ctnl.dump().body[0]) == (10, 2, 0)
    assert ctnl.is_stale(flow, {53}, {ADDRESS, two})
