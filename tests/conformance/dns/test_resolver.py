"""What each resolver must do, the real one and its fake."""

import asyncio
from collections import Counter
from dataclasses import replace
from ipaddress import IPv4Address, IPv6Address

import pytest
from tests.conformance.dns.worlds import World

from seaway_agent.dns.port import ContainerNames, NamedEndpoint, ResolverError
from seaway_testing.waiting import GUARD_S

ONE, TWO, THREE = ("1" * 64, "2" * 64, "3" * 64)


def endpoint(network: str, last: int, *names: str) -> NamedEndpoint:
    """A container's end of the network `front` or `back`."""
    third = {"front": 1, "back": 2}[network]
    addresses = IPv4Address(f"10.{third}.0.{last}"), IPv6Address(f"fd00:{third}::{last}")
    return NamedEndpoint(f"id of {network}", network, names, *addresses)


WEB = ContainerNames((endpoint("front", 2, "web", "all", ONE[:12]),))
DB = ContainerNames((endpoint("front", 3, "db", "all", TWO[:12]),))


async def attach(world: World, container: str, names: ContainerNames) -> None:
    await world.resolver.attach(container, await world.sandbox(container), names)


async def run(world: World, container: str, names: ContainerNames) -> int:
    """Start a container; returns its pid."""
    await attach(world, container, names)
    pid = await world.start(container)
    world.resolver.hand_over(container, pid)
    return pid


async def detach(world: World, *containers: str) -> None:
    for container in containers:
        await world.resolver.detach(container)


async def becomes(world: World, container: str, name: str, wanted: list[str] | None) -> None:
    """Wait until a container gets that answer."""
    async with asyncio.timeout(GUARD_S):
        while await world.ask(container, name) != wanted:  # noqa: ASYNC110 - no event says so
            await asyncio.sleep(0.01)


# --- names


async def test_containers_of_a_network_find_each_other(world: World) -> None:
    await attach(world, ONE, WEB)
    await attach(world, TWO, DB)
    for name in ("web", "WEB", "web.front", ONE[:12], f"{ONE[:12]}.front"):
        assert await world.ask(TWO, name) == ["10.1.0.2"], name
    assert await world.ask(ONE, "web") == ["10.1.0.2"]
    assert await world.ask(ONE, "db") == ["10.1.0.3"]
    assert await world.ask(ONE, "db", "AAAA") == ["fd00:1::3"]
    assert await world.ask(ONE, "nobody") is None
    assert await world.ask(ONE, "web.back") is None
    await detach(world, ONE, TWO)


async def test_addresses_lead_back_to_names(world: World) -> None:
    await attach(world, ONE, WEB)
    await attach(world, TWO, DB)
    assert await world.ask(TWO, "2.0.1.10.in-addr.arpa", "PTR") == ["web.front"]
    assert await world.ask(TWO, IPv6Address("fd00:1::2").reverse_pointer, "PTR") == ["web.front"]
    assert await world.ask(TWO, "9.0.1.10.in-addr.arpa", "PTR") is None
    await detach(world, ONE, TWO)


async def test_a_name_that_several_have_leads_to_each_in_turn(world: World) -> None:
    await attach(world, ONE, WEB)
    await attach(world, TWO, DB)
    answers = [await world.ask(ONE, "all") or [] for _ in range(4)]
    assert all(sorted(answer) == ["10.1.0.2", "10.1.0.3"] for answer in answers)
    assert Counter(answer[0] for answer in answers) == {"10.1.0.2": 2, "10.1.0.3": 2}
    await detach(world, TWO)
    assert await world.ask(ONE, "all") == ["10.1.0.2"]
    await detach(world, ONE)


async def test_other_networks_are_not_searched(world: World) -> None:
    await attach(world, ONE, WEB)
    await attach(world, TWO, ContainerNames((endpoint("back", 3, "db"),)))
    assert await world.ask(TWO, "web") is None
    assert await world.ask(ONE, "db") is None
    assert await world.ask(ONE, "3.0.2.10.in-addr.arpa", "PTR") is None
    await detach(world, ONE, TWO)


async def test_a_link_is_for_its_container_alone(world: World) -> None:
    await attach(world, ONE, WEB)
    linking = replace(DB.endpoints[0], links={"store": "web"})
    await attach(world, TWO, ContainerNames((linking,)))
    assert await world.ask(TWO, "store") == ["10.1.0.2"]
    assert await world.ask(ONE, "store") is None
    await detach(world, ONE, TWO)


async def test_a_new_name_takes_the_old_one_s_place(world: World) -> None:
    await attach(world, ONE, WEB)
    await attach(world, TWO, DB)
    await world.resolver.update(ONE, ContainerNames((endpoint("front", 2, "site"),)))
    assert await world.ask(TWO, "site") == ["10.1.0.2"]
    assert await world.ask(TWO, "web") is None
    assert await world.ask(TWO, "2.0.1.10.in-addr.arpa", "PTR") == ["site.front"]
    await detach(world, ONE, TWO)


async def test_a_connected_network_is_searched_until_it_is_disconnected(world: World) -> None:
    await attach(world, ONE, WEB)
    await attach(world, TWO, ContainerNames((endpoint("back", 3, "db"),)))
    await world.resolver.update(ONE, ContainerNames((*WEB.endpoints, endpoint("back", 2, "web"))))
    assert await world.ask(ONE, "db") == ["10.2.0.3"]
    assert await world.ask(TWO, "web") == ["10.2.0.2"]
    await world.resolver.update(ONE, WEB)
    assert await world.ask(ONE, "db") is None
    assert await world.ask(TWO, "web") is None
    await detach(world, ONE, TWO)


