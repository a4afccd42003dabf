"""Port 53 of 127.0.0.11 in a sandbox leads to the resolver's ports, so that the container may serve port 53 itself.

As with Docker, a NAT rule on the sandbox's output does it: an nftables table of its own, packed by hand, as it is made
at each start.
"""

import errno
import socket
import struct

from seaway_agent.dns.port import ADDRESS
from seaway_agent.network.attributes import ACK, CREATE, Message, attribute, nested, text
from seaway_agent.network.errors import NetlinkError
from seaway_agent.network.netlink import NETFILTER, NetlinkSocket
from seaway_agent.network.nfnl import PROTOCOLS, batch

# See linux/netfilter/nf_tables.h.
_TABLE, _CHAIN = "seaway_dns", "output"
_NEWTABLE, _GETTABLE, _DELTABLE, _NEWCHAIN, _NEWRULE = 0xA00, 0xA01, 0xA02, 0xA03, 0xA06
_IPV4 = struct.pack("!BBH", 2, 0, 0)
_TABLE_NAME = 1
_CHAIN_TABLE, _CHAIN_NAME, _CHAIN_HOOK, _CHAIN_TYPE, _HOOK_NUMBER, _HOOK_PRIORITY = 1, 3, 4, 7, 1, 2
_RULE_TABLE, _RULE_CHAIN, _RULE_EXPRESSIONS = 1, 2, 4
_LIST_ELEMENT, _EXPRESSION_NAME, _EXPRESSION_DATA, _DATA_VALUE = 1, 1, 2, 1
_LOCAL_OUT, _BEFORE_ROUTING = 3, -100
_NETWORK_HEADER, _TRANSPORT_HEADER = 1, 2
_L4PROTO, _EQUAL, _DESTINATION_NAT = 16, 0, 1
_REGISTER, _SECOND_REGISTER = 1, 2
_PORT = 53
_DOING = "lead a sandbox's DNS to the resolver"


def redirect(udp: int, tcp: int) -> NetlinkSocket | None:
    """Lead port 53 to these ports, in the calling thread's namespace, whatever rule was there. Raises NetlinkError.

    Where a rule was there, returns a socket to close a second later: until the kernel has destroyed the old rule, some
    10 ms, closing it blocks.
    """
    table = _IPV4 + text(_TABLE_NAME, _TABLE)
    make = [
        Message(_NEWTABLE, ACK | CREATE, table),
        Message(_NEWCHAIN, ACK | CREATE, _chain()),
        Message(_NEWRULE, ACK | CREATE, _rule("udp", udp)),
        Message(_NEWRULE, ACK | CREATE, _rule("tcp", tcp)),
    ]
    netlink = NetlinkSocket(NETFILTER)
    try:
        is_there = _is_there(netlink, table)
        netlink.exchange(batch([Message(_DELTABLE, ACK, table), *make] if is_there else make), _DOING)
    except BaseException:
        netlink.close()
        raise
    if is_there:
        return netlink
    netlink.close()
    return None


def _is_there(netlink: NetlinkSocket, table: bytes) -> bool:
    """Whether an earlier resolver's table is there. Asked before, as a batch that the kernel refuses costs 10 ms."""
    try:
        netlink.transact([Message(_GETTABLE, 0, table)], _DOING)
    except NetlinkError as error:
        if error.code != errno.ENOENT:
            raise
        return False
    return True


def _chain() -> bytes:
    hook = nested(_CHAIN_HOOK, _number(_HOOK_NUMBER, _LOCAL_OUT), _number(_HOOK_PRIORITY, _BEFORE_ROUTING))
    return _IPV4 + text(_CHAIN_TABLE, _TABLE) + text(_CHAIN_NAME, _CHAIN) + hook + text(_CHAIN_TYPE, "nat")


def _rule(protocol: str, port: int) -> bytes:
    """``ip daddr 127.0.0.11 meta l4proto PROTOCOL th dport 53 dnat to 127.0.0.11:PORT``."""
    address = socket.inet_aton(ADDRESS)
    expressions = (
        _payload(_NETWORK_HEADER, 16, 4),
        _compare(address),
        _expression("meta", _number(2, _L4PROTO), _number(1, _REGISTER)),
        _compare(bytes((PROTOCOLS[protocol],))),
        _payload(_TRANSPORT_HEADER, 2, 2),
        _compare(struct.pack("!H", _PORT)),
        _immediate(_REGISTER, address),
        _immediate(_SECOND_REGISTER, struct.pack("!H", port)),
        _expression(
            "nat",
            _number(1, _DESTINATION_NAT),
            _number(2, socket.AF_INET),
            _number(3, _REGISTER),
            _number(5, _SECOND_REGISTER),
        ),
    )
    listed = nested(_RULE_EXPRESSIONS, *(nested(_LIST_ELEMENT, one) for one in expressions))
    return _IPV4 + text(_RULE_TABLE, _TABLE) + text(_RULE_CHAIN, _CHAIN) + listed


def _expression(name: str, *data: bytes) -> bytes:
    return text(_EXPRESSION_NAME, name) + nested(_EXPRESSION_DATA, *data)


def _payload(base: int, offset: int, length: int) -> bytes:
    return _expression("payload", _number(1, _REGISTER), _number(2, base), _number(3, offset), _number(4, length))


def _compare(value: bytes) -> bytes:
    return _expression("cmp", _number(1, _REGISTER), _number(2, _EQUAL), nested(3, attribute(_DATA_VALUE, value)))


def _immediate(register: int, value: bytes) -> bytes:
    return _expression("immediate", _number(1, register), nested(2, attribute(_DATA_VALUE, value)))


def _number(kind: int, value: int) -> bytes:
    """nftables' numbers are in network byte order."""
    return attribute(kind, struct.pack("!i", value))
