"""Networks with IPv6, with real traffic: the outside, isolation, published ports."""

import asyncio
import socket
from collections.abc import Callable
from functools import partial
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Any

import pytest
from tests.namespaces import Namespace, Process, call_in, end, wait_until

from seaway_agent.network.names import table_name
from seaway_agent.network.options import ENABLE_ICC
from seaway_agent.network.port import EndpointRequest, NetworkSpec
from seaway_agent.network.ports import PortBinding, PortRequest
from seaway_agent.network.publisher import Published

from .conftest import Held, Node, ask, ask_udp, unreachable

pytestmark = pytest.mark.root
Start = Callable[[int], Process]
Serve = Callable[..., Any]
FRONT = NetworkSpec(
    "f" * 64,
    "front",
    subnet=IPv4Network("10.1.0.0/24"),
    gateway=IPv4Network("10.1.0.0/24")[1],
    subnet6=IPv6Network("fd00:1::/64"),
    gateway6=IPv6Network("fd00:1::/64")[1],
)
BACK = NetworkSpec("b" * 64, "back", subnet=IPv4Network("10.2.0.0/24"), subnet6=IPv6Network("fd00:2::/64"))
BRIDGE_FILTER = "/proc/sys/net/bridge/bridge-nf-call-ip6tables"


def at(network: NetworkSpec, last: int) -> EndpointRequest:
    assert network.subnet is not None
    assert network.subnet6 is not None
    return EndpointRequest(network.id, network.subnet[last], network.subnet6[last])


async def web(node: Node, serve: Serve, *requests: PortRequest, last: int = 2) -> Held:
    """A container in `front` that answers on port 80 over IPv6 and publishes what is asked for."""
    held = await node.acquire(at(FRONT, last))
    serve(held.netns_fd, 80, host="::")
    await node.ports.publish(held.container, held.address, requests)
    return held


async def test_containers_reach_each_other_and_the_outside(
    node: Node, host: Namespace, outside: Namespace, serve: Serve
) -> None:
    for network in (FRONT, BACK):
        await node.networks.make(network)
    one, two, other = await web(node, serve), await node.acquire(at(FRONT, 3)), await node.acquire(at(BACK, 2))
    serve(outside.fd, 7000, host="::")
    assert ask(two.netns_fd, "fd00:1::2", 80) == "fd00:1::3"
    assert ask(host.fd, "fd00:1::2", 80) == "fd00:1::1"
    assert ask(one.netns_fd, "fd77::2", 7000) == "fd77::1"
    assert unreachable(other.netns_fd, "fd00:1::2", 80)
    outside.run("ip", "route", "add", "fd00:1::/64", "via", "fd77::1")
    assert unreachable(outside.fd, "fd00:1::2", 80)


@pytest.mark.parametrize("bridge_filter", ["0", "1"])
async def test_a_port_is_translated_for_everyone_but_loopback_which_is_relayed(
    node: Node, host: Namespace, outside: Namespace, serve: Serve, bridge_filter: str
) -> None:
    if Path(BRIDGE_FILTER).exists():
        host.run("sh", "-c", f"echo {bridge_filter} > {BRIDGE_FILTER}")
    for network in (FRONT, BACK):
        await node.networks.make(network)
    one = await web(node, serve, PortRequest(80, host_port=8080))
    neighbour, other = await node.acquire(at(FRONT, 3)), await node.acquire(at(BACK, 2))
    assert ask(outside.fd, "fd77::1", 8080) == "fd77::2", "the container sees the client"
    assert ask(host.fd, "fd77::1", 8080) == "fd77::1"
    assert ask(neighbour.netns_fd, "fd00:1::1", 8080) == "fd00:1::1"
    assert ask(one.netns_fd, "fd00:1::1", 8080) == "fd00:1::1"
    assert ask(other.netns_fd, "fd00:2::1", 8080) == "fd00:1::1"
    assert await asyncio.to_thread(ask, host.fd, "::1", 8080) == "", "the relay has taken it"
    await node.ports.unpublish(one.container)
    assert unreachable(outside.fd, "fd77::1", 8080)
    assert "8080" not in host.table6(node.suite)


async def test_a_port_of_one_ipv6_address(node: Node, host: Namespace, outside: Namespace, serve: Serve) -> None:
    await node.networks.make(FRONT)
    host.run("ip", "address", "add", "fd77::9/64", "dev", "cable", "nodad")
    await web(node, serve, PortRequest(80, host_ip="fd77::9", host_port=8080))
    assert ask(outside.fd, "fd77::9", 8080) == "fd77::2"
    assert unreachable(outside.fd, "fd77::1", 8080)


async def test_a_container_without_ipv6_is_relayed_to(node: Node, host: Namespace, outside: Namespace) -> None:
    """The relay itself is in the test's namespace, and so reaches nobody."""
    await node.networks.make(FRONT)
    held = await node.acquire()
    await node.ports.publish(held.container, held.address, [PortRequest(80, host_port=8080)])
    assert await asyncio.to_thread(ask, outside.fd, "fd77::1", 8080) == ""
    assert "8080" not in host.table6(node.suite)


