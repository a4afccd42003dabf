from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

import pytest

from seaway_agent.network import options
from seaway_agent.network.errors import NetworkError
from seaway_agent.network.options import BridgeOptions, MacvlanOptions, bridge_options, macvlan_options
from seaway_agent.network.port import NetworkSpec, network_spec
from seaway_contracts.networks import NetworkRecord, Pool


def test_without_options_a_bridge_is_as_dockers() -> None:
    unknown = {"com.example.other": "1", options.BRIDGE_NAME: "", options.ENABLE_ICC: ""}
    assert bridge_options({}) == bridge_options(unknown) == BridgeOptions()
    assert (BridgeOptions().icc, BridgeOptions().masquerade) == (True, True)
    assert (options.mtu({}), options.interface_prefix({})) == (0, "eth")


def test_the_options_of_a_bridge() -> None:
    found = bridge_options(
        {
            options.BRIDGE_NAME: "br0",
            options.ENABLE_ICC: "false",
            options.ENABLE_MASQUERADE: "0",
            options.INHIBIT_IPV4: "T",
            options.HOST_BINDING: "127.0.0.1",
            options.HOST_IPV4: "10.0.0.5",
            options.HOST_IPV6: "fd09::5",
        }
    )
    source, source6 = IPv4Address("10.0.0.5"), IPv6Address("fd09::5")
    assert found == BridgeOptions("br0", False, False, True, "127.0.0.1", source, source6)
    assert bridge_options({options.HOST_BINDING: "0.0.0.0"}).host_binding == ""


@pytest.mark.parametrize(
    ("name", "value"),
    [
        (options.ENABLE_ICC, "maybe"),
        (options.HOST_BINDING, "localhost"),
        (options.HOST_IPV4, "::1"),
        (options.HOST_IPV6, 'fe80::1%" ; flush ruleset'),
    ],
)
def test_a_value_that_cannot_be_names_its_option(name: str, value: str) -> None:
    with pytest.raises(ValueError, match=f"invalid value for {name}: "):
        bridge_options({name: value})


def test_the_parent_of_a_macvlan_may_be_a_vlan() -> None:
    assert macvlan_options({}) == MacvlanOptions("", "bridge")
    assert macvlan_options({"parent": "eth0.50", "macvlan_mode": "vepa"}).vlan == ("eth0", 50)
    for parent in ("", "eth0", "eth0.", ".5", "eth0.0", "eth0.4095", "eth0.x"):
        assert MacvlanOptions(parent).vlan is None
    with pytest.raises(ValueError, match="'odd' is none of bridge, private"):
        macvlan_options({"macvlan_mode": "odd"})


def test_a_record_becomes_a_network_on_its_first_subnet_of_each_family() -> None:
    pools = (
        Pool(subnet="fd00:1::/64", gateway="fd00:1::1"),
        Pool(subnet="10.1.0.0/24", gateway="10.1.0.9"),
        Pool(subnet="10.2.0.0/24", gateway="10.2.0.1"),
    )
    record = NetworkRecord(id="1" * 64, name="front", created_ns=1, pools=pools, internal=True, options={"a": "b"})
    assert network_spec(record) == NetworkSpec(
        id="1" * 64,
        name="front",
        subnet=IPv4Network("10.1.0.0/24"),
        gateway=IPv4Address("10.1.0.9"),
        subnet6=IPv6Network("fd00:1::/64"),
        gateway6=IPv6Address("fd00:1::1"),
        internal=True,
        options={"a": "b"},
    )


def test_a_record_that_cannot_be_a_network_is_refused_by_its_name() -> None:
    for wrong in (
        {"pools": (Pool(subnet="10.1.0.7/24"),)},
        {"pools": (Pool(subnet="fd00::%eth0/64"),)},
        {"pools": (Pool(subnet="fd00::/64", gateway='fd00::1%" } ; flush ruleset'),)},
        {"id": "../../x"},
        {"options": {options.MTU: "large"}},
        {"options": {options.BRIDGE_NAME: "../all"}},
        {"options": {options.INTERFACE_PREFIX: "a/b"}},
        {"driver": "macvlan", "options": {options.PARENT: "../eth0"}},
    ):
        with pytest.raises(NetworkError, match="network front: "):
            network_spec(NetworkRecord(id="1" * 64, name="front", created_ns=1).model_copy(update=wrong))


@pytest.mark.parametrize(
    "name",
    ["a/b", "..", ".", "a b", "a\nb", "a\0b", "a:b", "br%d", "br*", 'br"', "br\\", "b" * 16, "ü" * 8, "\ud800"],
)
def test_a_name_that_no_interface_can_have_is_refused(name: str) -> None:
    """It would become part of a path below /proc/sys, of a netlink attribute or of a rule of nftables."""
    with pytest.raises(ValueError, match=f"invalid value for {options.BRIDGE_NAME}: .* is no name of an interface"):
        bridge_options({options.BRIDGE_NAME: name})
    with pytest.raises(ValueError, match="invalid value for parent: "):
        macvlan_options({"parent": name})
    with pytest.raises(ValueError, match=f"invalid value for {options.INTERFACE_PREFIX}: "):
        options.interface_prefix({options.INTERFACE_PREFIX: name})


def test_names_that_interfaces_can_have() -> None:
    for name in ("br0", "br-0123456789ab", "my_br.1@x", "b" * 15, "ü" * 7):
        assert bridge_options({options.BRIDGE_NAME: name}).name == name
    assert options.interface_prefix({options.INTERFACE_PREFIX: "p" * 11}) == "p" * 11
    with pytest.raises(ValueError, match="too long to begin"):
        options.interface_prefix({options.INTERFACE_PREFIX: "p" * 12})


@pytest.mark.parametrize("value", ["67", "65536", "-1", "1" * 30, "1400.0", "large"])
def test_an_mtu_is_in_a_range(value: str) -> None:
    assert [options.mtu({options.MTU: good}) for good in ("0", "68", "65535")] == [0, 68, 65535]
    with pytest.raises(ValueError, match=f"invalid value for {options.MTU}: "):
        options.mtu({options.MTU: value})
