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
    ("name", "value"), [(options.ENABLE_ICC, "maybe"), (options.HOST_BINDING, "localhost"), (options.HOST_IPV4, "::1")]
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
    for wrong in ({"pools": (Pool(subnet="10.1.0.7/24"),)}, {"options": {options.MTU: "large"}}):
        with pytest.raises(NetworkError, match="network front: "):
            network_spec(NetworkRecord(id="1" * 64, name="front", created_ns=1).model_copy(update=wrong))
