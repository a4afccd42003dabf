"""What all networks must do, whatever they are made of."""

import asyncio
from collections.abc import Sequence
from ipaddress import IPv4Address, IPv4Network
from itertools import pairwise

import pytest
from tests.conformance.network.worlds import DEFAULT, World

from seaway_agent.network.errors import AddressError, NetworkError, SandboxGone, SubnetError
from seaway_agent.network.port import DEFAULT_NETWORK, EndpointInfo, EndpointRequest, NetworkSpec

ONE, TWO, THREE = ("1" * 64, "2" * 64, "3" * 64)
ON_DEFAULT = EndpointRequest(DEFAULT_NETWORK)


def spec(world: World, name: str, subnet: str) -> NetworkSpec:
    digit = f"{ord(name[0]):02x}"
    return NetworkSpec(digit * 32, name, driver=world.driver, subnet=IPv4Network(subnet))


async def make(world: World) -> tuple[NetworkSpec, NetworkSpec]:
    """Two networks, front and back."""
    front, back = spec(world, "front", "10.1.0.0/24"), spec(world, "back", "10.2.0.0/24")
    return await world.networks.make(front), await world.networks.make(back)


def at(network: str, last: int, mac: str | None = None) -> EndpointRequest:
    third = {"front": 1, "back": 2}[network]
    return EndpointRequest(network, IPv4Address(f"10.{third}.0.{last}"), mac=mac)


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
        await world.networks.remove(name)


# --- networks


async def test_a_network_is_there_until_it_is_removed(world: World) -> None:
    front, back = await make(world)
    assert front.gateway == IPv4Address("10.1.0.1")
    assert [network.name for network in world.networks.present()] == ["bridge", "front", "back"]
    assert world.networks.present()[1:] == (front, back)
    await remove(world)
    await remove(world)
    assert [network.name for network in world.networks.present()] == ["bridge"]


async def test_the_gateway_may_be_told(world: World) -> None:
    wanted = NetworkSpec("f" * 64, "front", world.driver, IPv4Network("10.1.0.0/24"), IPv4Address("10.1.0.9"))
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


async def test_a_name_stands_for_one_network(world: World) -> None:
    await make(world)
    with pytest.raises(SubnetError, match=r"network front has subnet 10\.1\.0\.0/24, not 10\.3\.0\.0/24"):
        await world.networks.make(spec(world, "front", "10.3.0.0/24"))
    with pytest.raises(NetworkError, match="network front is there already"):
        await world.networks.make(NetworkSpec("0" * 64, "front", world.driver, IPv4Network("10.1.0.0/24")))
    await remove(world)


async def test_only_the_default_network_chooses_its_subnet(world: World) -> None:
    with pytest.raises(SubnetError, match="network front has no subnet"):
        await world.networks.make(NetworkSpec("f" * 64, "front", world.driver))
    assert await world.networks.make(NetworkSpec(DEFAULT.id, DEFAULT.name)) == world.networks.present()[0]


async def test_a_network_with_endpoints_stays(world: World) -> None:
    await make(world)
    pid, _ = await run(world, ONE, [at("front", 2)])
    with pytest.raises(NetworkError, match="network front has active endpoints"):
        await world.networks.remove("front")
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
    assert (endpoint.network, endpoint.interface, endpoint.prefix_len) == ("bridge", "eth0", 24)
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
    assert {one.network: one.mac for one in endpoints}["back"] == "02:42:00:00:00:99"
    assert found.route == (str(endpoints[0].gateway), "eth0")
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
    again, _ = await run(world, ONE, [at("front", 5)])
    await stop(world, again, ONE)
    await stop(world, other, TWO)
    await remove(world)


