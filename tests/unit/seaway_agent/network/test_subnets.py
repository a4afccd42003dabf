from ipaddress import IPv4Network, IPv6Network

import pytest

from seaway_agent.network import subnets
from seaway_agent.network.errors import SubnetError


def networks(*texts: str) -> list[IPv4Network]:
    return [IPv4Network(text) for text in texts]


def test_first_candidate_on_an_empty_host_in_spite_of_its_default_route() -> None:
    assert subnets.choose(networks("0.0.0.0/0")) == IPv4Network("172.18.0.0/16")


def test_larger_and_smaller_networks_of_the_host_are_avoided() -> None:
    assert subnets.choose(networks("172.18.5.0/24", "172.19.0.1/32")) == IPv4Network("172.20.0.0/16")
    assert subnets.choose(networks("172.16.0.0/12")) == IPv4Network("192.168.0.0/20")
    assert subnets.choose(networks("172.16.0.0/12", "192.168.1.0/24")) == IPv4Network("192.168.16.0/20")


def test_nothing_left() -> None:
    with pytest.raises(SubnetError, match="non-overlapping IPv4 address pool"):
        subnets.choose(networks("172.16.0.0/12", "192.168.0.0/16"))


def test_configured_subnet_must_not_overlap() -> None:
    subnets.check(IPv4Network("10.1.0.0/16"), networks("0.0.0.0/0", "10.2.0.0/16"))
    with pytest.raises(SubnetError, match=r"10\.1\.0\.0/16 overlaps the host's network 10\.1\.2\.0/24"):
        subnets.check(IPv4Network("10.1.0.0/16"), networks("10.1.2.0/24"))


def test_the_destinations_of_routes_are_the_hosts_own_networks() -> None:
    routes = ["0.0.0.0/0", "10.8.0.0/25", "10.8.0.128/25", "8.8.8.0/24", "169.254.0.0/16", "192.168.1.0/24"]
    routes6 = ["::/0", "fe80::/64", "ff00::/8", "fd00:2::/64", "2a00:1::/48"]
    found = subnets.destinations([*map(IPv4Network, routes), *map(IPv6Network, routes6)])
    assert found == ("10.8.0.0/24", "192.168.1.0/24", "fd00:2::/64")
