"""Create bodies of networks: what becomes of them, and for which they are refused, in the words of dockerd 26.1."""

from typing import Any

import pytest

from seaway_api.translate.networks import network_json, network_record
from seaway_contracts.errors import SeawayError
from seaway_contracts.networks import NetworkRecord, Pool
from seaway_docker.errors import InvalidParameter
from seaway_docker.go_json import read_body
from seaway_docker.model_network import NetworkCreate

CONFIG_FROM = {"ConfigFrom": {"Network": "cfg"}}
OWN_CONFIG = "user specified configurations are not supported if the network depends on a configuration network"
OPERATOR = "configuration network can only contain network specific fields. Network operator fields like "


def record(**body: Any) -> NetworkRecord:
    return network_record(read_body(NetworkCreate, {"Name": "own"} | body), "a" * 64, 1)


def refused(**body: Any) -> tuple[int, str]:
    try:
        record(**body)
    except InvalidParameter as error:
        return 400, str(error)
    except SeawayError as error:
        return error.status, error.message
    raise AssertionError("it was accepted")


def pools(*subnets: str, **more: Any) -> dict[str, Any]:
    return {"IPAM": {"Config": [{"Subnet": subnet, **more} for subnet in subnets]}}


@pytest.mark.parametrize(
    ("body", "status", "text"),
    [
        ({"Name": ""}, 400, "invalid name: "),
        ({"Name": "  "}, 400, "invalid name:   "),
        ({"Name": "x" * 256}, 400, "invalid name: it has 256 bytes, at most 255 are possible"),
        ({"Name": "bridge"}, 403, "operation is not permitted on predefined bridge network "),
        ({"Name": "default"}, 403, "operation is not permitted on predefined default network "),
        ({"Driver": "nope"}, 404, 'plugin "nope" not found'),
        ({"Driver": "host"}, 403, 'only one instance of "host" network is allowed'),
        ({"Driver": "null"}, 403, 'only one instance of "null" network is allowed'),
        ({"Driver": "overlay"}, 403, "This node is not a swarm manager."),
        ({"Scope": "swarm"}, 403, "cannot create a swarm scoped network when swarm is not active"),
        ({"Ingress": True}, 403, "Ingress network can only be global scope network"),
        ({"EnableIPv4": False}, 400, "IPv4 can't be disabled: each network has IPv4 addresses"),
        ({"IPAM": {"Driver": "nope"}}, 404, 'plugin "nope" not found'),
        ({"IPAM": {"Driver": "null"}}, 400, "ipv4 pool is empty"),
        (pools("10.3.0.5/24"), 400, "invalid network config:\ninvalid subnet 10.3.0.5/24: it should be 10.3.0.0/24"),
        (pools("10.3.0.0/24", "10.4.0.0/24"), 403, "bridge driver doesn't support multiple subnets"),
        (pools("10.3.0.0/24", "10.4.0.0/24") | {"Driver": "macvlan"}, 403, "macvlan driver doesn't support multiple"),
        (pools("10.3.0.0/16", "10.3.4.0/24"), 403, "Pool overlaps with other one on this address space"),
        ({"Options": {"com.docker.network.bridge.enable_icc": "maybe"}}, 400,
         "failed to parse com.docker.network.bridge.enable_icc value: maybe (strconv.ParseBool: parsing"),
        ({"ConfigOnly": True, "Internal": True}, 403, OPERATOR),
        ({"ConfigOnly": True, "Attachable": True}, 403, OPERATOR),
        ({"ConfigOnly": True, "Ingress": True}, 403, OPERATOR),
        ({"ConfigOnly": True, "Scope": "local"}, 403, OPERATOR),
        ({"ConfigOnly": True} | CONFIG_FROM, 403, "a configuration network cannot depend on another configuration"),
        ({"ConfigOnly": True, "Options": {"macvlan_mode": "odd"}}, 400, "requested macvlan mode 'odd' is not valid"),
        (CONFIG_FROM | {"EnableIPv6": True}, 403, OWN_CONFIG),
        (CONFIG_FROM | {"Labels": {"a": "b"}}, 403, OWN_CONFIG),
        (CONFIG_FROM | {"IPAM": {"Options": {"a": "b"}}}, 403, OWN_CONFIG),
        (CONFIG_FROM | pools("10.3.0.0/24"), 403, OWN_CONFIG),
        (CONFIG_FROM | {"Options": {"a": "b"}}, 403, "network driver options are not supported if the network depends"),
    ],
)  # fmt: skip
def test_refusals(body: dict[str, Any], status: int, text: str) -> None:
    found = refused(**body)
    assert (found[0], found[1][: len(text)]) == (status, text)


@pytest.mark.parametrize("name", ["a b", "a/b", "ü", "-", "x" * 255])
def test_odd_names_are_accepted(name: str) -> None:
    assert record(Name=name).name == name


def test_what_a_body_leaves_open() -> None:
    assert record() == NetworkRecord(id="a" * 64, name="own", created_ns=1)
    assert record(CheckDuplicate=True, Scope="local", EnableIPv4=True) == record()


def test_options_that_are_not_known_are_kept() -> None:
    assert record(Options={"my.option": "x", "parent": "eth0"}).options == {"my.option": "x", "parent": "eth0"}


def test_pools() -> None:
    config = {
        "Subnet": "10.3.0.0/24",
        "IPRange": "10.3.0.128/25",
        "Gateway": "10.3.0.254",
        "AuxiliaryAddresses": {"router": "10.3.0.253"},
    }
    six = {"Subnet": "fd00:3::/64"}
    made = record(IPAM={"Config": [config, six], "Options": {"o": "p"}}, EnableIPv6=True)
    first = Pool(subnet="10.3.0.0/24", range="10.3.0.128/25", gateway="10.3.0.254", auxiliary={"router": "10.3.0.253"})
    assert made.pools == (first, Pool(subnet="fd00:3::/64", gateway_asked=False))
    shown = network_json(made)["IPAM"]
    assert shown == {"Driver": "default", "Options": {"o": "p"}, "Config": [config, six]}


def test_without_ipv6_its_pools_are_left_out() -> None:
    assert [pool.subnet for pool in record(**pools("fd00:3::/64", "10.3.0.0/24")).pools] == ["10.3.0.0/24"]


def test_a_gateway_that_the_user_left_open_is_shown_only_with_a_subnet_that_he_left_open() -> None:
    chosen = Pool(subnet="172.18.0.0/16", gateway="172.18.0.1", subnet_asked=False)
    given = Pool(subnet="10.3.0.0/24", gateway="10.3.0.1", gateway_asked=False)
    shown = network_json(record().model_copy(update={"pools": (chosen, given)}))["IPAM"]["Config"]
    assert shown == [{"Subnet": "172.18.0.0/16", "Gateway": "172.18.0.1"}, {"Subnet": "10.3.0.0/24"}]


def test_a_configuration_network() -> None:
    made = record(ConfigOnly=True, Driver="nope", Labels={"a": "b"}, Options={"parent": "eth0"}, **pools("10.3.0.0/24"))
    assert (made.config_only, made.driver, made.options) == (True, "bridge", {"parent": "eth0"})
    shown = network_json(made)
    assert (shown["Driver"], shown["ConfigOnly"], shown["IPAM"]["Config"]) == (
        "null",
        True,
        [{"Subnet": "10.3.0.0/24"}],
    )
    user = record(Driver="macvlan", Internal=True, **CONFIG_FROM)
    assert (user.config_from, user.driver, user.internal) == ("cfg", "macvlan", True)
    assert network_json(user)["ConfigFrom"] == {"Network": "cfg"}
