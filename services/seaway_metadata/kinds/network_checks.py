"""What the record of a network may say, whether a user or a node sends it, and what nodes say of subnets. Pure."""

from collections.abc import Iterable, Iterator
from ipaddress import ip_network
from itertools import islice
from typing import Final

from seaway_contracts.docker_errors import no_such_plugin
from seaway_contracts.errors import Code, SeawayError, bad_request
from seaway_contracts.ids import is_network_id
from seaway_contracts.networks import DRIVERS, NetworkRecord
from seaway_contracts.nodes import MOST_ROUTES, NodeFacts
from seaway_metadata.kinds.networks import NETWORK_NAMES, NETWORKS, predefined
from seaway_metadata.kinds.subnets import Subnet, parse_subnet

_MOST_BYTES: Final = 56 << 10
"""As for the labels of a container, so that many records fit in a message."""
_MOST_NUMBER: Final = 1 << 63
_MOST_VERSION: Final = 1 << 31
_SHORTEST: Final = {4: 8, 6: 16}
"""Shorter prefixes are ignored or refused where a node says them: few of them would take all addresses."""


def check_network(network: NetworkRecord) -> None:
    """Raise SeawayError for an id, name or driver that no network can have."""
    if not is_network_id(network.id):
        raise bad_request(f"{network.id!r} is no network id: use 64 hex digits")
    if not NETWORK_NAMES.fits(network.name):
        raise bad_request(f"the network name must have 1 to {NETWORK_NAMES.most_bytes} bytes")
    if predefined(network.name) == network.name:
        text = f"operation is not permitted on predefined {network.name} network"
        raise SeawayError(Code.FORBIDDEN, text)
    if network.driver not in DRIVERS:
        raise no_such_plugin(network.driver)
    if not 0 <= network.created_ns < _MOST_NUMBER:
        raise bad_request(f"{network.created_ns} is no time of creation in Unix ns")


def check_size(network: NetworkRecord) -> None:
    """Raise SeawayError (TOO_LARGE) for a record that is too large."""
    size = len(NETWORKS.json(network, b""))
    if size > _MOST_BYTES:
        raise SeawayError(
            Code.TOO_LARGE,
            f"network {network.name} is described by {size} bytes and may be by {_MOST_BYTES} at most: "
            "make its labels or options smaller",
        )


def check_held(network: NetworkRecord) -> None:
    """Raise SeawayError for what a node says that it has and that no user's network can be."""
    check_network(network)
    check_size(network)
    if not 0 < network.version < _MOST_VERSION:
        raise bad_request(f"{network.version} is no version of a network's record")
    subnets = [parse_subnet(pool.subnet) for pool in network.pools]
    if network.config_only or not any(subnet.version == 4 for subnet in subnets):
        raise bad_request("a node has only networks with IPv4 addresses")
    if not all(pool.gateway for pool in network.pools):
        raise bad_request("a network that is on a node has gateways")
    for subnet in subnets:
        if subnet.prefixlen < _SHORTEST[subnet.version]:
            raise bad_request(f"the subnet {subnet} is too large")


def taken_on_hosts(network: NetworkRecord, hosts: Iterable[NodeFacts]) -> Iterator[Subnet]:
    """The subnets that a network can't have because these hosts have them.

    None for a macvlan whose subnet the user gives: it is that of the hosts' own segment.
    """
    if network.driver != "macvlan" or not any(pool.subnet for pool in network.pools):
        for facts in hosts:
            yield from _host_subnets(facts)


def _host_subnets(facts: NodeFacts) -> Iterator[Subnet]:
    """The destinations of a host's routes, and the subnet of its default bridge. What is none is ignored."""
    for text in (facts.bridge.subnet, *islice(facts.routes, MOST_ROUTES)):
        try:
            subnet = ip_network(text, strict=False)
        except ValueError:
            continue
        if subnet.prefixlen >= _SHORTEST[subnet.version]:
            yield subnet
