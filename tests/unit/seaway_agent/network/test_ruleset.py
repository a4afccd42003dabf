from ipaddress import IPv4Network

from seaway_agent.network import ruleset

BRIDGES = {"swab12cd0": IPv4Network("172.18.0.0/16"), "swab12cd0123456": IPv4Network("10.1.0.0/24")}


def test_rules_are_renewed_in_place_and_maps_are_never_flushed() -> None:
    lines = ruleset.install("ab12cd", BRIDGES).splitlines()
    assert lines[0] == "add table ip seaway_ab12cd"
    assert not [line for line in lines if line.startswith(("flush map", "flush table", "flush ruleset"))]
    former = [f"delete chain ip seaway_ab12cd {hook}" for hook in ("raw", "postrouting", "forward")]
    assert [line for line in lines if line.startswith("delete")] == former
    own = [f"{hook}_{bridge}" for bridge in BRIDGES for hook in ("raw", "postrouting", "forward")]
    for chain in ("prerouting", "output", *own):
        [flush] = [at for at, line in enumerate(lines) if line == f"flush chain ip seaway_ab12cd {chain}"]
        assert lines[flush - 1].startswith(f"add chain ip seaway_ab12cd {chain} ")
        assert lines[flush + 1].startswith(f"add rule ip seaway_ab12cd {chain} ")


def test_no_rule_has_an_anonymous_set() -> None:
    lines = ruleset.install("ab12cd", BRIDGES).splitlines()
    assert not [line for line in lines if line.startswith("add rule") and "{" in line]


def test_only_the_own_table_is_named() -> None:
    text = ruleset.install("ab12cd", BRIDGES) + ruleset.remove("ab12cd") + ruleset.uninstall("ab12cd", "swab12cd0")
    assert all(" ip seaway_ab12cd" in line for line in text.splitlines())


def test_loopback_of_the_host_is_guarded() -> None:
    for bridge in BRIDGES:
        assert f'iifname "{bridge}" ip daddr 127.0.0.0/8 drop' in ruleset.install("ab12cd", BRIDGES)


def test_a_bridge_goes_without_the_others_noticing() -> None:
    lines = ruleset.uninstall("ab12cd", "swab12cd0123456").splitlines()
    assert all("swab12cd0123456" in line for line in lines[1:])
    assert [line.split()[-1] for line in lines if line.startswith("delete chain")] == [
        "raw_swab12cd0123456", "postrouting_swab12cd0123456", "forward_swab12cd0123456",
    ]  # fmt: skip
