"""What all networks must do: endpoints that come, go and are counted while a container runs."""

from dataclasses import replace
from ipaddress import IPv6Address
from itertools import pairwise

import pytest
from tests.conformance.network.scenes import (
    IDS,
    ON_DEFAULT,
    ONE,
    PREFIXES,
    THREE,
    TWO,
    at,
    make,
    remove,
    run,
    spec,
    stop,
)
from tests.conformance.network.worlds import World

from seaway_agent.network.errors import AddressError, NetworkError, SandboxGone
from seaway_agent.network.options import INTERFACE_PREFIX
from seaway_agent.network.port import DEFAULT_NETWORK, EndpointRequest

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
    pid, _ = await run(world, ONE, [ON_DEFAULT, at("front", 5)])
    counters = await world.networks.counters()
    assert set(counters) == {ONE}
    assert set(counters[ONE]) == {"eth0", "eth1"}
    await stop(world, pid, ONE)
    await remove(world)
