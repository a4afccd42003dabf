"""nfnetlink messages that change the elements of nftables maps, one atomic batch at a time. Pure.

A batch is BEGIN, any number of element messages, END; the kernel applies all of it or nothing, so that packets
never see a half-changed map. See linux/netfilter/nf_tables.h.
"""

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from typing import Literal

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
_GETTABLE, _DELTABLE, _TABLE_NAME = _SUBSYSTEM << 8 | 1, _SUBSYSTEM << 8 | 2, 1
_GETCHAIN, _CHAIN_TABLE, _CHAIN_NAME, _CHAIN_POLICY = _SUBSYSTEM << 8 | 4, 1, 3, 5
_NF_DROP = struct.pack("!I", 0)
_NFGENMSG = struct.Struct("!BBH")
_ELEM_TABLE, _ELEM_SET, _ELEM_ELEMENTS = 1, 2, 3
_LIST_ELEM, _ELEM_KEY, _ELEM_DATA, _DATA_VALUE = 1, 1, 2, 1
_CHUNK = 400
_NFPROTO_IPV4, _NFPROTO_IPV6 = 2, 10

Family = Literal[4, 6]


@dataclass(frozen=True, slots=True)
class Dnat:
    """One published port: traffic to ``host_ip`` (None: any of the host's addresses) goes to ``address``.

    Both are of one family.
    """

    protocol: str
    host_ip: IPv4Address | IPv6Address | None
    host_port: int
    address: IPv4Address | IPv6Address
    port: int

    @property
    def family(self) -> Family:
        """The version of IP, whose table the element is in."""
        return 6 if isinstance(self.address, IPv6Address) else 4

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


def flush(table: str, families: Sequence[Family]) -> list[Message]:
    """Messages that empty the maps of these families' tables."""
    return [
        Message(_DELSETELEM, ACK, _generic(family) + text(_ELEM_TABLE, table) + text(_ELEM_SET, name))
        for family in families
        for name in (EXACT_MAP, ANY_MAP)
    ]


def get_table(table: str, family: Family) -> Message:
    """Look for a table."""
    return Message(_GETTABLE, 0, _generic(family) + text(_TABLE_NAME, table))


def get_chain(table: str, chain: str, family: Family) -> Message:
    """Look for a chain."""
    return Message(_GETCHAIN, 0, _generic(family) + text(_CHAIN_TABLE, table) + text(_CHAIN_NAME, chain))


def drops(chain: bytes) -> bool:
    """Whether the policy of a chain, the body of the reply to `get_chain`, is drop."""
    return parse_attributes(chain[_NFGENMSG.size :]).get(_CHAIN_POLICY) == _NF_DROP


def batch(messages: Sequence[Message]) -> list[Message]:
    """The messages between BEGIN and END."""
    edge = _NFGENMSG.pack(0, 0, _SUBSYSTEM)
    return [Message(_BEGIN, 0, edge), *messages, Message(_END, 0, edge)]


def _generic(family: Family) -> bytes:
    return _NFGENMSG.pack(_NFPROTO_IPV6 if family == 6 else _NFPROTO_IPV4, 0, 0)


def _element_messages(
    kind: int, flags: int, table: str, elements: Sequence[Dnat], *, with_target: bool
) -> Iterator[Message]:
    by_map: dict[tuple[Family, str], list[Dnat]] = {}
    for element in elements:
        by_map.setdefault((element.family, element.map), []).append(element)
    for (family, name), members in by_map.items():
        for at in range(0, len(members), _CHUNK):
            packed = (_element(member, with_target=with_target) for member in members[at : at + _CHUNK])
            body = _generic(family) + text(_ELEM_TABLE, table) + text(_ELEM_SET, name)
            yield Message(kind, flags | ACK, body + nested(_ELEM_ELEMENTS, *packed))


def _element(element: Dnat, *, with_target: bool) -> bytes:
    parts = [nested(_ELEM_KEY, attribute(_DATA_VALUE, element.key()))]
    if with_target:
        parts.append(nested(_ELEM_DATA, attribute(_DATA_VALUE, element.target())))
    return nested(_LIST_ELEM, *parts)
