"""Which bridges iptables' FORWARD chain drops, by the listing of nft, and the advice."""

from typing import Any

import pytest

from seaway_agent.network import forward_policy

ALL: dict[str, Any] = {"accept": None}
COUNTER: dict[str, Any] = {"counter": {"packets": 7, "bytes": 420}}
BRIDGES = ["swabc0", "br-0123456789ab"]


def by(key: str, name: object, op: str = "==") -> dict[str, Any]:
    return {"match": {"op": op, "left": {"meta": {"key": key}}, "right": name}}


def listing(*rules: list[Any], chain: str = "DOCKER-USER") -> dict[str, Any]:
    chains = [{"chain": {"name": name}} for name in {"FORWARD", chain}]
    return {"nftables": [{"metainfo": {}}, *chains, *({"rule": {"chain": chain, "expr": one}} for one in rules)]}


def both(name: object, *more: Any) -> list[list[Any]]:
    return [[by("iifname", name), *more, COUNTER, ALL], [by("oifname", name), *more, COUNTER, ALL]]


@pytest.mark.parametrize(
    ("rules", "left"),
    [
        ([], BRIDGES),
        (both("swabc0"), BRIDGES[1:]),
        (both("sw*"), BRIDGES[1:]),
        (both({"set": ["swabc0", "br-0123456789ab"]}), []),
        (both("swabc0", {"xt": {"type": "match", "name": "conntrack"}}), BRIDGES[1:]),
        (both("swabc0")[:1], BRIDGES),
        (both("docker0"), BRIDGES),
        ([[by("iifname", "docker0"), by("oifname", "swabc0", "!="), ALL]], BRIDGES),
        ([[by("iifname", "swabc0"), {"drop": None}], [by("oifname", "swabc0"), {"drop": None}]], BRIDGES),
        ([["an expression that nft can't show", ALL]], BRIDGES),
        ([[{"match": {"op": "in", "left": {"ct": {"key": "state"}}, "right": "established"}}, ALL]], BRIDGES),
        ([[COUNTER, ALL]], []),
    ],
)
def test_a_bridge_is_blocked_until_it_is_accepted_in_both_directions(rules: list[list[Any]], left: list[str]) -> None:
    assert forward_policy.blocked(listing(*rules), BRIDGES) == left
    assert forward_policy.blocked(listing(*rules, chain="FORWARD"), BRIDGES) == left
    assert forward_policy.blocked(listing(*rules, chain="DOCKER"), BRIDGES) == BRIDGES


def test_the_advice_is_a_command() -> None:
    assert forward_policy.warning("ip", listing(), BRIDGES).endswith(
        "Accept their bridges: for b in swabc0 br-0123456789ab; do"
        ' iptables -I DOCKER-USER -i "$b" -j ACCEPT; iptables -I DOCKER-USER -o "$b" -j ACCEPT; done'
    )
    without_docker = forward_policy.warning("ip6", listing(chain="FORWARD"), BRIDGES[:1])
    assert 'ip6tables -I FORWARD -i "$b" -j ACCEPT' in without_docker and "DOCKER-USER" not in without_docker


def test_of_many_bridges_some_are_named() -> None:
    text = forward_policy.warning("ip", listing(), [f"br-{number}" for number in range(20)])
    assert "br-7 and 12 more reach nothing outside this host" in text and "br-8" not in text
