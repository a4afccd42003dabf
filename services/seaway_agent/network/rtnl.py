"""The rtnetlink messages of the hot paths, and the answers' parsers. Pure. See linux/rtnetlink.h.

Packed by hand are the requests of a container's start, those at each scrape for thousands of interfaces, and those of
an agent that takes over from an earlier one: veths and their addresses, counters, lists. Rare requests (networks,
macvlan endpoints and default routes while a container runs) use pyroute2 (`rtnetlink`), which takes four times as long.
"""

import struct
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Interface, IPv4Network, IPv6Address, IPv6Interface, IPv6Network

from seaway_agent.network.attributes import (
    CREATE,
    DUMP,
    EXCL,
    REPLACE,
    Message,
    attribute,
    nested,
    parse_attributes,
    text,
    u32,
)
from seaway_agent.network.port import InterfaceCounters

NEWLINK, DELLINK, GETLINK, SETLINK = 16, 17, 18, 19
NEWADDR, GETADDR = 20, 22
NEWROUTE, GETROUTE = 24, 26
GETSTATS = 94

_AF_INET, _AF_INET6, _AF_BRIDGE = 2, 10, 7
_UP = 1
_IFINFO = struct.Struct("=BxHiII")
_IFADDR = struct.Struct("=BBBBi")
_RTMSG = struct.Struct("=BBBBBBBBI")
_IFSTATS = struct.Struct("=BxHiI")
_COUNTERS = struct.Struct("=8Q")

_ADDRESS, _NAME, _MTU, _LINK, _MASTER, _PROTINFO, _LINKINFO, _ALIAS = 1, 3, 4, 5, 10, 12, 18, 20
_AF_SPEC, _GROUP, _NS_FD, _LINK_NETNSID = 26, 27, 28, 37
_INFO_KIND, _INFO_DATA, _INFO_SLAVE_KIND, _INFO_SLAVE_DATA, _VETH_PEER = 1, 2, 4, 5, 1
_BRPORT_MODE, _BRPORT_FLUSH, _BRPORT_ISOLATED = 4, 18, 33
_INET6_ADDR_GEN_MODE, _ADDR_GEN_NONE = 8, b"\x01"
_IFA_ADDRESS, _IFA_LOCAL, _IFA_BROADCAST, _NODAD = 1, 2, 4, 0x02
_RTA_DST, _RTA_OIF, _RTA_GATEWAY, _RTA_TABLE = 1, 4, 5, 15
_RT_TABLE_LOCAL = 255
_RT_TABLE_MAIN, _RTPROT_BOOT, _RT_SCOPE_UNIVERSE, _RTN_UNICAST = 254, 3, 0, 1
_STATS_LINK_64 = 1


@dataclass(frozen=True, slots=True)
class Link:
    """An interface. ``master`` and ``peer`` (a macvlan's parent, too) are interface indexes, 0 if there is none.

    ``leads_elsewhere``: the peer is in another namespace.
    """

    index: int
    name: str
    kind: str
    master: int
    peer: int
    mac: str
    up: bool
    alias: str = ""
    leads_elsewhere: bool = False


@dataclass(frozen=True, slots=True)
class Route:
    """A route's destination, and the index of its interface (0: none, or several)."""

    destination: IPv4Network | IPv6Network
    interface: int


def _link(kind: int, flags: int, *attrs: bytes, index: int = 0, up: bool = False, family: int = 0) -> Message:
    state = _UP if up else 0
    return Message(kind, flags, _IFINFO.pack(family, 0, index, state, state) + b"".join(attrs))


def _mac(mac: str) -> bytes:
    return attribute(_ADDRESS, bytes.fromhex(mac.replace(":", "")))


def create_veth(host: str, bridge: int, mtu: int, *, peer: str, peer_mac: str, netns_fd: int) -> Message:
    """Make a veth, down: the host's end on the bridge, the other end in the sandbox's netns."""
    peer_end = _IFINFO.pack(0, 0, 0, 0, 0) + text(_NAME, peer) + _mac(peer_mac) + u32(_MTU, mtu) + u32(_NS_FD, netns_fd)
    info = nested(
        _LINKINFO, attribute(_INFO_KIND, b"veth"), nested(_INFO_DATA, attribute(_VETH_PEER | 0x8000, peer_end))
    )
    return _link(NEWLINK, CREATE | EXCL, text(_NAME, host), u32(_MTU, mtu), u32(_MASTER, bridge), info)


def without_ipv6(name: str) -> Message:
    """Disable the IPv6 link-local address, and with it router solicitations and MLD."""
    spec = nested(_AF_SPEC, nested(_AF_INET6, attribute(_INET6_ADDR_GEN_MODE, _ADDR_GEN_NONE)))
    return _link(SETLINK, 0, text(_NAME, name), spec)


def bring_up(name: str) -> Message:
    return _link(SETLINK, 0, text(_NAME, name), up=True)


def bring_up_port(name: str, *, isolated: bool) -> Message:
    """Bring a bridge's port up, in hairpin mode; isolated ones don't reach each other.

    Where br_netfilter is loaded, a packet to the bridge's address that is translated to its own sender doesn't pass
    through the bridge's interface but turns around in the port.
    """
    alone = [attribute(_BRPORT_ISOLATED, b"\1")] if isolated else []
    data = nested(_INFO_SLAVE_DATA, attribute(_BRPORT_MODE, b"\1"), *alone)
    info = nested(_LINKINFO, attribute(_INFO_SLAVE_KIND, b"bridge"), data)
    return _link(NEWLINK, 0, text(_NAME, name), info, up=True)


def get_link(name: str) -> Message:
    return _link(GETLINK, 0, text(_NAME, name))


def get_link_at(index: int) -> Message:
    return _link(GETLINK, 0, index=index)


