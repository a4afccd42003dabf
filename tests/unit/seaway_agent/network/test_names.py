from ipaddress import IPv4Address

import pytest

from seaway_agent.network import names


def test_interface_names_fit_the_kernel() -> None:
    assert (names.interface(0), names.interface(12)) == ("eth0", "eth12")
    assert names.bridge_name("ab12cd") == "swab12cd0"
    assert names.bridge_name("ab12cd", "0123456789abcdef") == "swab12cd0123456"
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


def test_a_suite_knows_its_own_bridges_only() -> None:
    default, other = names.bridge_name("ab"), names.bridge_name("ab", "0" * 64)
    assert names.is_bridge("ab", default)
    assert names.is_bridge("ab", other)
    assert not [name for name in (default, other) if names.is_bridge("ab0", name) or names.is_bridge("a", name)]
    assert not names.is_bridge("ab", names.bridge_name("ab12cd", "0" * 64))
    assert not names.is_bridge("ab", "swab1")


def test_stale_groups_differ_and_are_not_the_default_group() -> None:
    groups = {names.stale_group(suite) for suite in ("0", "ab12cd", "zzzzzz", "ffffff")}
    assert len(groups) == 4
    assert all(0 < group < 1 << 31 for group in groups)


def test_mac_is_derived_from_the_address_as_docker_does() -> None:
    assert names.mac_of(IPv4Address("172.17.0.2")) == "02:42:ac:11:00:02"
