"""Several bridge networks of one node, with real traffic; and what a start from the pool does not wait for."""

import asyncio
import os
from collections.abc import Callable
from ipaddress import IPv4Address, IPv4Network
from typing import Any

import pytest
from tests.namespaces import Namespace, Process, end, wait_until

from seaway_agent.network.errors import AddressError, NetlinkError, SandboxGone
from seaway_agent.network.options import MTU, PARENT
from seaway_agent.network.port import DEFAULT_NETWORK, EndpointRequest, NetworkSpec
from seaway_agent.network.ports import PortRequest
from seaway_agent.network.thread import NetworkThread
from seaway_agent.network.veths import Veths

from .conftest import BRIDGE, Node, ask, unreachable

pytestmark = pytest.mark.root
Start = Callable[[int], Process]
Serve = Callable[..., Any]
FRONT = NetworkSpec("f" * 64, "front", subnet=IPv4Network("10.1.0.0/24"))
BACK = NetworkSpec("b" * 64, "back", subnet=IPv4Network("10.2.0.0/24"), options={MTU: "1400"})
FRONT_BRIDGE, BACK_BRIDGE = "br-ffffffffffff", "br-bbbbbbbbbbbb"


def at(network: NetworkSpec, last: int) -> EndpointRequest:
    assert network.subnet is not None
    return EndpointRequest(network.id, network.subnet[last])


async def make_both(node: Node) -> None:
    for network in (FRONT, BACK):
        await node.networks.make(network)


async def test_each_network_is_a_bridge_of_its_own(node: Node, host: Namespace) -> None:
    await make_both(node)
    assert host.own_links() == {node.bridge, FRONT_BRIDGE, BACK_BRIDGE}
    assert "inet 10.2.0.1/24" in host.run("ip", "address", "show", BACK_BRIDGE)
    assert " mtu 1400 " in host.run("ip", "link", "show", BACK_BRIDGE)
    held = await node.acquire(at(BACK, 2))
    inner = Namespace(held.netns_fd)
    assert " mtu 1400 " in inner.run("ip", "link", "show", "eth0")
    assert "fe80" not in inner.run("ip", "address")
    await node.release(held)


async def test_networks_are_isolated_and_all_reach_outside(
    node: Node, host: Namespace, outside: Namespace, serve: Serve
) -> None:
    await make_both(node)
    front, back = await node.acquire(at(FRONT, 2)), await node.acquire(at(BACK, 2))
    both = await node.acquire(at(FRONT, 3), at(BACK, 3))
    default = await node.acquire()
    for held in (front, back, both, default):
        serve(held.netns_fd, 80)
    serve(outside.fd, 7000)
    for held in (front, back, both, default):
        assert ask(held.netns_fd, "10.77.0.2", 7000) == "10.77.0.1"
    assert ask(front.netns_fd, "10.1.0.3", 80) == "10.1.0.2"
    assert ask(back.netns_fd, "10.2.0.3", 80) == "10.2.0.2"
    assert ask(both.netns_fd, "10.2.0.2", 80) == "10.2.0.3"
    for held, address in ((front, "10.2.0.2"), (back, "10.1.0.2"), (default, "10.1.0.2"), (front, "172.18.0.2")):
        assert unreachable(held.netns_fd, address, 80)


async def test_ports_lead_to_any_network_and_survive_a_flush(
    node: Node, host: Namespace, outside: Namespace, serve: Serve
) -> None:
    await make_both(node)
    web, client = await node.acquire(at(BACK, 2)), await node.acquire(at(FRONT, 2))
    serve(web.netns_fd, 80)
    await node.ports.publish(web.container, web.address, [PortRequest(80, host_port=8080)])
    for _ in range(2):
        assert ask(outside.fd, "10.77.0.1", 8080) == "10.77.0.2"
        assert ask(host.fd, "127.0.0.1", 8080) == "10.2.0.1"
        assert ask(client.netns_fd, "10.1.0.1", 8080) == "10.2.0.1"
        assert ask(web.netns_fd, "10.2.0.1", 8080) == "10.2.0.1"
        assert unreachable(client.netns_fd, "10.2.0.2", 80)
        host.run("nft", "flush", "ruleset")
        await node.ports.refresh()


async def test_a_network_goes_and_leaves_the_others_their_rules(node: Node, host: Namespace) -> None:
    before = host.table(node.suite)
    await make_both(node)
    await node.networks.remove(FRONT.id)
    assert FRONT_BRIDGE not in host.table(node.suite)
    assert BACK_BRIDGE in host.table(node.suite)
    await node.networks.remove(BACK.id)
    assert (host.table(node.suite), host.own_links()) == (before, {node.bridge})


