"""The nftables tables of one node's bridges, as the text of one ``nft -f -`` transaction. Pure.

One table for IPv4, and one for IPv6 once a network has it. The rules are the same for any number of networks and ports:
they look bridges up in sets, and ports in maps. What the chains do:

- ``raw``: route_localnet is on for the bridges, so that replies to connections from 127.0.0.1 are routed back;
  a container must not reach the host's loopback services that way.
- ``prerouting``, ``output``: published ports, from outside and from the host itself. The map ``published_at`` is
  looked up first (a port published at one host address), then ``published`` (at any local address). The kernel doesn't
  route packets from ::1 or link-local addresses to containers: the agent relays those connections.
- ``postrouting``: containers leave with the host's address, a particular one if ``leaving`` has it. Connections that
  come back to the bridge they left (hairpin) or from the host's loopback get the bridge's address, or the reply would
  bypass the host. Whether a connection comes back is looked up by its source, as br_netfilter gives bridged packets no
  ``iifname`` there.
- ``forward``: the user's rules in ``user`` come first. Then containers reach their own network, unless it is ``closed``
  (``enable_icc=false``), and the outside, unless it is ``internal``. What enters a bridge must be a reply or go to a
  published port, as with Docker. That also isolates networks, and suites, from each other.

The chain ``user`` is made once and never flushed.

No rule has an anonymous set: sets are replaced with their rules, and a packet in flight during the replacement can meet
the old rule with its set emptied already (measured: a few lost packets per thousand replacements).

Limit: an accept here can't overrule a drop elsewhere, such as that of a Docker on the same host (`forward_policy`).
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

from seaway_agent.network.names import table_name
from seaway_agent.network.nfnl import ANY_MAP, EXACT_MAP

USER_CHAIN = "user"
IPV4, IPV6 = "ip", "ip6"

_BRIDGES, _INTERNAL, _CLOSED, _MASQUERADED = "bridges", "internal", "closed", "masqueraded"
_WITHIN, _SOURCES, _LEAVING, _PROTOCOLS = "within", "sources", "leaving", "protocols"
_ADDRESS = {IPV4: "ipv4_addr", IPV6: "ipv6_addr"}
_PROTOCOL = f"meta l4proto @{_PROTOCOLS}"
_RELAYED = ("ip6 daddr ::1 return", "ip6 saddr fe80::/10 return")
_INBOUND = ("ct state established,related accept", "ct status dnat accept", "drop")
_HOOKS = {
    "raw": "type filter hook prerouting priority raw; policy accept;",
    "prerouting": "type nat hook prerouting priority dstnat; policy accept;",
    "output": "type nat hook output priority -100; policy accept;",  # dstnat, a name that nft 1.0.6 refuses here
    "postrouting": "type nat hook postrouting priority srcnat; policy accept;",
    "forward": "type filter hook forward priority filter; policy accept;",
}


@dataclass(frozen=True, slots=True)
class BridgeRules:
    """What the rules must know of a bridge."""

    bridge: str
    subnet: IPv4Network
    subnet6: IPv6Network | None = None
    internal: bool = False
    icc: bool = True
    masquerade: bool = True
    source: IPv4Address | None = None
    source6: IPv6Address | None = None

    def elements(self, family: str) -> dict[str, str]:
        """Its element in each set and map that it belongs to; none in the table of a family that it hasn't."""
        subnet, source = (self.subnet, self.source) if family == IPV4 else (self.subnet6, self.source6)
        if subnet is None:
            return {}
        own = f'"{self.bridge}"'
        member = {
            _BRIDGES: True,
            _INTERNAL: self.internal,
            _CLOSED: not self.icc,
            _MASQUERADED: self.masquerade and not self.internal,
        }
        found = {name: own for name, is_in in member.items() if is_in}
        found |= {_LEAVING: f"{own} : {source}"} if source is not None else {}
        return {**found, _WITHIN: f"{own} . {own}", _SOURCES: f"{subnet} . {own}"}


def install(suite: str, bridges: Sequence[BridgeRules], *, ipv6: bool, only: bool = False) -> str:
    """Make the tables, or bring their rules up to date, and add these bridges. ``ipv6``: both tables.

    Elements of maps, other bridges (unless ``only``) and the user's rules stay, and no packet sees a gap.
    """
    families = (IPV4, IPV6) if ipv6 else (IPV4,)
    return "\n".join(line for family in families for line in _install(family, suite, bridges, only=only)) + "\n"


