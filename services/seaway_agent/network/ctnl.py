"""conntrack messages over nfnetlink: list flows, delete one. Pure. See linux/netfilter/nfnetlink_conntrack.h."""

import struct
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address

from seaway_agent.network.attributes import DUMP, NESTED, Message, attribute, parse_attributes

_GET, _DELETE = 1 << 8 | 1, 1 << 8 | 2
_GENERIC = struct.Struct("!BBH")
_ANY, _IPV4, _IPV6 = 0, 2, 10
_ORIG, _REPLY, _ID = 1, 2, 12
_TUPLE_IP, _TUPLE_PROTO = 1, 2
_V4_SRC, _V4_DST, _V6_SRC, _V6_DST = 1, 2, 3, 4
_PROTO_NUM, _DST_PORT = 1, 3
_UDP = 17

Address = IPv4Address | IPv6Address


@dataclass(frozen=True, slots=True)
class Flow:
    """One tracked flow: addresses of its first packet, and of replies."""

    protocol: int
    source: Address
    destination: Address
    port: int
    reply_source: Address
    reply_destination: Address
    original: bytes
    identity: bytes


def dump() -> Message:
    """The flows of both families."""
    return Message(_GET, DUMP, _GENERIC.pack(_ANY, 0, 0))


def delete(flow: Flow) -> Message:
    """Delete only this flow; a new one with the same addresses has another identity."""
    family = _IPV6 if isinstance(flow.source, IPv6Address) else _IPV4
    body = _GENERIC.pack(family, 0, 0) + attribute(_ORIG | NESTED, flow.original) + attribute(_ID, flow.identity)
    return Message(_DELETE, 0, body)


def parse(body: bytes) -> Flow:
    found = parse_attributes(body[_GENERIC.size :])
    original = parse_attributes(found.get(_ORIG, b""))
    ends, protocol = (parse_attributes(original.get(part, b"")) for part in (_TUPLE_IP, _TUPLE_PROTO))
    reply_ends = parse_attributes(parse_attributes(found.get(_REPLY, b"")).get(_TUPLE_IP, b""))
    return Flow(
        protocol=protocol.get(_PROTO_NUM, b"\0")[0],
        source=_address(ends, _V4_SRC, _V6_SRC),
        destination=_address(ends, _V4_DST, _V6_DST),
        port=int.from_bytes(protocol.get(_DST_PORT, b""), "big"),
        reply_source=_address(reply_ends, _V4_SRC, _V6_SRC),
        reply_destination=_address(reply_ends, _V4_DST, _V6_DST),
        original=found.get(_ORIG, b""),
        identity=found.get(_ID, b""),
    )


def is_stale(flow: Flow, ports: Collection[int], addresses: Collection[Address]) -> bool:
    """Whether a UDP flow to one of ``ports`` is misdirected now that a container of ``addresses`` (un)publishes them.

    Stale are flows that are still translated to the container, and flows to the host itself from before the port was
    published; not flows that are merely forwarded with the host's address as source.
    """
    if flow.protocol != _UDP or flow.port not in ports:
        return False
    untranslated = flow.reply_source == flow.destination and flow.reply_destination == flow.source
    return flow.reply_source in addresses or untranslated


def _address(ends: Mapping[int, bytes], v4: int, v6: int) -> Address:
    packed6, packed = ends.get(v6, b""), ends.get(v4, b"")
    if len(packed6) == 16:
        return IPv6Address(packed6)
    return IPv4Address(packed if len(packed) == 4 else bytes(4))