async def test_a_ready_sandbox_is_its_first_endpoint(node: Node) -> None:
    await make_both(node)
    node.networks.fill()
    await asyncio.to_thread(wait_until, lambda: node.networks.ready() == 8, "pool full")
    held = await node.acquire(BRIDGE, at(FRONT, 2), at(BACK, 2))
    assert [str(one.address) for one in held.endpoints] == ["172.18.0.2", "10.1.0.2", "10.2.0.2"]
    other = await node.acquire(at(FRONT, 3), BRIDGE)
    assert [one.interface for one in other.endpoints] == ["eth0", "eth1"]
    routes = Namespace(other.netns_fd).run("ip", "route").splitlines()
    assert [line.strip() for line in routes if "default" in line] == ["default via 172.18.0.1 dev eth1"]


async def test_an_error_at_a_later_endpoint_gives_the_ready_sandbox_back(node: Node, host: Namespace) -> None:
    await make_both(node)
    node.networks.fill()
    await asyncio.to_thread(wait_until, lambda: node.networks.ready() == 8, "pool full")
    held = await node.acquire(at(FRONT, 2))
    with pytest.raises(NetlinkError), pytest.MonkeyPatch.context() as patch:
        patch.setattr("seaway_agent.network.veths.Veths._configure", refuse)
        await node.join([BRIDGE, at(BACK, 2)])
    again = await node.join([EndpointRequest(DEFAULT_NETWORK, IPv4Address("172.18.0.2")), at(BACK, 2)])
    await node.release(held)
    await node.release(again)


async def test_a_point_to_point_network_has_room_for_one_container(
    node: Node, host: Namespace, outside: Namespace, serve: Serve
) -> None:
    """As in Docker: a /31 has no network and broadcast addresses, and in a /32 the gateway has the only one."""
    pair, other, single = (
        NetworkSpec(letter * 64, name, subnet=IPv4Network(subnet))
        for letter, name, subnet in (
            ("1", "pair", "10.3.0.0/31"),
            ("3", "other", "10.3.1.0/31"),
            ("2", "single", "10.3.0.9/32"),
        )
    )
    made = [await node.networks.make(network) for network in (pair, other, single)]
    assert [str(network.gateway) for network in made] == ["10.3.0.0", "10.3.1.0", "10.3.0.9"]
    held = await node.acquire(at(pair, 1))
    serve(outside.fd, 7000)
    serve(held.netns_fd, 80)
    assert ask(held.netns_fd, "10.77.0.2", 7000) == "10.77.0.1"
    assert ask(host.fd, "10.3.0.1", 80) == "10.3.0.0"
    assert "brd 10.3.0.1" not in Namespace(held.netns_fd).run("ip", "address") + host.run("ip", "address")
    client = await node.acquire(BRIDGE)
    await node.ports.publish(held.container, held.address, [PortRequest(80, host_port=8080)])
    assert ask(client.netns_fd, "172.18.0.1", 8080) == "10.3.0.0"
    with pytest.raises(AddressError, match="Address already in use"):
        await node.acquire(at(single, 0))
    with pytest.raises(AddressError, match="does not belong"):
        await node.acquire(EndpointRequest(single.id, IPv4Address("10.3.0.10")))
    await node.ports.unpublish(held.container)
    joined = await node.networks.connect(client.container, at(other, 1))
    assert " brd 10" not in Namespace(client.netns_fd).run("ip", "address", "show", joined.interface)
    serve(client.netns_fd, 81)
    assert ask(host.fd, "10.3.1.1", 81) == "10.3.1.0"


def refuse(*_: object, **__: object) -> None:
    raise NetlinkError(12, "cannot configure: Cannot allocate memory")


