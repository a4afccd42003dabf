"""conntrack messages over nfnetlink: list flows, delete one. Pure. See linux/netfilter/nfnetlink_conntrack.h."""

import struct
from collections.abc import Collection
from dataclasses import dataclass
from ipaddress import IPv4Address

from seaway_agent.network.attributes import DUMP, NESTED, Message, attribute, parse_attributes

_GET, _DELETE = 1 << 8 | 1, 1 << 8 | 2
_GENERIC = struct.pack("!BBH", 2, 0, 0)
_ORIG, _REPLY, _ID = 1, 2, 12
_TUPLE_IP, _TUPLE_PROTO, _V4_SRC, _V4_DST = 1, 2, 1, 2
_PROTO_NUM, _DST_PORT = 1, 3
_UDP = 17


@dataclass(frozen=True, slots=True)
class Flow:
    """One tracked flow: addresses of its first packet, and of replies."""

    protocol: int
    source: IPv4Address
    destination: IPv4Address
    port: int
    reply_source: IPv4Address
    reply_destination: IPv4Address
    original: bytes
    identity: bytes


def dump() -> Message:
    return Message(_GET, DUMP, _GENERIC)


def delete(flow: Flow) -> Message:
    """Delete only this flow; a new one with the same addresses has another identity."""
    body = _GENERIC + attribute(_ORIG | NESTED, flow.original) + attribute(_ID, flow.identity)
    return Message(_DELETE, 0, body)


def parse(body: bytes) -> Flow:
    found = parse_attributes(body[len(_GENERIC) :])
    original = parse_attributes(found.get(_ORIG, b""))
    ends, protocol = (parse_attributes(original.get(part, b"")) for part in (_TUPLE_IP, _TUPLE_PROTO))
    reply_ends = parse_attributes(parse_attributes(found.get(_REPLY, b"")).get(_TUPLE_IP, b""))
    return Flow(
        protocol=protocol.get(_PROTO_NUM, b"\0")[0],
        source=_address(ends.get(_V4_SRC)),
        destination=_address(ends.get(_V4_DST)),
        port=int.from_bytes(protocol.get(_DST_PORT, b""), "big"),
        reply_source=_address(reply_ends.get(_V4_SRC)),
        reply_destination=_address(reply_ends.get(_V4_DST)),
        original=found.get(_ORIG, b""),
        identity=found.get(_ID, b""),
    )


def is_stale(flow: Flow, ports: Collection[int], address: IPv4Address) -> bool:
    """Whether a UDP flow to one of ``ports`` is misdirected now that ``address`` (un)publishes them.

    Stale are flows that are still translated to the container, and flows to the host itself from before the port was
    published; not flows that are merely forwarded with the host's address as source.
    """
    if flow.protocol != _UDP or flow.port not in ports:
        return False
    untranslated = flow.reply_source == flow.destination and flow.reply_destination == flow.source
    return flow.reply_source == address or untranslated


def _address(packed: bytes | None) -> IPv4Address:
    return IPv4Address(packed if packed is not None and len(packed) == 4 else bytes(4))