async def test_udp_clients_find_the_new_container(
    node: Node, host: Namespace, outside: Namespace, serve: Serve
) -> None:
    await node.networks.make(FRONT)
    with call_in(outside.fd, lambda: socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)) as client:
        client.settimeout(0.2)
        client.bind(("fd77::2", 4000))
        client.sendto(b"too early", ("fd77::1", 5300))
        for last in (2, 3):
            held = await node.acquire(at(FRONT, last))
            serve(held.netns_fd, 53, socket.SOCK_DGRAM, "::")
            await node.ports.publish(held.container, held.address, [PortRequest(53, "udp", host_port=5300)])

            def answered() -> bool:
                try:
                    return ask_udp(client, "fd77::1", 5300) == "fd77::2"
                except OSError:
                    return False

            await asyncio.to_thread(wait_until, answered, f"container {last} answers")
            await node.ports.unpublish(held.container)
            await node.release(held)


async def test_the_next_agent_translates_on_and_a_flush_is_repaired(
    suite: str, host: Namespace, outside: Namespace, serve: Serve, start: Start
) -> None:
    first = Node(suite, host)
    await first.open()
    await first.networks.make(FRONT)
    held = await web(first, serve, PortRequest(80, host_port=8080))
    process = start(held.netns_fd)
    first.networks.hand_over(held.container, process.pid)
    await first.close()
    assert ask(outside.fd, "fd77::1", 8080) == "fd77::2"
    again = Node(suite, host)
    await again.open()
    await again.networks.make(FRONT)
    await again.networks.adopt(held.container, process.pid, [at(FRONT, 2)])
    guard = asyncio.ensure_future(again.ports.repair_on_flush())
    bindings = (PortBinding("tcp", "0.0.0.0", 8080, 80), PortBinding("tcp", "::", 8080, 80))
    assert await again.ports.restore({held.container: Published(held.address, bindings)}) == []
    assert ask(outside.fd, "fd77::1", 8080) == "fd77::2"
    host.run("nft", "flush", "ruleset")
    back = partial(host.table6, suite)
    await asyncio.to_thread(wait_until, lambda: "8080" in back(), "the port is translated again")
    assert ask(outside.fd, "fd77::1", 8080) == "fd77::2"
    guard.cancel()
    await asyncio.wait([guard])
    end(process)
    await again.networks.leave(held.container)
    await again.networks.remove(FRONT.id)
    await again.ports.unpublish(held.container)
    assert "8080" not in host.table6(suite)
    await again.close(teardown=True)
    wait_until(lambda: not host.own_links(), "all gone")
    assert host.run("nft", "list", "tables") == ""


async def test_where_containers_do_not_talk_they_still_find_their_gateway(
    node: Node, host: Namespace, outside: Namespace, serve: Serve
) -> None:
    shut = NetworkSpec(FRONT.id, "front", subnet=FRONT.subnet, subnet6=FRONT.subnet6, options={ENABLE_ICC: "false"})
    await node.networks.make(shut)
    one, two = await web(node, serve, PortRequest(80, host_port=8080)), await node.acquire(at(FRONT, 3))
    serve(outside.fd, 7000, host="::")
    assert unreachable(two.netns_fd, "fd00:1::2", 80)
    for held in (one, two):
        assert ask(held.netns_fd, "fd77::2", 7000) == "fd77::1"
    assert ask(two.netns_fd, "fd00:1::1", 8080) == "fd00:1::1"


async def test_only_a_network_with_ipv6_has_the_host_forward_it(node: Node, host: Namespace) -> None:
    forwarding = "/proc/sys/net/ipv6/conf/all/forwarding"
    await node.networks.make(NetworkSpec("1" * 64, "four", subnet=IPv4Network("10.4.0.0/24")))
    assert (host.run("cat", forwarding), host.table6(node.suite)) == ("0\n", "")
    await node.networks.make(FRONT)
    assert host.run("cat", forwarding) == "1\n"
    assert "fe80" not in host.run("ip", "address", "show", "br-111111111111")
    assert "inet6 fd00:1::1/64" in host.run("ip", "address", "show", "br-ffffffffffff")


async def test_the_next_agent_withdraws_the_ports_of_containers_that_have_ended(
    suite: str, host: Namespace, outside: Namespace, serve: Serve
) -> None:
    first = Node(suite, host)
    await first.open()
    await first.networks.make(FRONT)
    ended = await web(first, serve, PortRequest(80, host_port=8080))
    await first.networks.leave(ended.container)
    await first.close()
    assert "8080" in host.table6(suite)
    again = Node(suite, host)
    await again.open()
    await again.networks.make(FRONT)
    assert await again.ports.restore({}) == []
    assert "8080" not in host.table6(suite)
    await web(again, serve, PortRequest(80, host_port=8080), last=3)
    assert ask(outside.fd, "fd77::1", 8080) == "fd77::2"
    await again.close(teardown=True)
    wait_until(lambda: not host.own_links(), "all gone")


async def test_an_element_that_someone_left_behind_gives_way(
    node: Node, host: Namespace, outside: Namespace, serve: Serve
) -> None:
    await node.networks.make(FRONT)
    element = "{ tcp . 8080 : fd00:1::99 . 80 }"
    host.run("nft", "add", "element", "ip6", table_name(node.suite), "published", element)
    await web(node, serve, PortRequest(80, host_port=8080))
    assert ask(outside.fd, "fd77::1", 8080) == "fd77::2"
