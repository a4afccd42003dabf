"""Bridges whose packets another program's firewall drops: iptables' FORWARD chain with the policy drop. Pure.

A Docker on the same machine sets that policy. A packet passes only if every table's chains accept it, so the rules of
`ruleset` can't help: the host's owner must accept the bridges there.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Final

CHAIN: Final = "FORWARD"
TABLE: Final = "filter"
_USER_CHAIN: Final = "DOCKER-USER"
_COMMANDS: Final = {"ip": "iptables", "ip6": "ip6tables"}
_HARMLESS: Final = frozenset({"accept", "counter", "log"})
_SHOWN: Final = 8


def blocked(listing: Mapping[str, Any], bridges: Iterable[str]) -> list[str]:
    """The bridges that no rule accepts in both directions. `listing`: the table, as ``nft -j list table`` shows it.

    A rule counts if it names the bridge, whatever else it asks for, or if it accepts everything.
    """
    found = [one["rule"]["expr"] for one in listing["nftables"] if _in_chains(one.get("rule"))]
    accepting = [expressions for expressions in found if any("accept" in one for one in expressions)]
    return [
        bridge
        for bridge in bridges
        if not all(any(_accepts(rule, key, bridge) for rule in accepting) for key in ("iifname", "oifname"))
    ]


def warning(family: str, listing: Mapping[str, Any], bridges: list[str]) -> str:
    """What to do for these blocked bridges. `family`: `ip` or `ip6`."""
    command, shown = _COMMANDS[family], bridges[:_SHOWN]
    chains = {one["chain"]["name"] for one in listing["nftables"] if "chain" in one}
    insert = f"{command} -I {_USER_CHAIN if _USER_CHAIN in chains else CHAIN}"
    those = ", ".join(shown) + (f" and {len(bridges) - _SHOWN} more" if len(bridges) > _SHOWN else "")
    return (
        f"the policy of the chain {CHAIN} of {command} is DROP (Docker sets it), so containers on {those}"
        " reach nothing outside this host, and nothing outside reaches their published ports. Accept their bridges: "
        f'for b in {" ".join(shown)}; do {insert} -i "$b" -j ACCEPT; {insert} -o "$b" -j ACCEPT; done'
    )


def _in_chains(rule: Mapping[str, Any] | None) -> bool:
    return rule is not None and rule["chain"] in (CHAIN, _USER_CHAIN)


def _accepts(rule: Iterable[Mapping[str, Any]], key: str, bridge: str) -> bool:
    """Whether a rule that accepts names the bridge under this key, or has no condition."""
    conditions = [one for one in rule if not _HARMLESS & set(one)]
    return not conditions or any(_names(one["match"], key, bridge) for one in conditions if "match" in one)


def _names(match: Mapping[str, Any], key: str, bridge: str) -> bool:
    if match.get("op") != "==" or match.get("left") != {"meta": {"key": key}}:
        return False
    right = match["right"]
    names = right["set"] if isinstance(right, dict) and "set" in right else [right]
    return any(name == bridge or (str(name).endswith("*") and bridge.startswith(str(name)[:-1])) for name in names)
