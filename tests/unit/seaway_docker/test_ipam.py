"""Address pools of networks; the sentences are those of dockerd 26.1."""

from typing import Any

import pytest

from seaway_docker.errors import InvalidParameter
from seaway_docker.go_json import read_body
from seaway_docker.ipam import are_overlapping, check_addresses, check_ipam, subnets
from seaway_docker.model_network import IPAM


def ipam(*pools: dict[str, Any]) -> IPAM:
    return read_body(IPAM, {"Config": list(pools)})


def four(**more: Any) -> dict[str, Any]:
    return {"Subnet": "10.3.0.0/24", **more}


def six(**more: Any) -> dict[str, Any]:
    return {"Subnet": "fd00:3::/64", **more}


@pytest.mark.parametrize(
    ("pools", "text"),
    [
        ([{}], "invalid subnet : invalid CIDR block notation"),
        ([{"Subnet": "10.3.0.0"}], "invalid subnet 10.3.0.0: invalid CIDR block notation"),
        ([{"Subnet": "10.3.0.0/33"}], "invalid subnet 10.3.0.0/33: invalid CIDR block notation"),
        ([{"Subnet": "10.3.0.0/024"}], "invalid subnet 10.3.0.0/024: invalid CIDR block notation"),
        ([{"Subnet": "10.3.0.0/255.255.0.0"}], "invalid subnet 10.3.0.0/255.255.0.0: invalid CIDR block notation"),
        ([{"Subnet": "10.3.0.5/24"}], "invalid subnet 10.3.0.5/24: it should be 10.3.0.0/24"),
        ([{"Subnet": "fd00:3::5/64"}], "invalid subnet fd00:3::5/64: it should be fd00:3::/64"),
        ([four(IPRange="x")], "invalid ip-range x: invalid CIDR block notation"),
        ([four(IPRange="fd00::/64")], "invalid ip-range fd00::/64: parent subnet is an IPv4 block"),
        ([four(IPRange="10.3.0.0/16")],
         "invalid ip-range 10.3.0.0/16: CIDR block is bigger than its parent subnet 10.3.0.0/24"),
        ([four(IPRange="10.3.0.7/25")], "invalid ip-range 10.3.0.7/25: it should be 10.3.0.0/25"),
        ([four(IPRange="10.4.0.0/25")],
         "invalid ip-range 10.4.0.0/25: parent subnet 10.3.0.0/24 doesn't contain ip-range"),
        ([four(Gateway="x")], "invalid gateway x: invalid address"),
        ([four(Gateway="fd00::1")], "invalid gateway fd00::1: parent subnet is an IPv4 block"),
        ([six(Gateway="10.3.0.1")], "invalid gateway 10.3.0.1: parent subnet is an IPv6 block"),
        ([four(Gateway="10.4.0.1")],
         "invalid gateway 10.4.0.1: parent subnet 10.3.0.0/24 doesn't contain this address"),
        ([four(AuxiliaryAddresses={"a": "10.4.0.1"})],
         "invalid auxiliary address a: parent subnet 10.3.0.0/24 doesn't contain this address"),
        ([four(Gateway="x"), {"Subnet": "y"}],
         "* invalid gateway x: invalid address\n* invalid subnet y: invalid CIDR block notation"),
    ],
)  # fmt: skip
def test_pools_that_can_not_be(pools: list[dict[str, Any]], text: str) -> None:
    with pytest.raises(InvalidParameter) as caught:
        check_ipam(ipam(*pools), ipv6=True)
    assert str(caught.value) == f"invalid network config:\n{text}"


@pytest.mark.parametrize(
    ("pool", "text"),
    [
        (four(Gateway="10.3.0.0"), "failed to allocate gateway (10.3.0.0): Address already in use"),
        (four(Gateway="10.3.0.255"), "failed to allocate gateway (10.3.0.255): Address already in use"),
        (four(Gateway="10.3.0.9", AuxiliaryAddresses={"a": "10.3.0.9"}),
         "failed to allocate secondary ip address (a:10.3.0.9): Address already in use"),
        (four(AuxiliaryAddresses={"a": "10.3.0.9", "b": "10.3.0.9"}),
         "failed to allocate secondary ip address (b:10.3.0.9): Address already in use"),
        (four(AuxiliaryAddresses={"a": "10.3.0.0"}),
         "failed to allocate secondary ip address (a:10.3.0.0): Address already in use"),
        ({"Subnet": "fd00::/128"}, "failed to allocate gateway (): no available addresses on this pool"),
    ],
)  # fmt: skip
def test_addresses_that_nobody_can_have(pool: dict[str, Any], text: str) -> None:
    check_ipam(ipam(pool), ipv6=True)
    with pytest.raises(InvalidParameter) as caught:
        check_addresses(ipam(pool), ipv6=True)
    assert str(caught.value) == text


@pytest.mark.parametrize(
    "pool",
    [
        four(IPRange="10.3.0.128/25", Gateway="10.3.0.1", AuxiliaryAddresses={"a": "10.3.0.2", "b": "10.3.0.129"}),
        {"Subnet": "10.3.0.0/31", "Gateway": "10.3.0.0"},
        {"Subnet": "10.3.0.1/32", "Gateway": "10.3.0.1"},
        six(Gateway="fd00:3::ffff"),
    ],
)
def test_pools_that_can_be(pool: dict[str, Any]) -> None:
    check_ipam(ipam(pool), ipv6=True)
    check_addresses(ipam(pool), ipv6=True)


def test_pools_of_ipv6_are_not_read_without_ipv6() -> None:
    pools = ipam(four(), {"Subnet": "fd00::5/64", "Gateway": "10.3.0.1"})
    check_ipam(pools, ipv6=False)
    check_addresses(pools, ipv6=False)
    assert [str(subnet) for subnet in subnets(pools, ipv6=False)] == ["10.3.0.0/24"]


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        (["10.3.0.0/16", "10.3.4.0/24"], True),
        (["10.3.0.0/24", "10.3.1.0/24"], False),
        (["10.3.0.0/24", "fd00::/64", "10.3.0.0/25"], True),
        (["::/0", "10.3.0.0/24"], False),
    ],
)
def test_overlapping_subnets(texts: list[str], expected: bool) -> None:
    found = subnets(ipam(*({"Subnet": text} for text in texts)))
    assert are_overlapping(found) is expected