# --- sandboxes


async def test_names_are_right_as_soon_as_a_method_returns(world: World) -> None:
    await attach(world, ONE, WEB)
    many = [f"{number:064x}" for number in range(20)]
    named = {one: ContainerNames((endpoint("front", n + 10, f"c{n}"),)) for n, one in enumerate(many)}
    await asyncio.gather(*(attach(world, one, names) for one, names in named.items()))
    for number in range(20):
        assert await world.ask(ONE, f"c{number}") == [f"10.1.0.{number + 10}"]
    await asyncio.gather(*(world.resolver.detach(one) for one in many))
    for number in range(20):
        assert await world.ask(ONE, f"c{number}") is None
    await detach(world, ONE)


async def test_detaching_is_harmless_twice_and_for_the_unknown(world: World) -> None:
    await world.resolver.detach(ONE)
    await attach(world, ONE, WEB)
    await detach(world, ONE, ONE)
    world.resolver.hand_over(ONE, 1)
    await world.resolver.update(ONE, WEB)


async def test_a_container_that_starts_again_has_its_new_sandbox(world: World) -> None:
    await attach(world, TWO, DB)
    pid = await run(world, ONE, WEB)
    await world.end(pid)
    pid = await run(world, ONE, ContainerNames((endpoint("front", 7, "web"),)))
    assert await world.ask(TWO, "web") == ["10.1.0.7"]
    assert await world.ask(ONE, "db") == ["10.1.0.3"]
    await world.end(pid)
    await detach(world, ONE, TWO)


async def test_the_names_of_a_process_that_has_ended_are_withdrawn(world: World) -> None:
    pid = await run(world, ONE, WEB)
    await attach(world, TWO, DB)
    await world.end(pid)
    await becomes(world, TWO, "web", None)
    await detach(world, ONE, TWO)


# --- agents


async def test_containers_are_answered_without_an_agent(world: World) -> None:
    one, two = await run(world, ONE, WEB), await run(world, TWO, DB)
    await world.restart_agent()  # the new one has not adopted anything yet
    assert await world.ask(ONE, "db") == ["10.1.0.3"]
    await world.end(two)
    await becomes(world, ONE, "db", None)
    await world.end(one)


async def test_what_no_process_has_ends_with_its_agent(world: World) -> None:
    one = await run(world, ONE, WEB)
    await attach(world, TWO, DB)
    await world.restart_agent()
    await becomes(world, ONE, "db", None)
    await world.end(one)


async def test_the_next_agent_adopts_and_goes_on(world: World) -> None:
    one, two = await run(world, ONE, WEB), await run(world, TWO, DB)
    await world.restart_agent()
    await world.resolver.adopt(ONE, one, WEB)
    await world.resolver.adopt(TWO, two, DB)
    await world.resolver.sweep()
    assert await world.ask(ONE, "db") == ["10.1.0.3"]
    await world.resolver.update(TWO, ContainerNames((endpoint("front", 3, "base"),)))
    assert await world.ask(ONE, "base") == ["10.1.0.3"]
    await attach(world, THREE, ContainerNames((endpoint("front", 4, "new"),)))
    assert await world.ask(ONE, "new") == ["10.1.0.4"]
    await world.end(one)
    await world.end(two)
    await detach(world, ONE, TWO, THREE)


async def test_a_sweep_detaches_what_was_not_adopted(world: World) -> None:
    one, two = await run(world, ONE, WEB), await run(world, TWO, DB)
    await world.restart_agent()
    await world.resolver.adopt(ONE, one, WEB)
    await world.resolver.sweep()
    assert await world.ask(ONE, "db") is None
    await world.end(one)
    await world.end(two)
    await detach(world, ONE)


async def test_a_sweep_without_containers_leaves_nothing(world: World) -> None:
    one = await run(world, ONE, WEB)
    await world.restart_agent()
    await world.resolver.sweep()
    await world.resolver.sweep()
    await world.end(one)


async def test_a_container_that_nobody_has_attached_is_adopted(world: World) -> None:
    await world.sandbox(ONE)
    pid = await world.start(ONE)
    await world.resolver.adopt(ONE, pid, WEB)
    assert await world.ask(ONE, "web") == ["10.1.0.2"]
    await world.end(pid)
    await detach(world, ONE)


async def test_what_has_ended_is_not_adopted(world: World) -> None:
    await attach(world, TWO, DB)
    await world.sandbox(ONE)
    pid = await world.start(ONE)
    await world.end(pid)
    with pytest.raises(ResolverError, match="has ended"):
        await world.resolver.adopt(ONE, pid, WEB)
    assert await world.ask(TWO, "web") is None
    await detach(world, TWO)


async def test_a_killed_resolver_answers_again(world: World) -> None:
    one = await run(world, ONE, WEB)
    await attach(world, TWO, DB)
    for _ in range(2):
        await world.kill_resolver()
        assert await world.ask(ONE, "db") == ["10.1.0.3"]
        assert await world.ask(TWO, "web") == ["10.1.0.2"]
    await world.end(one)
    await becomes(world, TWO, "web", None)
    await detach(world, ONE, TWO)


async def test_a_resolver_killed_without_an_agent_is_started_by_the_next(world: World) -> None:
    one = await run(world, ONE, WEB)
    await world.restart_agent()
    await world.kill_resolver()
    await world.resolver.adopt(ONE, one, WEB)
    await world.resolver.sweep()
    assert await world.ask(ONE, "web") == ["10.1.0.2"]
    await world.end(one)
    await detach(world, ONE)