@pytest.mark.parametrize(
    ("request_", "error", "text"),
    [
        (EndpointRequest("nowhere"), NetworkError, "network nowhere is not on this node"),
        (EndpointRequest("front"), NetworkError, "an endpoint in network front needs an address"),
        (EndpointRequest("front", IPv4Address("10.9.0.1")), AddressError, "does not belong to any of this network's"),
        (EndpointRequest("front", IPv4Address("10.1.0.1")), AddressError, "Address already in use"),
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
    assert (found.macs["eth2"], found.route) == (back.mac, ("172.30.0.1", "eth0"))
    await world.networks.disconnect(ONE, "front")
    await world.networks.disconnect(ONE, "front")
    assert world.networks.endpoints(ONE) == (first, back)
    assert set(world.inside(pid).addresses) == {"eth0", "eth2"}
    again = await world.networks.connect(ONE, at("front", 8))
    assert again.interface == "eth1"
    await stop(world, pid, ONE)
    await remove(world)


async def test_the_default_route_goes_to_the_next_endpoint_with_a_gateway(world: World) -> None:
    await make(world)
    pid, _ = await run(world, ONE, [at("front", 8), at("back", 8)])
    assert world.inside(pid).route == ("10.1.0.1", "eth0")
    await world.networks.disconnect(ONE, "front")
    assert world.inside(pid).route == ("10.2.0.1", "eth1")
    await world.networks.disconnect(ONE, "back")
    assert (world.inside(pid).addresses, world.inside(pid).route) == ({}, None)
    await world.networks.connect(ONE, at("back", 9))
    assert world.inside(pid).route == ("10.2.0.1", "eth0")
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
    await world.networks.disconnect(ONE, "front")
    pid, _ = await run(world, ONE, [at("front", 8)])
    await world.end(pid)
    with pytest.raises(SandboxGone):
        await world.networks.connect(ONE, at("back", 8))
    await world.networks.disconnect(ONE, "front")
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
        await world.networks.disconnect(before, "back")
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


async def test_the_next_agent_takes_over_what_runs(world: World) -> None:
    await make(world)
    requests = [ON_DEFAULT, at("back", 6), at("front", 5, "02:42:00:00:00:55")]
    pid, _ = await run(world, ONE, requests)
    await world.networks.disconnect(ONE, "back")
    await world.networks.connect(ONE, at("back", 7))
    endpoints, before = world.networks.endpoints(ONE), world.inside(pid)
    bare, _ = await run(world, TWO, [])
    await world.reopen()
    assert world.networks.endpoints(ONE) == ()
    front, back = await make(world)
    assert world.networks.present()[1:] == (front, back)
    asked = [EndpointRequest(one.network, one.address, mac=one.mac) for one in endpoints]
    assert await world.networks.adopt(ONE, pid, asked) == endpoints
    assert await world.networks.adopt(TWO, bare, []) == ()
    assert await world.networks.sweep() == []
    assert (world.networks.endpoints(ONE), world.inside(pid)) == (endpoints, before)
    with pytest.raises(AddressError, match="Address already in use"):
        await world.networks.join(THREE, [at("back", 7)])
    with pytest.raises(NetworkError, match="network back has active endpoints"):
        await world.networks.remove("back")
    await world.networks.disconnect(ONE, DEFAULT_NETWORK)
    assert "eth0" not in world.inside(pid).addresses
    assert world.inside(pid).route == ("10.1.0.1", "eth2")
    await world.networks.connect(TWO, at("back", 8))
    assert world.inside(bare).addresses == {"eth0": "10.2.0.8/24"}
    await stop(world, pid, ONE)
    await stop(world, bare, TWO)
    await remove(world)


async def test_a_process_that_has_ended_is_not_adopted(world: World) -> None:
    pid, [endpoint] = await run(world, ONE, [ON_DEFAULT])
    await world.reopen()
    await world.end(pid)
    with pytest.raises(SandboxGone):
        await world.networks.adopt(ONE, pid, [EndpointRequest(DEFAULT_NETWORK, endpoint.address)])
    await world.networks.leave(ONE)
    again, [fresh] = await run(world, ONE, [ON_DEFAULT])
    assert fresh.address == endpoint.address
    await stop(world, again, ONE)


async def test_a_network_that_is_gone_keeps_nobody_from_being_adopted(world: World) -> None:
    await make(world)
    pid, endpoints = await run(world, ONE, [ON_DEFAULT, at("front", 5)])
    await world.reopen()
    asked = [EndpointRequest(one.network, one.address, mac=one.mac) for one in endpoints]
    assert await world.networks.adopt(ONE, pid, asked) == endpoints[:1]
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
