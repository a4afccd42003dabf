from ipaddress import IPv4Address

import pytest

from seaway_agent.network import names


def test_interface_names_fit_the_kernel() -> None:
    assert names.free_interface("eth", ()) == "eth0"
    assert names.free_interface("net", ("net0", "eth1", "net2")) == "net1"
    assert names.default_bridge("ab12cd") == "swab12cd0"
    assert names.bridge_names("ab12cd", "0123456789abcdef") == ("br-0123456789ab", "swab12cd0123456")
    assert names.parent_names("ab12cd", "0123456789abcdef") == ("dm-0123456789ab", "dmab12cd0123456")
    assert [names.peer_of_parent(name) for name in ("dm-0123456789ab", "dmab12cd0")] == ["dp-0123456789ab", "dpab12cd0"]
    assert len(names.host_veth("ab12cd", 0xFFFFFFFF)) == 15
    assert names.host_veth("ab12cd", 1 << 32) == names.host_veth("ab12cd", 0)


@pytest.mark.parametrize("suite", ["", "toolong", "UPPER1", "a-b", "a b", "ü"])
def test_bad_suite_is_refused(suite: str) -> None:
    with pytest.raises(ValueError, match="network suite"):
        names.check_suite(suite)


def test_a_suite_knows_its_own_veths_only() -> None:
    mine = names.host_veth("ab", 7)
    assert names.is_host_veth("ab", mine)
    assert not names.is_host_veth("ab12", mine)
    assert not names.is_host_veth("ab", names.host_veth("ab12", 7))
    assert not names.is_host_veth("ab", "vethab00000007")


def test_an_alias_tells_suite_and_network() -> None:
    assert names.alias_owner(names.alias("ab12", "0f" * 32)) == ("ab12", "0f" * 32)
    for other in ("", "seaway", "uplink to seaway ab12 0f", "seaway AB 0f", "seaway ab12 0f "):
        assert names.alias_owner(other) is None


def test_stale_groups_differ_and_are_not_the_default_group() -> None:
    groups = {names.stale_group(suite) for suite in ("0", "ab12cd", "zzzzzz", "ffffff")}
    assert len(groups) == 4
    assert all(0 < group < 1 << 31 for group in groups)


def test_mac_is_derived_from_the_address_as_docker_does() -> None:
    assert names.mac_of(IPv4Address("172.17.0.2")) == "02:42:ac:11:00:02"
