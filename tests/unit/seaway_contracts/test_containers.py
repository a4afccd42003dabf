"""A container's networking: whose sandbox it is in, in which networks, with which ports of the host."""

import pytest

from seaway_contracts.containers import ContainerNetworking, EndpointSpec, Link, PortBinding
from seaway_contracts.networks import network_id


def endpoint(name: str, *links: str) -> EndpointSpec:
    return EndpointSpec(network=name, links=tuple(Link(container=one * 64, name=one, alias=one) for one in links))


@pytest.mark.parametrize(
    ("networking", "partner", "networks"),
    [
        (ContainerNetworking(), "", ("none",)),
        (ContainerNetworking(sandbox="host"), "", ("host",)),
        (ContainerNetworking(sandbox="container:abc"), "abc", ()),
        (ContainerNetworking(endpoints=(endpoint("bridge"),)), "", ("bridge",)),
        (ContainerNetworking(endpoints=(endpoint("back"), endpoint("front"))), "", ("back", "front")),
    ],
)
def test_sandbox_and_networks(networking: ContainerNetworking, partner: str, networks: tuple[str, ...]) -> None:
    assert (networking.partner, networking.networks) == (partner, networks)


def test_the_links_of_all_endpoints() -> None:
    networking = ContainerNetworking(endpoints=(endpoint("back", "a"), endpoint("front", "b", "c")))
    assert [link.name for link in networking.links] == ["a", "b", "c"]


def test_host_ports_that_are_fixed() -> None:
    texts = ("80", "", "0", "8000-8010")
    ports = tuple(PortBinding(container_port=1, host_port=text) for text in texts)
    assert ContainerNetworking(ports=ports).fixed_host_ports == (80,)


def test_ids_of_networks_are_stable_and_differ() -> None:
    ids = {network_id(name) for name in ("bridge", "host", "none")}
    assert (len(ids), {len(found) for found in ids}) == (3, {64})
    assert network_id("bridge") == network_id("bridge")
