from ipaddress import IPv4Network

from seaway_agent.network import ruleset

SUBNET = IPv4Network("172.18.0.0/16")


def test_rules_are_renewed_in_place_and_maps_are_never_flushed() -> None:
    lines = ruleset.install("ab12cd", "swab12cd0", SUBNET).splitlines()
    assert lines[0] == "add table ip seaway_ab12cd"
    assert not [line for line in lines if line.startswith(("delete", "flush map", "flush table", "flush ruleset"))]
    for chain in ("raw", "prerouting", "output", "postrouting", "forward"):
        [flush] = [at for at, line in enumerate(lines) if line == f"flush chain ip seaway_ab12cd {chain}"]
        assert lines[flush - 1].startswith(f"add chain ip seaway_ab12cd {chain} ")
        assert lines[flush + 1].startswith(f"add rule ip seaway_ab12cd {chain} ")


def test_no_rule_has_an_anonymous_set() -> None:
    lines = ruleset.install("ab12cd", "swab12cd0", SUBNET).splitlines()
    assert not [line for line in lines if line.startswith("add rule") and "{" in line]


def test_only_the_own_table_is_named() -> None:
    text = ruleset.install("ab12cd", "swab12cd0", SUBNET) + ruleset.remove("ab12cd")
    assert all(" ip seaway_ab12cd" in line for line in text.splitlines())


def test_loopback_of_the_host_is_guarded() -> None:
    assert 'iifname "swab12cd0" ip daddr 127.0.0.0/8 drop' in ruleset.install("ab12cd", "swab12cd0", SUBNET)
