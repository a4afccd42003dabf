"""Macvlan networks: containers are in the segment of an interface of the host."""

import errno
from collections.abc import Callable
from ipaddress import IPv4Network, IPv6Network
from typing import Any

import pytest
from tests.namespaces import Namespace, Process, end, wait_until

from seaway_agent.network.errors import NetlinkError, NetworkError
from seaway_agent.network.options import MACVLAN_MODE, MTU, PARENT
from seaway_agent.network.port import EndpointRequest, NetworkSpec

from .conftest import BRIDGE, Node, ask, unreachable

pytestmark = pytest.mark.root
Start = Callable[[int], Process]
Serve = Callable[..., Any]
SUBNET, SUBNET6 = IPv4Network("10.77.0.0/24"), IPv6Network("fd77::/64")


def lan(network_id: str = "a" * 64, *, internal: bool = False, **chosen: str) -> NetworkSpec:
    return NetworkSpec(
        network_id,
        f"lan-{network_id[0]}",
        "macvlan",
        SUBNET,
        None if internal else SUBNET[2],
        SUBNET6,
        internal=internal,
        options={{"parent": PARENT, "mode": MACVLAN_MODE, "mtu": MTU}[name]: value for name, value in chosen.items()},
    )


def at(last: int, network_id: str = "a" * 64) -> EndpointRequest:
    return EndpointRequest(network_id, SUBNET[last], SUBNET6[last])


async def test_containers_are_in_the_segment_of_the_parent(
    node: Node, host: Namespace, outside: Namespace, serve: Serve
) -> None:
    await node.networks.make(lan(parent="cable", mtu="1400"))
    one, two = await node.acquire(at(20)), await node.acquire(at(21))
    serve(outside.fd, 7000)
    serve(outside.fd, 7000, host="::")
    for held in (one, two):
        serve(held.netns_fd, 80)
        assert ask(held.netns_fd, "10.77.0.2", 7000) == str(held.address)
    assert ask(one.netns_fd, "fd77::2", 7000) == "fd77::14"
    assert ask(outside.fd, "10.77.0.20", 80) == "10.77.0.2"
    assert ask(two.netns_fd, "10.77.0.20", 80) == "10.77.0.21"
    assert unreachable(host.fd, "10.77.0.20", 80), "as everywhere: not from the parent's own host"
    assert " mtu 1400 " in Namespace(one.netns_fd).run("ip", "link", "show", "eth0")
    assert "default via 10.77.0.2 dev eth0" in Namespace(one.netns_fd).run("ip", "route")
    for held in (one, two):
        await node.release(held)
    await node.networks.remove("a" * 64)
    assert "cable" in host.links(), "the parent is the user's"


async def test_without_a_parent_a_network_leads_nowhere(node: Node, host: Namespace, serve: Serve) -> None:
    await node.networks.make(lan(internal=True))
    one, two = await node.acquire(at(20)), await node.acquire(at(21))
    serve(one.netns_fd, 80)
    assert ask(two.netns_fd, "10.77.0.20", 80) == "10.77.0.21"
    assert "default" not in Namespace(one.netns_fd).run("ip", "route")
    assert "dm-aaaaaaaaaaaa" in host.links()
    await node.release(one)
    await node.release(two)
    await node.networks.remove("a" * 64)
    assert host.own_links() == {node.bridge}


async def test_a_missing_parent_is_refused_in_a_clear_sentence(node: Node, host: Namespace, outside: Namespace) -> None:
    before = host.links()
    for parent, text in (
        ("eth9", "network lan-a: this host has no interface eth9, and that is no name of a VLAN such as eth0.50"),
        ("eth9.50", "there is no interface eth9"),
    ):
        with pytest.raises(NetworkError, match=text):
            await node.networks.make(lan(parent=parent))
        assert (host.links(), node.networks.present()[1:]) == (before, ())
    with pytest.raises(NetworkError, match="is not on this node"):
        await node.acquire(at(20))
    await node.networks.make(lan(parent="cable"))


async def test_a_vlan_is_made_and_removed_with_its_network(node: Node, host: Namespace, outside: Namespace) -> None:
    try:
        await node.networks.make(lan(parent="cable.50"))
    except NetlinkError as error:
        assert error.code == errno.EOPNOTSUPP
        pytest.skip("this kernel has no VLANs")
    shown = host.run("ip", "-d", "link", "show", "cable.50")
    assert "vlan protocol 802.1Q id 50" in shown
    assert ",UP," in shown
    await node.networks.remove("a" * 64)
    assert "cable.50" not in host.links()


async def test_a_parent_is_one_networks(node: Node, host: Namespace, outside: Namespace) -> None:
    await node.networks.make(lan(parent="cable"))
    with pytest.raises(NetworkError, match="network aaaaaaaaaaaa is already using parent interface cable"):
        await node.networks.make(lan("b" * 64, parent="cable"))
    await node.networks.remove("a" * 64)
    await node.networks.make(lan("b" * 64, parent="cable"))


async def test_the_next_agent_finds_parents_and_endpoints_and_sweeps_the_rest(
    suite: str, host: Namespace, outside: Namespace, start: Start
) -> None:
    first = Node(suite, host)
    await first.open()
    for spec in (lan(parent="cable"), lan("b" * 64, internal=True), lan("c" * 64, internal=True)):
        await first.networks.make(spec)
    held = await first.acquire(at(20))
    process = start(held.netns_fd)
    Namespace(held.netns_fd).run("ip", "link", "set", "eth0", "down")
    Namespace(held.netns_fd).run("ip", "link", "set", "eth0", "name", "lan0")
    await first.close()
    again = Node(suite, host)
    await again.open()
    await again.networks.make(lan(parent="cable"))
    await again.networks.make(lan("c" * 64, internal=True))
    [adopted] = await again.networks.adopt(held.container, process.pid, [at(20)])
    assert (adopted.interface, adopted.mac) == ("lan0", held.first.mac)
    assert await again.networks.sweep() == ["dm-bbbbbbbbbbbb"]
    assert {"cable", "dm-cccccccccccc"} <= host.links()
    end(process)
    await again.networks.leave(held.container)
    await again.close(teardown=True)
    wait_until(lambda: not host.own_links(), "all gone")
    assert "cable" in host.links()


async def test_a_container_may_have_a_bridge_and_a_macvlan(
    node: Node, host: Namespace, outside: Namespace, serve: Serve
) -> None:
    await node.networks.make(lan(parent="cable"))
    held = await node.acquire(BRIDGE, at(20))
    serve(outside.fd, 7000)
    assert ask(held.netns_fd, "10.77.0.2", 7000) == "10.77.0.20"
    assert "default via 172.18.0.1 dev eth0" in Namespace(held.netns_fd).run("ip", "route")
    await node.release(held)


async def test_traffic_is_counted_where_the_host_has_no_interface(node: Node, start: Start, serve: Serve) -> None:
    await node.networks.make(lan(internal=True))
    one, two = await node.acquire(at(20)), await node.acquire(at(21))
    serve(one.netns_fd, 80)
    assert ask(two.netns_fd, "10.77.0.20", 80) == "10.77.0.21"
    processes = [start(held.netns_fd) for held in (one, two)]
    for held, process in zip((one, two), processes, strict=True):
        node.networks.hand_over(held.container, process.pid)
    counters = [counters["eth0"] for counters in (await node.networks.counters()).values()]
    assert len(counters) == 2
    assert all(found.rx_bytes > 0 < found.tx_packets for found in counters)
    for held, process in zip((one, two), processes, strict=True):
        end(process)
        await node.release(held)
    await node.networks.remove("a" * 64)
