"""Networks, endpoints and containers that run, for the suite of networks."""

from collections.abc import Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Network
from typing import Any

from tests.conformance.network.worlds import World

from seaway_agent.network.port import DEFAULT_NETWORK, EndpointInfo, EndpointRequest, NetworkSpec

ONE, TWO, THREE = ("1" * 64, "2" * 64, "3" * 64)
ON_DEFAULT = EndpointRequest(DEFAULT_NETWORK)


IDS = {name: f"{ord(name[0]):02x}" * 32 for name in ("front", "back", "above")}
PREFIXES = {"front": IPv6Network("fd00:1::/64"), "back": IPv6Network("fd00:2::/64")}


def spec(world: World, name: str, subnet: str, *, ipv6: bool = False, **named: Any) -> NetworkSpec:
    """A network whose gateways are the first addresses."""
    network, subnet6 = IPv4Network(subnet), PREFIXES[name] if ipv6 else None
    gateway6 = subnet6[1] if subnet6 is not None else None
    return NetworkSpec(IDS[name], name, world.driver, network, network[1], subnet6, gateway6, **named)


async def make(world: World, *, ipv6: bool = False) -> tuple[NetworkSpec, NetworkSpec]:
    """Two networks, front and back."""
    front, back = spec(world, "front", "10.1.0.0/24", ipv6=ipv6), spec(world, "back", "10.2.0.0/24", ipv6=ipv6)
    return await world.networks.make(front), await world.networks.make(back)


def at(
    network: str, last: int, mac: str | None = None, *, ipv6: bool = False, gateway_priority: int = 0
) -> EndpointRequest:
    third = {"front": 1, "back": 2, "above": 3}[network]
    address6 = PREFIXES[network][last] if ipv6 else None
    return EndpointRequest(IDS[network], IPv4Address(f"10.{third}.0.{last}"), address6, mac, gateway_priority)


def again(endpoint: EndpointInfo, gateway_priority: int = 0) -> EndpointRequest:
    """What a later agent asks for to take over an endpoint."""
    return EndpointRequest(endpoint.network, endpoint.address, endpoint.address6, endpoint.mac, gateway_priority)


async def run(
    world: World, container: str, requests: Sequence[EndpointRequest]
) -> tuple[int, tuple[EndpointInfo, ...]]:
    """A container that runs: its pid and endpoints."""
    sandbox = await world.networks.join(container, requests)
    return await world.start(container, sandbox), sandbox.endpoints


async def stop(world: World, pid: int, container: str) -> None:
    await world.end(pid)
    await world.networks.leave(container)


async def remove(world: World, *names: str) -> None:
    for name in names or ("front", "back"):
        await world.networks.remove(IDS[name])
