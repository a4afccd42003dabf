"""nfnetlink messages that change the elements of an nftables map, one atomic batch at a time. Pure.

A batch is BEGIN, any number of element messages, END; the kernel applies all of it or nothing, so that packets
never see a half-changed map. See linux/netfilter/nf_tables.h.
"""

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address

from seaway_agent.network.attributes import (
    ACK,
    CREATE,
    Message,
    attribute,
    nested,
    parse_attributes,
    parse_replies,
    text,
)

PROTOCOLS = {"tcp": 6, "udp": 17, "sctp": 132}
EXACT_MAP, ANY_MAP = "published_at", "published"

_SUBSYSTEM = 10
_BEGIN, _END = 0x10, 0x11
_NEWSETELEM, _DELSETELEM = _SUBSYSTEM << 8 | 12, _SUBSYSTEM << 8 | 14
_DELTABLE, _TABLE_NAME = _SUBSYSTEM << 8 | 2, 1
_NFPROTO_IPV4 = 2
_NFGENMSG = struct.Struct("!BBH")
_ELEM_TABLE, _ELEM_SET, _ELEM_ELEMENTS = 1, 2, 3
_LIST_ELEM, _ELEM_KEY, _ELEM_DATA, _DATA_VALUE = 1, 1, 2, 1
_CHUNK = 400


@dataclass(frozen=True, slots=True)
class Dnat:
    """One published port: traffic to ``host_ip`` (None: any of the host's addresses) goes to ``address``."""

    protocol: str
    host_ip: IPv4Address | None
    host_port: int
    address: IPv4Address
    port: int

    @property
    def map(self) -> str:
        return ANY_MAP if self.host_ip is None else EXACT_MAP

    def key(self) -> bytes:
        """The concatenated key: each field padded to four bytes."""
        host_ip = b"" if self.host_ip is None else self.host_ip.packed
        return bytes((PROTOCOLS[self.protocol], 0, 0, 0)) + host_ip + struct.pack("!Hxx", self.host_port)

    def target(self) -> bytes:
        return self.address.packed + struct.pack("!Hxx", self.port)


def add(table: str, elements: Sequence[Dnat]) -> list[Message]:
    """Messages that add elements to their maps."""
    return list(_element_messages(_NEWSETELEM, CREATE, table, elements, with_target=True))


def discard(table: str, elements: Sequence[Dnat]) -> list[Message]:
    """Messages that remove elements; the kernel refuses the whole batch if one is missing."""
    return list(_element_messages(_DELSETELEM, 0, table, elements, with_target=False))


def deleted_tables(datagram: bytes) -> set[str]:
    """The tables whose deletion a notification reports."""
    bodies = [message.body for message in parse_replies(datagram) if message.kind == _DELTABLE]
    names = [parse_attributes(body[_NFGENMSG.size :]).get(_TABLE_NAME, b"") for body in bodies]
    return {name.rstrip(b"\0").decode(errors="replace") for name in names}


def flush(table: str) -> list[Message]:
    """Messages that empty both maps."""
    return [
        Message(_DELSETELEM, ACK, _generic() + text(_ELEM_TABLE, table) + text(_ELEM_SET, name))
        for name in (EXACT_MAP, ANY_MAP)
    ]


def batch(messages: Sequence[Message]) -> list[Message]:
    """The messages between BEGIN and END."""
    edge = _generic(family=0, resource=_SUBSYSTEM)
    return [Message(_BEGIN, 0, edge), *messages, Message(_END, 0, edge)]


def _generic(family: int = _NFPROTO_IPV4, resource: int = 0) -> bytes:
    return _NFGENMSG.pack(family, 0, resource)


def _element_messages(
    kind: int, flags: int, table: str, elements: Sequence[Dnat], *, with_target: bool
) -> Iterator[Message]:
    for name in (EXACT_MAP, ANY_MAP):
        members = [element for element in elements if element.map == name]
        for at in range(0, len(members), _CHUNK):
            packed = (_element(member, with_target=with_target) for member in members[at : at + _CHUNK])
            body = _generic() + text(_ELEM_TABLE, table) + text(_ELEM_SET, name)
            yield Message(kind, flags | ACK, body + nested(_ELEM_ELEMENTS, *packed))


def _element(element: Dnat, *, with_target: bool) -> bytes:
    parts = [nested(_ELEM_KEY, attribute(_DATA_VALUE, element.key()))]
    if with_target:
        parts.append(nested(_ELEM_DATA, attribute(_DATA_VALUE, element.target())))
    return nested(_LIST_ELEM, *parts)
