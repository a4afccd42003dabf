"""What all networks must do, whatever they are made of."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from itertools import pairwise
from typing import Any

import pytest
from tests.conformance.network.worlds import DEFAULT, World

from seaway_agent.network.errors import AddressError, NetworkError, SandboxGone, SubnetError
from seaway_agent.network.options import INTERFACE_PREFIX
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


# --- networks


async def test_a_network_is_there_until_it_is_removed(world: World) -> None:
    front, back = await make(world)
    assert front.gateway == IPv4Address("10.1.0.1")
    assert [network.name for network in world.networks.present()] == ["bridge", "front", "back"]
    assert world.networks.present()[1:] == (front, back)
    assert [world.networks.is_made(one) for one in (DEFAULT_NETWORK, front.id, "f" * 64)] == [True, True, False]
    await remove(world)
    assert not world.networks.is_made(front.id)
    await remove(world)
    assert [network.name for network in world.networks.present()] == ["bridge"]


async def test_the_gateway_may_be_told(world: World) -> None:
    wanted = replace(spec(world, "front", "10.1.0.0/24"), gateway=IPv4Address("10.1.0.9"))
    assert await world.networks.make(wanted) == wanted
    pid, _ = await run(world, ONE, [at("front", 2)])
    assert world.inside(pid).route == ("10.1.0.9", "eth0")
    with pytest.raises(AddressError, match="already in use"):
        await world.networks.join(TWO, [at("front", 9)])
    await stop(world, pid, ONE)
    await remove(world, "front")


async def test_making_it_again_changes_nothing(world: World) -> None:
    front, _ = await make(world)
    pid, endpoints = await run(world, ONE, [at("front", 7)])
    before = world.inside(pid)
    assert await world.networks.make(spec(world, "front", "10.1.0.0/24")) == front
    assert world.networks.endpoints(ONE) == endpoints
    assert world.inside(pid) == before
    await stop(world, pid, ONE)
    await remove(world)


async def test_an_id_stands_for_one_network(world: World) -> None:
    """A removed network may still be there when another one of its name is made."""
    front, _ = await make(world)
    with pytest.raises(SubnetError, match=r"network front has subnet 10\.1\.0\.0/24, not 10\.3\.0\.0/24"):
        await world.networks.make(spec(world, "front", "10.3.0.0/24"))
    namesake = replace(spec(world, "above", "10.3.0.0/24"), name="front")
    assert await world.networks.make(namesake) == namesake
    assert [network.name for network in world.networks.present()] == ["bridge", "front", "back", "front"]
    await world.networks.remove(front.id)
    pid, [endpoint] = await run(world, ONE, [at("above", 2)])
    assert (endpoint.network, endpoint.gateway) == (namesake.id, namesake.gateway)
    await stop(world, pid, ONE)
    await remove(world, "above", "back")


async def test_only_the_default_network_chooses_its_subnet(world: World) -> None:
    with pytest.raises(SubnetError, match="network front has no subnet"):
        await world.networks.make(NetworkSpec(IDS["front"], "front", world.driver))
    assert await world.networks.make(NetworkSpec(DEFAULT.id, DEFAULT.name)) == world.networks.present()[0]


async def test_a_network_with_endpoints_stays(world: World) -> None:
    await make(world)
    pid, _ = await run(world, ONE, [at("front", 2)])
    with pytest.raises(NetworkError, match="network front has active endpoints"):
        await world.networks.remove(IDS["front"])
    assert world.inside(pid).addresses == {"eth0": "10.1.0.2/24"}
    await stop(world, pid, ONE)
    await remove(world)


async def test_the_default_network_stays(world: World) -> None:
    with pytest.raises(NetworkError, match="network bridge is the node's own"):
        await world.networks.remove(DEFAULT_NETWORK)
    assert [network.name for network in world.networks.present()] == ["bridge"]


# --- joining


async def test_a_sandbox_without_endpoints_has_loopback_alone(world: World) -> None:
    pid, endpoints = await run(world, ONE, [])
    assert (endpoints, world.networks.endpoints(ONE)) == ((), ())
    assert (world.inside(pid).addresses, world.inside(pid).route) == ({}, None)
    await stop(world, pid, ONE)


async def test_the_default_network_chooses_addresses(world: World) -> None:
    pid, [endpoint] = await run(world, ONE, [ON_DEFAULT])
    other, [further] = await run(world, TWO, [ON_DEFAULT])
    assert (endpoint.network, endpoint.interface, endpoint.prefix_len) == (DEFAULT_NETWORK, "eth0", 24)
    assert (str(endpoint.address), str(further.address)) == ("172.30.0.2", "172.30.0.3")
    assert (endpoint.mac, endpoint.gateway) == ("02:42:ac:1e:00:02", IPv4Address("172.30.0.1"))
    found = world.inside(pid)
    assert (found.addresses, found.macs) == ({"eth0": "172.30.0.2/24"}, {"eth0": endpoint.mac})
    assert found.route == ("172.30.0.1", "eth0")
    await stop(world, pid, ONE)
    await stop(world, other, TWO)


@pytest.mark.parametrize("default_first", [True, False])
async def test_many_endpoints_in_one_call(world: World, default_first: bool) -> None:
    await make(world)
    requests = [at("front", 20), at("back", 30, "02:42:00:00:00:99")]
    requests.insert(0 if default_first else 2, ON_DEFAULT)
    pid, endpoints = await run(world, ONE, requests)
    assert [one.network for one in endpoints] == [request.network for request in requests]
    assert [one.interface for one in endpoints] == ["eth0", "eth1", "eth2"]
    assert world.networks.endpoints(ONE) == endpoints
    found = world.inside(pid)
    assert found.addresses == {one.interface: f"{one.address}/24" for one in endpoints}
    assert found.macs == {one.interface: one.mac for one in endpoints}
    assert {one.network: one.mac for one in endpoints}[IDS["back"]] == "02:42:00:00:00:99"
    back = next(one for one in endpoints if one.network == IDS["back"])
    assert found.route == ("10.2.0.1", back.interface), "the first network by name"
    await stop(world, pid, ONE)
    await remove(world)


async def test_a_fixed_address_is_one_containers(world: World) -> None:
    await make(world)
    pid, _ = await run(world, ONE, [at("front", 5)])
    with pytest.raises(AddressError, match="Address already in use"):
        await world.networks.join(TWO, [ON_DEFAULT, at("back", 5), at("front", 5)])
    assert world.networks.endpoints(TWO) == ()
    other, _ = await run(world, TWO, [EndpointRequest(DEFAULT_NETWORK, IPv4Address("172.30.0.2")), at("back", 5)])
    await stop(world, pid, ONE)
    later, _ = await run(world, ONE, [at("front", 5)])
    await stop(world, later, ONE)
    await stop(world, other, TWO)
    await remove(world)


@pytest.mark.parametrize(
    ("request_", "error", "text"),
    [
        (EndpointRequest("nowhere"), NetworkError, "network nowhere is not on this node"),
        (EndpointRequest(IDS["front"]), NetworkError, "an endpoint in network front needs an address"),
        (EndpointRequest(IDS["front"], IPv4Address("10.9.0.1")), AddressError, "does not belong to any of"),
        (EndpointRequest(IDS["front"], IPv4Address("10.1.0.1")), AddressError, "Address already in use"),
    ],
)
async def test_what_cannot_be_joined(
    world: World, request_: EndpointRequest, error: type[NetworkError], text: str
) -> None:
    await make(world)
    for requests in ([request_], [ON_DEFAULT, request_]):
        with pytest.raises(error, match=text):
            await world.networks.join(ONE, requests)
        assert world.networks.endpoints(ONE) == ()
    pid, [endpoint] = await run(world, ONE, [EndpointRequest(DEFAULT_NETWORK, IPv4Address("172.30.0.2"))])
    with pytest.raises(error, match=text):
        await world.networks.connect(ONE, request_)
    assert world.networks.endpoints(ONE) == (endpoint,)
    await stop(world, pid, ONE)
    await remove(world)


async def test_a_network_is_joined_once(world: World) -> None:
    with pytest.raises(NetworkError, match="has an endpoint in network bridge already"):
        await world.networks.join(ONE, [ON_DEFAULT, ON_DEFAULT])
    pid, [endpoint] = await run(world, ONE, [ON_DEFAULT])
    with pytest.raises(NetworkError, match="has an endpoint in network bridge already"):
        await world.networks.connect(ONE, ON_DEFAULT)
    with pytest.raises(NetworkError, match="has a sandbox already"):
        await world.networks.join(ONE, [])
    assert world.networks.endpoints(ONE) == (endpoint,)
    await stop(world, pid, ONE)


async def test_many_containers_at_once(world: World) -> None:
    await make(world)
    ids = [f"{number:064x}" for number in range(12)]
    joins = (world.networks.join(one, [ON_DEFAULT, at("back", 2 + number)]) for number, one in enumerate(ids))
    sandboxes = await asyncio.gather(*joins)
    assert len({sandbox.endpoints[0].address for sandbox in sandboxes}) == 12
    await asyncio.gather(*(world.networks.leave(one) for one in ids))
    await remove(world)


# --- while it runs


async def test_endpoints_come_and_go_while_it_runs(world: World) -> None:
    await make(world)
    pid, [first] = await run(world, ONE, [ON_DEFAULT])
    front = await world.networks.connect(ONE, at("front", 8))
    back = await world.networks.connect(ONE, at("back", 8, "02:42:00:00:00:77"))
    assert (front.interface, back.interface, back.mac) == ("eth1", "eth2", "02:42:00:00:00:77")
    assert world.networks.endpoints(ONE) == (first, front, back)
    found = world.inside(pid)
    assert found.addresses == {"eth0": "172.30.0.2/24", "eth1": "10.1.0.8/24", "eth2": "10.2.0.8/24"}
    assert (found.macs["eth2"], found.route) == (back.mac, ("10.2.0.1", "eth2"))
    await world.networks.disconnect(ONE, IDS["front"])
    await world.networks.disconnect(ONE, IDS["front"])
    assert world.networks.endpoints(ONE) == (first, back)
    assert set(world.inside(pid).addresses) == {"eth0", "eth2"}
    returned = await world.networks.connect(ONE, at("front", 8))
    assert returned.interface == "eth1"
    await stop(world, pid, ONE)
    await remove(world)


async def test_the_default_route_follows_the_networks_names(world: World) -> None:
    await make(world)
    pid, _ = await run(world, ONE, [at("front", 8)])
    assert world.inside(pid).route == ("10.1.0.1", "eth0")
    await world.networks.connect(ONE, at("back", 8))
    assert world.inside(pid).route == ("10.2.0.1", "eth1")
    await world.networks.connect(ONE, ON_DEFAULT)
    assert world.inside(pid).route == ("10.2.0.1", "eth1")
    await world.networks.disconnect(ONE, IDS["back"])
    assert world.inside(pid).route == ("172.30.0.1", "eth2")
    await world.networks.disconnect(ONE, DEFAULT_NETWORK)
    assert world.inside(pid).route == ("10.1.0.1", "eth0")
    await world.networks.disconnect(ONE, IDS["front"])
    assert (world.inside(pid).addresses, world.inside(pid).route) == ({}, None)
    await world.networks.connect(ONE, at("back", 9))
    assert world.inside(pid).route == ("10.2.0.1", "eth0")
    await stop(world, pid, ONE)
    await remove(world)


async def test_the_highest_gateway_priority_gets_the_default_route(world: World) -> None:
    await make(world)
    pid, _ = await run(world, ONE, [ON_DEFAULT, at("front", 8, gateway_priority=1), at("back", 8)])
    assert world.inside(pid).route == ("10.1.0.1", "eth1")
    await world.networks.disconnect(ONE, IDS["back"])
    await world.networks.connect(ONE, at("back", 9, gateway_priority=2))
    assert world.inside(pid).route == ("10.2.0.1", "eth2")
    await world.networks.disconnect(ONE, IDS["back"])
    assert world.inside(pid).route == ("10.1.0.1", "eth1")
    await world.networks.connect(ONE, at("back", 9, gateway_priority=-1))
    await world.networks.disconnect(ONE, IDS["front"])
    assert world.inside(pid).route == ("172.30.0.1", "eth0")
    await stop(world, pid, ONE)
    await remove(world)


@pytest.mark.parametrize("first", [0, 1])
async def test_an_internal_network_is_no_way_out(world: World, first: int) -> None:
    await world.networks.make(spec(world, "back", "10.2.0.0/24", ipv6=True, internal=True))
    await world.networks.make(spec(world, "front", "10.1.0.0/24"))
    requests = [at("back", 8, ipv6=True, gateway_priority=7), at("front", 8)]
    pid, endpoints = await run(world, ONE, requests[::-1] if first else requests)
    back = next(one for one in endpoints if one.network == IDS["back"])
    assert (back.gateway, back.gateway6) == (None, None)
    assert (world.inside(pid).route, world.inside(pid).route6) == (("10.1.0.1", f"eth{1 - first}"), None)
    await world.networks.disconnect(ONE, IDS["front"])
    assert world.inside(pid).route is None
    await stop(world, pid, ONE)
    await remove(world)


async def test_both_families(world: World) -> None:
    front, _ = await make(world, ipv6=True)
    await world.networks.make(spec(world, "above", "10.3.0.0/24"))
    assert (front.subnet6, front.gateway6) == (PREFIXES["front"], PREFIXES["front"][1])
    pid, [above, endpoint] = await run(world, ONE, [at("above", 2), at("front", 2, ipv6=True)])
    assert (str(endpoint.address6), endpoint.prefix_len6, endpoint.gateway6) == ("fd00:1::2", 64, front.gateway6)
    assert (above.address6, above.prefix_len6, above.gateway6) == (None, 0, None)
    found = world.inside(pid)
    assert found.addresses == {"eth0": "10.3.0.2/24", "eth1": "10.1.0.2/24"}
    assert found.addresses6 == {"eth1": "fd00:1::2/64"}
    assert (found.route, found.route6) == (("10.3.0.1", "eth0"), ("fd00:1::1", "eth1"))
    with pytest.raises(AddressError, match="Address already in use"):
        await world.networks.join(TWO, [replace(at("front", 3), address6=PREFIXES["front"][2])])
    await world.networks.connect(ONE, at("back", 2, ipv6=True))
    found = world.inside(pid)
    assert (found.addresses6["eth2"], found.route6, found.route) == (
        "fd00:2::2/64", ("fd00:2::1", "eth2"), ("10.3.0.1", "eth0"),
    )  # fmt: skip
    await world.networks.disconnect(ONE, IDS["back"])
    assert world.inside(pid).route6 == ("fd00:1::1", "eth1")
    await stop(world, pid, ONE)
    other, _ = await run(world, TWO, [replace(at("front", 3), address6=PREFIXES["front"][2])])
    await stop(world, other, TWO)
    await remove(world, "front", "back", "above")


@pytest.mark.parametrize(
    ("address6", "error", "text"),
    [
        (None, NetworkError, "an endpoint in network front needs an IPv6 address"),
        ("fd00:9::2", AddressError, "does not belong to any of this network's"),
        ("fd00:1::1", AddressError, "Address already in use"),
    ],
)
async def test_an_ipv6_address_that_cannot_be_had(
    world: World, address6: str | None, error: type[NetworkError], text: str
) -> None:
    await make(world, ipv6=True)
    wanted = IPv6Address(address6) if address6 is not None else None
    with pytest.raises(error, match=text):
        await world.networks.join(ONE, [replace(at("front", 2), address6=wanted)])
    pid, _ = await run(world, ONE, [at("front", 2, ipv6=True)])
    await stop(world, pid, ONE)
    await remove(world)


async def test_a_network_names_its_interfaces(world: World) -> None:
    await world.networks.make(spec(world, "front", "10.1.0.0/24", options={INTERFACE_PREFIX: "net"}))
    await world.networks.make(spec(world, "back", "10.2.0.0/24"))
    pid, endpoints = await run(world, ONE, [ON_DEFAULT, at("front", 2), at("back", 2)])
    assert [one.interface for one in endpoints] == ["eth0", "net0", "eth1"]
    assert set(world.inside(pid).addresses) == {"eth0", "net0", "eth1"}
    await world.networks.disconnect(ONE, IDS["front"])
    assert (await world.networks.connect(ONE, at("front", 2))).interface == "net0"
    await stop(world, pid, ONE)
    await remove(world)


async def test_a_refused_connect_leaves_nothing(world: World) -> None:
    await make(world)
    pid, _ = await run(world, ONE, [at("front", 8)])
    other, _ = await run(world, TWO, [ON_DEFAULT])
    before = world.inside(other)
    with pytest.raises(AddressError, match="Address already in use"):
        await world.networks.connect(TWO, at("front", 8))
    assert (world.inside(other), len(world.networks.endpoints(TWO))) == (before, 1)
    await stop(world, pid, ONE)
    await world.networks.connect(TWO, at("front", 8))
    await stop(world, other, TWO)
    await remove(world)


async def test_without_sandbox_or_process_there_is_nothing_to_connect(world: World) -> None:
    await make(world)
    with pytest.raises(NetworkError, match="has no sandbox on this node"):
        await world.networks.connect(ONE, at("front", 8))
    await world.networks.disconnect(ONE, IDS["front"])
    pid, _ = await run(world, ONE, [at("front", 8)])
    await world.end(pid)
    with pytest.raises(SandboxGone):
        await world.networks.connect(ONE, at("back", 8))
    await world.networks.disconnect(ONE, IDS["front"])
    other, _ = await run(world, TWO, [at("front", 8), at("back", 8)])
    await world.networks.leave(ONE)
    await stop(world, other, TWO)
    await remove(world)


# --- leaving


async def test_leaving_is_harmless(world: World) -> None:
    await world.networks.leave(THREE)
    world.networks.hand_over(THREE, 1)
    sandbox = await world.networks.join(ONE, [ON_DEFAULT])
    for _ in range(2):
        await world.networks.leave(ONE)
        assert world.networks.endpoints(ONE) == ()
    pid, [endpoint] = await run(world, ONE, [EndpointRequest(DEFAULT_NETWORK, sandbox.endpoints[0].address)])
    assert endpoint.address == sandbox.endpoints[0].address
    await stop(world, pid, ONE)


async def test_who_leaves_a_network_frees_its_address(world: World) -> None:
    await make(world)
    for before, after in pairwise((ONE, TWO, THREE)):
        pid, _ = await run(world, before, [at("front", 5), at("back", 5)])
        await world.networks.disconnect(before, IDS["back"])
        await world.networks.join(after, [at("back", 5)])
        await world.networks.leave(after)
        await stop(world, pid, before)
    await remove(world)


async def test_counters_by_container_and_interface(world: World) -> None:
    await make(world)
    assert not await world.networks.counters()
    pid, [_, front] = await run(world, ONE, [ON_DEFAULT, at("front", 5)])
    counters = await world.networks.counters()
    assert set(counters) == {ONE}
    assert set(counters[ONE]) == {"eth0", *(["eth1"] if front.host_interface else [])}
    await stop(world, pid, ONE)
    await remove(world)


# --- after the agent was killed


@pytest.mark.parametrize("ipv6", [False, True])
async def test_the_next_agent_takes_over_what_runs(world: World, ipv6: bool) -> None:
    await make(world, ipv6=ipv6)
    requests = [ON_DEFAULT, at("back", 6, ipv6=ipv6), at("front", 5, "02:42:00:00:00:55", ipv6=ipv6)]
    pid, _ = await run(world, ONE, requests)
    await world.networks.disconnect(ONE, IDS["back"])
    await world.networks.connect(ONE, at("back", 7, ipv6=ipv6))
    endpoints, before = world.networks.endpoints(ONE), world.inside(pid)
    bare, _ = await run(world, TWO, [])
    await world.reopen()
    assert world.networks.endpoints(ONE) == ()
    front, back = await make(world, ipv6=ipv6)
    assert world.networks.present()[1:] == (front, back)
    assert await world.networks.adopt(ONE, pid, [again(one) for one in endpoints]) == endpoints
    assert await world.networks.adopt(TWO, bare, []) == ()
    assert await world.networks.sweep() == []
    assert (world.networks.endpoints(ONE), world.inside(pid)) == (endpoints, before)
    with pytest.raises(AddressError, match="Address already in use"):
        await world.networks.join(THREE, [at("back", 7, ipv6=ipv6)])
    with pytest.raises(NetworkError, match="network back has active endpoints"):
        await world.networks.remove(IDS["back"])
    await world.networks.disconnect(ONE, IDS["back"])
    assert "eth1" not in world.inside(pid).addresses
    assert world.inside(pid).route == ("172.30.0.1", "eth0")
    assert world.inside(pid).route6 == (("fd00:1::1", "eth2") if ipv6 else None)
    await world.networks.connect(TWO, at("back", 8, ipv6=ipv6))
    assert world.inside(bare).addresses == {"eth0": "10.2.0.8/24"}
    await stop(world, pid, ONE)
    await stop(world, bare, TWO)
    await remove(world)


async def test_the_next_agent_knows_the_gateway_priorities(world: World) -> None:
    await make(world)
    priorities = {DEFAULT_NETWORK: 0, IDS["back"]: 0, IDS["front"]: 3}
    pid, endpoints = await run(world, ONE, [ON_DEFAULT, at("back", 6), at("front", 5, gateway_priority=3)])
    await world.reopen()
    await make(world)
    await world.networks.adopt(ONE, pid, [again(one, priorities[one.network]) for one in endpoints])
    await world.networks.disconnect(ONE, IDS["back"])
    assert world.inside(pid).route == ("10.1.0.1", "eth2")
    await world.networks.disconnect(ONE, IDS["front"])
    assert world.inside(pid).route == ("172.30.0.1", "eth0")
    await stop(world, pid, ONE)
    await remove(world)


async def test_a_process_that_has_ended_is_not_adopted(world: World) -> None:
    pid, [endpoint] = await run(world, ONE, [ON_DEFAULT])
    await world.reopen()
    await world.end(pid)
    with pytest.raises(SandboxGone):
        await world.networks.adopt(ONE, pid, [EndpointRequest(DEFAULT_NETWORK, endpoint.address)])
    await world.networks.leave(ONE)
    later, [fresh] = await run(world, ONE, [ON_DEFAULT])
    assert fresh.address == endpoint.address
    await stop(world, later, ONE)


async def test_a_network_that_is_gone_keeps_nobody_from_being_adopted(world: World) -> None:
    await make(world)
    pid, endpoints = await run(world, ONE, [ON_DEFAULT, at("front", 5)])
    await world.reopen()
    assert await world.networks.adopt(ONE, pid, [again(one) for one in endpoints]) == endpoints[:1]
    await stop(world, pid, ONE)
    await world.networks.sweep()


async def test_what_belongs_to_nobody_is_swept(world: World) -> None:
    await make(world)
    pid, [kept] = await run(world, ONE, [ON_DEFAULT])
    orphan, [stale] = await run(world, TWO, [ON_DEFAULT])
    await world.reopen()
    await world.networks.make(spec(world, "back", "10.2.0.0/24"))
    assert await world.networks.adopt(ONE, pid, [EndpointRequest(DEFAULT_NETWORK, kept.address)]) == (kept,)
    assert stale.host_interface in await world.networks.sweep()
    assert await world.networks.sweep() == []
    assert (world.inside(orphan).addresses, len(world.inside(pid).addresses)) == ({}, 1)
    assert [network.name for network in world.networks.present()] == ["bridge", "back"]
    await world.networks.make(spec(world, "front", "10.3.0.0/24"))
    await world.end(orphan)
    await stop(world, pid, ONE)
    await remove(world)
