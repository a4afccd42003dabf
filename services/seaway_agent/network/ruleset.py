"""The nftables table of one node's bridges, as the text of one ``nft -f -`` transaction. Pure.

Published ports have chains of their own, and each bridge has three, named after it: so changing a bridge doesn't affect
the others. What the chains do:

- ``raw``: route_localnet is on for the bridge, so that replies to connections from 127.0.0.1 are routed back;
  a container must not reach the host's loopback services that way.
- ``prerouting``, ``output``: published ports, from outside and from the host itself. The map ``published_at`` is
  looked up first (a port published at one host address), then ``published`` (at any local address).
- ``postrouting``: containers leave with the host's address; connections that come back to the bridge they left
  (hairpin) or from the host's loopback get the bridge's address, or the reply would bypass the host.
- ``forward``: containers reach each other and the outside; what comes from outside must be a reply or go to a
  published port, as with Docker. That also isolates the bridges of several suites from each other.

No rule has an anonymous set: sets are replaced with their rules, and a packet in flight during the replacement can meet
the old rule with its set emptied already (measured: a few lost packets per thousand replacements).

Limit: an accept here can't overrule a drop elsewhere. A co-installed Docker sets the policy of iptables' FORWARD chain
to drop; then the host's owner must accept the bridge in DOCKER-USER.
"""

from collections.abc import Iterable, Mapping
from ipaddress import IPv4Network

from seaway_agent.network.names import table_name
from seaway_agent.network.nfnl import ANY_MAP, EXACT_MAP

_PROTOCOLS = "protocols"
_DNAT = (
    f"meta l4proto @{_PROTOCOLS} dnat ip to meta l4proto . ip daddr . th dport map @{EXACT_MAP}",
    f"meta l4proto @{_PROTOCOLS} fib daddr type local dnat ip to meta l4proto . th dport map @{ANY_MAP}",
)
_BRIDGE_HOOKS = ("raw", "postrouting", "forward")
_HOOKS = {
    "raw": "type filter hook prerouting priority raw; policy accept;",
    "prerouting": "type nat hook prerouting priority dstnat; policy accept;",
    "output": "type nat hook output priority -100; policy accept;",  # dstnat, a name that nft 1.0.6 refuses here
    "postrouting": "type nat hook postrouting priority srcnat; policy accept;",
    "forward": "type filter hook forward priority filter; policy accept;",
}


def _bridge_rules(bridge: str, subnet: IPv4Network) -> dict[str, tuple[str, ...]]:
    return {
        "raw": (f'iifname "{bridge}" ip daddr 127.0.0.0/8 drop',),
        "postrouting": (
            f'ip saddr {subnet} oifname != "{bridge}" masquerade',
            f'oifname "{bridge}" ct status dnat ip saddr {subnet} masquerade',
            f'oifname "{bridge}" ct status dnat ip saddr 127.0.0.0/8 masquerade',
        ),
        "forward": (
            f'oifname "{bridge}" ct state established,related accept',
            f'iifname "{bridge}" accept',
            f'oifname "{bridge}" ct status dnat accept',
            f'oifname "{bridge}" drop',
        ),
    }


def install(suite: str, bridges: Mapping[str, IPv4Network]) -> str:
    """Make the table with the chains of these bridges, or bring their rules up to date.

    Elements of the maps and other bridges' chains stay, and no packet sees a gap.
    """
    table = table_name(suite)
    lines = [
        f"add table ip {table}",
        f"add map ip {table} {EXACT_MAP} {{ type inet_proto . ipv4_addr . inet_service : ipv4_addr . inet_service; }}",
        f"add map ip {table} {ANY_MAP} {{ type inet_proto . inet_service : ipv4_addr . inet_service; }}",
        f"add set ip {table} {_PROTOCOLS} {{ type inet_proto; }}",
        f"add element ip {table} {_PROTOCOLS} {{ tcp, udp, sctp }}",
    ]
    for hook in ("prerouting", "output"):
        lines += _chain(table, hook, hook, _DNAT)
    for bridge, subnet in bridges.items():
        for hook, rules in _bridge_rules(bridge, subnet).items():
            lines += _chain(table, f"{hook}_{bridge}", hook, rules)
    return "\n".join([*lines, *_without_shared_chains(table)]) + "\n"


def _without_shared_chains(table: str) -> list[str]:
    """Delete the chains that releases before had for their one bridge, whether they exist or not."""
    lines = []
    for hook in _BRIDGE_HOOKS:
        lines += [*_chain(table, hook, hook, ()), f"delete chain ip {table} {hook}"]
    return lines


def uninstall(suite: str, bridge: str) -> str:
    """Delete a bridge's chains, whether they exist or not."""
    table = table_name(suite)
    lines = [f"add table ip {table}"]
    for hook in _BRIDGE_HOOKS:
        lines += _chain(table, f"{hook}_{bridge}", hook, ())
        lines.append(f"delete chain ip {table} {hook}_{bridge}")
    return "\n".join(lines) + "\n"


def remove(suite: str) -> str:
    """Delete the table, whether it exists or not."""
    table = table_name(suite)
    return f"add table ip {table}\ndelete table ip {table}\n"


def _chain(table: str, name: str, hook: str, rules: Iterable[str]) -> list[str]:
    """A chain with exactly these rules."""
    made = f"add chain ip {table} {name} {{ {_HOOKS[hook]} }}"
    return [made, f"flush chain ip {table} {name}", *(f"add rule ip {table} {name} {rule}" for rule in rules)]