def remove(suite: str, *, ipv6: bool) -> str:
    """Delete the tables, whether they exist or not."""
    name = table_name(suite)
    families = (IPV4, IPV6) if ipv6 else (IPV4,)
    return "".join(f"add table {family} {name}\ndelete table {family} {name}\n" for family in families)


def _install(family: str, suite: str, bridges: Sequence[BridgeRules], *, only: bool) -> list[str]:
    table, chains = f"{family} {table_name(suite)}", _chains(family)
    sets, elements = _sets(family), [one.elements(family) for one in bridges]
    return [
        f"add table {table}",
        *(f"add set {table} {name} {{ {kind} }}" for name, kind in sets.items()),
        f"add map {table} {_LEAVING} {{ type ifname : {_ADDRESS[family]}; }}",
        *_maps(family, table),
        f"add chain {table} {USER_CHAIN}",
        *(_chain(table, name) for name in chains),
        *(line for name, rules in chains.items() for line in _rules(table, name, rules)),
        *(f"flush set {table} {name}" for name in sets if only),
        *([f"flush map {table} {_LEAVING}"] if only else []),
        *(f"add element {table} {name} {{ {one} }}" for found in elements for name, one in found.items()),
    ]


def _sets(family: str) -> dict[str, str]:
    names = dict.fromkeys((_BRIDGES, _INTERNAL, _CLOSED, _MASQUERADED), "type ifname;")
    sources = f"type {_ADDRESS[family]} . ifname; flags interval;"
    return {**names, _WITHIN: "type ifname . ifname;", _SOURCES: sources}


def _maps(family: str, table: str) -> list[str]:
    address = _ADDRESS[family]
    target = f"{address} . inet_service"
    return [
        f"add map {table} {EXACT_MAP} {{ type inet_proto . {address} . inet_service : {target}; }}",
        f"add map {table} {ANY_MAP} {{ type inet_proto . inet_service : {target}; }}",
        f"add set {table} {_PROTOCOLS} {{ type inet_proto; }}",
        f"add element {table} {_PROTOCOLS} {{ tcp, udp, sctp }}",
    ]


def _chains(family: str) -> dict[str, tuple[str, ...]]:
    """The rules of each chain of a family's table."""
    dnat = (
        *(_RELAYED if family == IPV6 else ()),
        f"{_PROTOCOL} dnat {family} to meta l4proto . {family} daddr . th dport map @{EXACT_MAP}",
        f"{_PROTOCOL} fib daddr type local dnat {family} to meta l4proto . th dport map @{ANY_MAP}",
    )
    returning = f"{family} saddr . oifname @{_SOURCES}"
    return {
        **({"raw": (f"iifname @{_BRIDGES} ip daddr 127.0.0.0/8 drop",)} if family == IPV4 else {}),
        "prerouting": dnat,
        "output": dnat,
        "within": (f"iifname != @{_CLOSED} accept", *_INBOUND),
        "inbound": _INBOUND,
        "forward": (
            f"jump {USER_CHAIN}",
            f"iifname . oifname @{_WITHIN} goto within",
            f"iifname @{_INTERNAL} drop",
            f"oifname @{_INTERNAL} drop",
            f"oifname @{_BRIDGES} goto inbound",
        ),
        "postrouting": (
            f"{returning} ct status dnat masquerade",
            f"{returning} accept",
            f"iifname @{_MASQUERADED} snat {family} to iifname map @{_LEAVING}",
            f"iifname @{_MASQUERADED} masquerade",
            *((f"oifname @{_BRIDGES} ct status dnat ip saddr 127.0.0.0/8 masquerade",) if family == IPV4 else ()),
        ),
    }


def _rules(table: str, chain: str, rules: Iterable[str]) -> list[str]:
    return [f"flush chain {table} {chain}", *(f"add rule {table} {chain} {rule}" for rule in rules)]


def _chain(table: str, name: str) -> str:
    return f"add chain {table} {name}" + (f" {{ {_HOOKS[name]} }}" if name in _HOOKS else "")