def delete_link(name: str) -> Message:
    return _link(DELLINK, 0, text(_NAME, name))


def set_group(name: str, group: int) -> Message:
    return _link(SETLINK, 0, text(_NAME, name), u32(_GROUP, group))


def delete_group(group: int) -> Message:
    """Delete all interfaces of a link group: one wait for RCU instead of one each."""
    return _link(DELLINK, 0, u32(_GROUP, group))


def flush_port(index: int) -> Message:
    """Forget the addresses that the bridge learned on a port, so that another port can take them over at once."""
    return _link(SETLINK, 0, nested(_PROTINFO, attribute(_BRPORT_FLUSH, b"")), index=index, family=_AF_BRIDGE)


def add_address(index: int, address: IPv4Interface | IPv6Interface) -> Message:
    """Give an interface an address. An IPv6 one works at once: no other host of a network has it (no DAD)."""
    if isinstance(address, IPv6Interface):
        body = _IFADDR.pack(_AF_INET6, address.network.prefixlen, _NODAD, 0, index)
    else:
        body = _IFADDR.pack(_AF_INET, address.network.prefixlen, 0, 0, index)
        if address.network.num_addresses > 2:  # a /31 has none: its last address is a host's
            body += attribute(_IFA_BROADCAST, address.network.broadcast_address.packed)
    packed = address.ip.packed
    return Message(NEWADDR, CREATE | EXCL, body + attribute(_IFA_LOCAL, packed) + attribute(_IFA_ADDRESS, packed))


def set_default_route(index: int, gateway: IPv4Address | IPv6Address) -> Message:
    """Set the default route of the gateway's family, in place of another one."""
    family = _AF_INET if gateway.version == 4 else _AF_INET6
    body = _RTMSG.pack(family, 0, 0, 0, _RT_TABLE_MAIN, _RTPROT_BOOT, _RT_SCOPE_UNIVERSE, _RTN_UNICAST, 0)
    return Message(NEWROUTE, CREATE | REPLACE, body + attribute(_RTA_GATEWAY, gateway.packed) + u32(_RTA_OIF, index))


def dump_links() -> Message:
    return _link(GETLINK, DUMP)


def dump_addresses() -> Message:
    """The addresses of all interfaces, of both families."""
    return Message(GETADDR, DUMP, _IFADDR.pack(0, 0, 0, 0, 0))


def dump_routes() -> Message:
    """The routes of all tables, of both families."""
    return Message(GETROUTE, DUMP, _RTMSG.pack(0, 0, 0, 0, 0, 0, 0, 0, 0))


def dump_counters() -> Message:
    """The 64-bit counters of all interfaces, and nothing else about them."""
    return Message(GETSTATS, DUMP, _IFSTATS.pack(0, 0, 0, _STATS_LINK_64))


def parse_link(body: bytes) -> Link:
    _, _, index, flags, _ = _IFINFO.unpack_from(body)
    found = parse_attributes(body[_IFINFO.size :])
    kind = parse_attributes(found.get(_LINKINFO, b"")).get(_INFO_KIND, b"")
    return Link(
        index=index,
        name=found.get(_NAME, b"").rstrip(b"\0").decode(errors="replace"),
        kind=kind.rstrip(b"\0").decode(),
        master=_number(found.get(_MASTER, b"")),
        peer=_number(found.get(_LINK, b"")),
        mac=found.get(_ADDRESS, b"").hex(":"),
        up=bool(flags & _UP),
        alias=found.get(_ALIAS, b"").rstrip(b"\0").decode(errors="replace"),
        leads_elsewhere=_LINK_NETNSID in found,
    )


def parse_address(body: bytes) -> tuple[int, IPv4Interface | IPv6Interface]:
    """``(interface index, address)``."""
    family, prefix_len, _, _, index = _IFADDR.unpack_from(body)
    found = parse_attributes(body[_IFADDR.size :])
    kind = IPv6Interface if family == _AF_INET6 else IPv4Interface
    packed = found.get(_IFA_LOCAL, found.get(_IFA_ADDRESS, bytes(16 if family == _AF_INET6 else 4)))
    return index, kind((packed, prefix_len))


def parse_route(body: bytes) -> Route | None:
    """A route; None for one of the table `local`, which has the host's own addresses."""
    family, prefix_len, _, _, table, _, _, _, _ = _RTMSG.unpack_from(body)
    found = parse_attributes(body[_RTMSG.size :])
    if (_number(found.get(_RTA_TABLE, b"")) or table) == _RT_TABLE_LOCAL:
        return None
    kind, size = (IPv6Network, 16) if family == _AF_INET6 else (IPv4Network, 4)
    destination = kind((found.get(_RTA_DST, bytes(size)), prefix_len), strict=False)
    return Route(destination, _number(found.get(_RTA_OIF, b"")))


def parse_counters(body: bytes) -> tuple[int, InterfaceCounters]:
    """``(interface index, counters)`` with the directions swapped: the host's end sends what the sandbox receives."""
    _, _, index, _ = _IFSTATS.unpack_from(body)
    stats = parse_attributes(body[_IFSTATS.size :]).get(_STATS_LINK_64, b"")
    if len(stats) < _COUNTERS.size:
        return index, InterfaceCounters()
    rx_packets, tx_packets, rx_bytes, tx_bytes, rx_errors, tx_errors, rx_dropped, tx_dropped = _COUNTERS.unpack_from(
        stats
    )
    return index, InterfaceCounters(
        tx_bytes, tx_packets, tx_errors, tx_dropped, rx_bytes, rx_packets, rx_errors, rx_dropped
    )


def _number(payload: bytes) -> int:
    return int(struct.unpack("=I", payload)[0]) if len(payload) == 4 else 0
