"""What all networks must do after their agent was killed."""

import pytest
from tests.conformance.network.scenes import IDS, ON_DEFAULT, ONE, THREE, TWO, again, at, make, remove, run, spec, stop
from tests.conformance.network.worlds import World

from seaway_agent.network.errors import AddressError, NetworkError, SandboxGone
from seaway_agent.network.port import DEFAULT_NETWORK, EndpointRequest


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
