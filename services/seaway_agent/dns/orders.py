"""The messages between the agent and the resolver's process: JSON, one per datagram of a SEQPACKET socket.

A request has an `id`, under which the process replies, and names what to `do`. Apart from the standard library only
what the process may import is imported here.
"""

from collections.abc import Mapping, Sequence
from ipaddress import IPv4Address, IPv6Address
from typing import Any, Final

from seaway_agent.dns.port import ContainerNames, NamedEndpoint, Upstream

LISTENER_FD: Final = 3
"""The process's descriptor of the socket on which it accepts the agent."""
HOME_FD: Final = 4
"""The process's descriptor of the host's network namespace."""
MOST: Final = 1 << 20
"""The longest message, in bytes."""
FORM: Final = 1
"""The form of the messages. An agent replaces a process that speaks another one."""

HELLO, ATTACH, HAND_OVER, DETACH, SWEEP, COUNTS = "hello", "attach", "hand-over", "detach", "sweep", "counts"


def names_to_json(names: ContainerNames) -> dict[str, Any]:
    """What the resolver must know of a container, for a message."""
    return {
        "endpoints": [_endpoint_to_json(endpoint) for endpoint in names.endpoints],
        "upstreams": [list(upstream) for upstream in names.upstreams],
        "dotless_stay": names.dotless_stay,
    }


def names_from_json(words: Mapping[str, Any]) -> ContainerNames:
    """What the resolver must know of a container, from a message."""
    return ContainerNames(
        tuple(_endpoint_from_json(endpoint) for endpoint in words["endpoints"]),
        tuple(Upstream(*upstream) for upstream in words["upstreams"]),
        words["dotless_stay"],
    )


def _endpoint_to_json(endpoint: NamedEndpoint) -> Sequence[Any]:
    address, address6 = endpoint.address, endpoint.address6
    return (
        endpoint.network,
        endpoint.network_name,
        endpoint.names,
        str(address) if address is not None else "",
        str(address6) if address6 is not None else "",
        dict(endpoint.links),
        endpoint.internal,
    )


def _endpoint_from_json(words: Sequence[Any]) -> NamedEndpoint:
    network, network_name, names, address, address6, links, internal = words
    return NamedEndpoint(
        network,
        network_name,
        tuple(names),
        IPv4Address(address) if address else None,
        IPv6Address(address6) if address6 else None,
        links,
        internal,
    )
