"""What the resolver must know survives the message."""

import json
from ipaddress import IPv4Address, IPv6Address

from seaway_agent.dns.orders import names_from_json, names_to_json
from seaway_agent.dns.port import ContainerNames, NamedEndpoint, Upstream


def test_names_survive_the_message() -> None:
    full = NamedEndpoint("id", "net", ("a", "b"), IPv4Address("10.0.0.1"), IPv6Address("fd00::1"), {"x": "a"}, True)
    names = ContainerNames((full, NamedEndpoint("id2", "net2")), (Upstream("1.1.1.1", True),), True)
    assert names_from_json(json.loads(json.dumps(names_to_json(names)))) == names


def test_a_container_with_internal_networks_alone_does_not_forward() -> None:
    internal, open_one = NamedEndpoint("a", "a", internal=True), NamedEndpoint("b", "b")
    assert not ContainerNames((internal,)).forwards
    assert not ContainerNames(()).forwards
    assert ContainerNames((internal, open_one)).forwards