async def test_a_start_from_the_pool_asks_no_other_thread(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    """Joining, handing over, and the end of a container without ports: all but its leaving."""
    node.networks.fill()
    ready = node.networks.ready
    await asyncio.to_thread(wait_until, lambda: (ready(), ready("none")) == (8, 4), "pools full")
    asked: list[object] = []
    submit = NetworkThread.submit

    def noted(thread: NetworkThread, work: Callable[[], Any]) -> Any:
        asked.append(work)
        return submit(thread, work)

    monkeypatch.setattr(NetworkThread, "submit", noted)
    held, isolated = await node.acquire(), await node.join([])
    for one in (held, isolated):
        node.networks.hand_over(one.container, os.getpid())
        await node.ports.unpublish(one.container)
    await node.networks.leave("nobody")
    assert asked == []
    await node.release(held)
    await node.release(isolated)
    assert len(asked) == 2


async def test_an_endpoint_takes_a_name_that_the_container_has_not_taken(node: Node, start: Start) -> None:
    await make_both(node)
    held = await node.acquire()
    process = start(held.netns_fd)
    Namespace(held.netns_fd).run("ip", "link", "add", "eth1", "type", "bridge")
    node.networks.hand_over(held.container, process.pid)
    assert (await node.networks.connect(held.container, at(BACK, 2))).interface == "eth2"
    await node.networks.disconnect(held.container, BACK.id)
    await node.release(held)


@pytest.mark.parametrize("adopted", [False, True])
async def test_a_process_that_left_its_sandbox_is_not_followed(
    node: Node, host: Namespace, start: Start, adopted: bool
) -> None:
    """Its number may be another process's by now; a privileged one may have gone to the host's namespace."""
    await make_both(node)
    held, stranger = await node.acquire(), start(host.fd)
    start(held.netns_fd)
    if adopted:
        await node.release(held)
        await node.networks.adopt(held.container, stranger.pid, [])
    else:
        node.networks.hand_over(held.container, stranger.pid)
    before = host.links()
    with pytest.raises(SandboxGone):
        await node.networks.connect(held.container, at(BACK, 2))
    assert {name for name in host.links() if name.startswith("eth")} == set()
    assert host.links() <= before
    await node.networks.disconnect(held.container, DEFAULT_NETWORK)
    await node.release(held)


async def test_an_error_half_way_of_a_connect_leaves_nothing(
    node: Node, host: Namespace, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    await make_both(node)
    held = await node.acquire()
    process = start(held.netns_fd)
    node.networks.hand_over(held.container, process.pid)
    before = host.links()
    monkeypatch.setattr(Veths, "_configure", refuse)
    with pytest.raises(NetlinkError):
        await node.networks.connect(held.container, at(BACK, 2))
    assert host.links() == before
    monkeypatch.undo()
    assert (await node.networks.connect(held.container, at(BACK, 2))).interface == "eth1"
    end(process)
    await node.release(held)


async def test_an_agent_that_starts_again_needs_no_pyroute2(
    node: Node, host: Namespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its import takes 0.2 s, and recovery must be quick."""
    await make_both(node)
    await node.networks.close()

    def missed(*_: object) -> None:
        raise AssertionError("pyroute2 was asked for")

    again = Node(node.suite, host)
    with monkeypatch.context() as patch:
        patch.setattr("seaway_agent.network.rtnetlink.open_interfaces", missed)
        await again.open()
        await make_both(again)
        assert await again.networks.sweep() == []
    await again.close()
    await node.networks.open()


@pytest.mark.parametrize("lost", ["front", "lan"])
async def test_a_network_that_cannot_be_set_up_again_keeps_none_of_the_others_from_it(
    node: Node, host: Namespace, outside: Namespace, serve: Serve, lost: str
) -> None:
    """After a firewall's flush all others have NAT, isolation and published ports again."""
    await make_both(node)
    subnet = IPv4Network("10.77.0.0/24")
    host.run("ip", "link", "add", "lan0", "type", "bridge")
    await node.networks.make(NetworkSpec("a" * 64, "lan", "macvlan", subnet, options={PARENT: "lan0"}))
    web, other = await node.acquire(at(BACK, 2)), await node.acquire()
    serve(web.netns_fd, 80)
    serve(outside.fd, 7000)
    await node.ports.publish(web.container, web.address, [PortRequest(80, host_port=8080)])
    if lost == "front":
        host.run("ip", "link", "delete", FRONT_BRIDGE)
        host.run("ip", "route", "add", "10.1.0.0/25", "dev", "cable")
    else:
        host.run("ip", "link", "delete", "lan0")
    host.run("nft", "flush", "ruleset")
    await node.ports.refresh()
    assert ask(web.netns_fd, "10.77.0.2", 7000) == "10.77.0.1"
    assert ask(outside.fd, "10.77.0.1", 8080) == "10.77.0.2"
    assert unreachable(other.netns_fd, "10.2.0.2", 80)
    assert FRONT_BRIDGE in host.table(node.suite), "its rules are those that it had"
    if lost == "front":
        host.run("ip", "route", "delete", "10.1.0.0/25", "dev", "cable")
        await node.ports.refresh()
        assert FRONT_BRIDGE in host.links()
