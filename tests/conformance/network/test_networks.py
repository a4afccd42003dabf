"""What all networks must do, whatever they are made of: being made and removed, and joined."""

import asyncio
from dataclasses import replace
from ipaddress import IPv4Address

import pytest
from tests.conformance.network.scenes import IDS, ON_DEFAULT, ONE, TWO, at, make, remove, run, spec, stop
from tests.conformance.network.worlds import DEFAULT, World

from seaway_agent.network.errors import AddressError, NetworkError, SubnetError
from seaway_agent.network.port import DEFAULT_NETWORK, EndpointRequest, NetworkSpec

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
