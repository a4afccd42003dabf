from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

import pytest

from seaway_agent.network import ruleset
from seaway_agent.network.ruleset import BridgeRules

SUBNET, SUBNET6 = IPv4Network("10.1.0.0/24"), IPv6Network("fd00::/64")
DEFAULT, BACK = BridgeRules("swab12cd0", IPv4Network("172.18.0.0/16")), BridgeRules("br-0123456789ab", SUBNET, SUBNET6)
SHUT = BridgeRules("br-00", IPv4Network("10.2.0.0/24"), IPv6Network("fd01::/64"), internal=True, icc=False)


def lines(*bridges: BridgeRules, only: bool = False, ipv6: bool = True) -> list[str]:
    return ruleset.install("ab12cd", bridges, ipv6=ipv6, only=only).splitlines()


def test_rules_are_renewed_in_place_and_maps_are_never_flushed() -> None:
    made = lines(DEFAULT, BACK)
    assert made[0] == "add table ip seaway_ab12cd"
    assert not [
        line
        for line in made
        if line.startswith(("flush map ip seaway_ab12cd published", "flush table", "flush ruleset", "delete"))
    ]
    for family in ("ip", "ip6"):
        for chain in ("prerouting", "output", "within", "inbound", "forward", "postrouting"):
            [flush] = [at for at, line in enumerate(made) if line == f"flush chain {family} seaway_ab12cd {chain}"]
            assert made[flush + 1].startswith(f"add rule {family} seaway_ab12cd {chain} ")


def test_the_users_chain_is_made_and_never_touched_again() -> None:
    theirs = [line for line in lines(BACK, only=True) if line.endswith(" user") and "jump" not in line]
    assert theirs == ["add chain ip seaway_ab12cd user", "add chain ip6 seaway_ab12cd user"]
    forward = [line for line in lines(BACK) if line.startswith("add rule") and " forward " in line]
    assert [line.split(" forward ")[1] for line in (forward[0], forward[5])] == ["jump user", "jump user"]


def test_rules_are_as_many_for_any_number_of_networks() -> None:
    def rules(*bridges: BridgeRules) -> list[str]:
        return [line for line in lines(*bridges) if line.startswith("add rule")]

    assert rules(BACK) == rules(BACK, SHUT, DEFAULT)


def test_no_rule_has_an_anonymous_set() -> None:
    assert not [line for line in lines(DEFAULT, BACK, SHUT) if line.startswith("add rule") and "{" in line]


def test_only_the_own_tables_are_named() -> None:
    text = ruleset.install("ab12cd", [BACK], ipv6=True) + ruleset.remove("ab12cd", ipv6=True)
    assert all(" ip seaway_ab12cd" in line or " ip6 seaway_ab12cd" in line for line in text.splitlines())


def test_without_ipv6_there_is_one_table() -> None:
    assert not [line for line in lines(DEFAULT, ipv6=False) if "ip6" in line]
    assert not [line for line in lines(DEFAULT, BACK) if "ip6" in line and DEFAULT.bridge in line]


@pytest.mark.parametrize(
    ("bridge", "sets"),
    [
        (DEFAULT, {"bridges", "masqueraded"}),
        (BridgeRules("br-00", SUBNET, masquerade=False), {"bridges"}),
        (BridgeRules("br-00", SUBNET, icc=False), {"bridges", "masqueraded", "closed"}),
        (BridgeRules("br-00", SUBNET, internal=True), {"bridges", "internal"}),
    ],
)
def test_a_bridge_is_in_the_sets_of_what_it_is(bridge: BridgeRules, sets: set[str]) -> None:
    assert set(bridge.elements("ip")) == {*sets, "within", "sources"}
    assert bridge.elements("ip6") == {}


def test_a_removed_bridge_leaves_the_others_theirs() -> None:
    made = lines(DEFAULT, only=True)
    first = min(at for at, line in enumerate(made) if line.startswith("add element") and DEFAULT.bridge in line)
    assert made[first - 1] == "flush map ip seaway_ab12cd leaving"
    flushed = {line.split()[-1] for line in made if line.startswith(("flush set ip6", "flush map ip6"))}
    assert flushed == {"bridges", "internal", "closed", "masqueraded", "within", "sources", "leaving"}


def test_containers_may_leave_with_a_particular_address() -> None:
    bridge = BridgeRules("br-00", SUBNET, SUBNET6, source=IPv4Address("10.0.0.5"), source6=IPv6Address("fd09::5"))
    assert [bridge.elements(family)["leaving"] for family in ("ip", "ip6")] == [
        '"br-00" : 10.0.0.5',
        '"br-00" : fd09::5',
    ]
