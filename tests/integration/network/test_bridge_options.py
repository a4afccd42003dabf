"""Bridge networks with options, and their limits, on a real kernel with real traffic."""

import json
from collections.abc import Callable
from dataclasses import replace
from ipaddress import IPv4Network, IPv6Network
from typing import Any

import pytest
from tests.namespaces import Namespace, Process

from seaway_agent.network import bridge as bridge_module
from seaway_agent.network import options
from seaway_agent.network.errors import NetlinkError, NetworkError, SubnetError
from seaway_agent.network.names import bridge_names
from seaway_agent.network.port import EndpointRequest, NetworkSpec
from seaway_agent.network.ports import PortBinding, PortRequest
from seaway_agent.network.publisher import Published

from .conftest import Node, ask, unreachable

pytestmark = pytest.mark.root
Start = Callable[[int], Process]
Serve = Callable[..., Any]
FRONT, BRIDGE = "f" * 64, "br-ffffffffffff"
SUBNET = IPv4Network("10.1.0.0/24")


def front(internal: bool = False, **chosen: str) -> NetworkSpec:
    """The network `front`, with options by the names of the module's constants."""
    named = {getattr(options, name): value for name, value in chosen.items()}
    return NetworkSpec(FRONT, "front", subnet=SUBNET, gateway=SUBNET[1], internal=internal, options=named)


def at(last: int) -> EndpointRequest:
    return EndpointRequest(FRONT, SUBNET[last])


async def test_the_bridge_gets_the_name_that_was_asked_for(node: Node, host: Namespace) -> None:
    await node.networks.make(front(BRIDGE_NAME="vlan-front"))
    assert "inet 10.1.0.1/24" in host.run("ip", "address", "show", "vlan-front")
    await node.networks.remove(FRONT)
    assert "vlan-front" not in host.links()


@pytest.mark.parametrize("filtered", ["0", "1"])
async def test_containers_may_be_kept_apart(
    node: Node, host: Namespace, outside: Namespace, serve: Serve, filtered: str
) -> None:
    """By nftables where it sees bridged packets, otherwise by the bridge."""
    host.run("sh", "-c", f"echo {filtered} > /proc/sys/net/bridge/bridge-nf-call-iptables || true")
    await node.networks.make(front(ENABLE_ICC="false"))
    one, two = await node.acquire(at(2)), await node.acquire(at(3))
    serve(one.netns_fd, 80)
    serve(outside.fd, 7000)
    await node.ports.publish(one.container, one.address, [PortRequest(80, host_port=8080)])
    assert unreachable(two.netns_fd, "10.1.0.2", 80)
    for client in (one, two):
        assert ask(client.netns_fd, "10.77.0.2", 7000) == "10.77.0.1"
    assert ask(host.fd, "10.1.0.2", 80) == "10.1.0.1"
    assert ask(outside.fd, "10.77.0.1", 8080) == "10.77.0.2"
    assert ask(two.netns_fd, "10.1.0.1", 8080) == "10.1.0.1", "published ports are for all"


async def test_an_internal_network_reaches_nobody_else(
    node: Node, host: Namespace, outside: Namespace, serve: Serve
) -> None:
    await node.networks.make(front(internal=True))
    one, two, other = await node.acquire(at(2)), await node.acquire(at(3)), await node.acquire()
    for held in (one, other):
        serve(held.netns_fd, 80)
    serve(outside.fd, 7000)
    await node.ports.publish(other.container, other.address, [PortRequest(80, host_port=8080)])
    assert ask(two.netns_fd, "10.1.0.2", 80) == "10.1.0.3"
    assert ask(host.fd, "10.1.0.2", 80) == "10.1.0.1"
    inner = Namespace(two.netns_fd)
    assert "default" not in inner.run("ip", "route")
    inner.run("ip", "route", "add", "default", "via", "10.1.0.1")
    outside.run("ip", "route", "add", "10.1.0.0/24", "via", "10.77.0.1")
    assert unreachable(two.netns_fd, "10.77.0.2", 7000)
    assert unreachable(two.netns_fd, str(other.address), 80)
    assert unreachable(two.netns_fd, "10.77.0.1", 8080)
    assert unreachable(outside.fd, "10.1.0.2", 80)
    assert unreachable(other.netns_fd, "10.1.0.2", 80)


async def test_containers_leave_with_their_own_address_or_a_particular_one(
    node: Node, host: Namespace, outside: Namespace, serve: Serve
) -> None:
    serve(outside.fd, 7000)
    host.run("ip", "address", "add", "10.77.0.9/24", "dev", "cable")
    outside.run("ip", "route", "add", "10.1.0.0/24", "via", "10.77.0.1")
    for chosen, seen in (({"ENABLE_MASQUERADE": "false"}, "10.1.0.2"), ({"HOST_IPV4": "10.77.0.9"}, "10.77.0.9")):
        await node.networks.make(front(**chosen))
        held = await node.acquire(at(2))
        assert ask(held.netns_fd, "10.77.0.2", 7000) == seen
        await node.release(held)
        await node.networks.remove(FRONT)


async def test_ports_may_be_bound_to_one_address_by_default(
    node: Node, host: Namespace, outside: Namespace, serve: Serve
) -> None:
    await node.networks.make(front(HOST_BINDING="127.0.0.1"))
    held = await node.acquire(at(2))
    serve(held.netns_fd, 80)
    requests = [PortRequest(80, host_port=8080), PortRequest(80, host_ip="0.0.0.0", host_port=8081)]
    bindings = await node.ports.publish(held.container, held.address, requests)
    assert [binding.host_ip for binding in bindings] == ["127.0.0.1", "0.0.0.0"]
    assert ask(host.fd, "127.0.0.1", 8080) == "10.1.0.1"
    assert unreachable(outside.fd, "10.77.0.1", 8080)
    assert ask(outside.fd, "10.77.0.1", 8081) == "10.77.0.2"


async def test_a_bridge_may_be_without_an_ipv4_address(node: Node, host: Namespace, serve: Serve) -> None:
    await node.networks.make(front(INHIBIT_IPV4="true"))
    assert "inet " not in host.run("ip", "address", "show", BRIDGE)
    await node.networks.make(front(INHIBIT_IPV4="true"))
    one, two = await node.acquire(at(2)), await node.acquire(at(3))
    serve(one.netns_fd, 80)
    assert ask(two.netns_fd, "10.1.0.2", 80) == "10.1.0.3"


# --- refusals


async def test_another_programs_interface_is_left_alone(node: Node, host: Namespace) -> None:
    host.run("ip", "link", "add", "mine", "type", "bridge")
    before = host.table(node.suite), host.run("ip", "address")
    with pytest.raises(NetworkError, match="interface mine exists and is not network front's bridge: remove it first"):
        await node.networks.make(front(BRIDGE_NAME="mine"))
    with pytest.raises(SubnetError, match=r"subnet 10\.1\.0\.0/24 overlaps the host's network 10\.1\.0\.128/25"):
        host.run("ip", "address", "add", "10.1.0.129/25", "dev", "mine")
        await node.networks.make(front())
    host.run("ip", "address", "flush", "dev", "mine")
    assert (host.table(node.suite), host.run("ip", "address")) == before
    host.run("ip", "link", "delete", "mine")


async def test_an_overlapping_ipv6_subnet_is_refused(node: Node, host: Namespace, outside: Namespace) -> None:
    before = host.links()
    for subnet6 in ("fd77::/48", "fd77::/80"):
        with pytest.raises(SubnetError, match="overlaps the host's network fd77::/64"):
            await node.networks.make(NetworkSpec(FRONT, "front", subnet=SUBNET, subnet6=IPv6Network(subnet6)))
    assert (host.links(), node.networks.present()[1:]) == (before, ())


async def test_a_network_that_cannot_be_completed_leaves_no_bridge(
    node: Node, host: Namespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise NetlinkError(12, "no memory")

    before = host.links(), host.table(node.suite)
    for target in (
        "seaway_agent.network.rtnetlink.Interfaces.add_address",
        "seaway_agent.network.nft.NatTable.install",
    ):
        with pytest.raises(NetlinkError), monkeypatch.context() as patch:
            patch.setattr(target, refuse)
            await node.networks.make(front())
        assert (host.links(), host.table(node.suite)) == before
    await node.networks.make(front())


async def test_a_full_network_refuses_before_anything_is_made(
    node: Node, host: Namespace, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a smaller limit than the kernel's, which the bench of a full bridge reaches."""
    monkeypatch.setattr(bridge_module.BridgeDriver, "capacity", 2)
    await node.networks.make(front())
    one = await node.acquire(at(2))
    await node.acquire(at(3))
    text = "network front has 2 endpoints on this node, and a bridge can't have more: disconnect a container, or"
    before = host.own_links()
    with pytest.raises(NetworkError, match=text):
        await node.acquire(at(4))
    stranger = await node.acquire()
    process = start(stranger.netns_fd)
    node.networks.hand_over(stranger.container, process.pid)
    with pytest.raises(NetworkError, match=text):
        await node.networks.connect(stranger.container, at(4))
    await node.release(one)
    await node.networks.connect(stranger.container, at(4))
    assert before - host.own_links() <= {one.host_veth}


async def test_a_bridge_that_other_programs_filled_says_so(node: Node, host: Namespace) -> None:
    """The kernel's own refusal, at its 1,024th port."""
    await node.networks.make(front())
    numbers = range(bridge_module.MOST_PORTS)
    script = "".join(
        f"link add t{number} type veth peer name u{number}\nlink set t{number} master {BRIDGE}\n" for number in numbers
    )
    host.run("sh", "-c", f"ip -batch - <<'END'\n{script}END")
    before = host.own_links()
    with pytest.raises(NetworkError, match="the bridge of network front has no free port"):
        await node.acquire(at(2))
    assert host.own_links() == before
    host.run("ip", "link", "set", "t0", "nomaster")
    await node.release(await node.acquire(at(2)))


@pytest.mark.parametrize("made_again", [True, False])
async def test_a_bridge_that_a_killed_agent_had_not_finished(node: Node, host: Namespace, made_again: bool) -> None:
    """It has the name that tells whose it is, and no alias yet."""
    unfinished = bridge_names(node.suite, FRONT)[1]
    host.run("ip", "link", "add", unfinished, "type", "bridge")
    if made_again:
        await node.networks.make(front())
        assert host.own_links() == {node.bridge, BRIDGE}
    else:
        assert await node.networks.sweep() == [unfinished]
        assert host.own_links() == {node.bridge}


async def test_where_another_suite_has_the_name_there_is_another(node: Node, host: Namespace) -> None:
    other = Node("zz9", host)
    await other.open()
    await other.networks.make(front())
    mine = replace(front(), subnet=IPv4Network("10.2.0.0/24"), gateway=None)
    host.run("ip", "link", "add", bridge_names(node.suite, FRONT)[1], "type", "bridge")
    await node.networks.make(mine)
    second = bridge_names(node.suite, FRONT)[1]
    assert {BRIDGE, second} <= host.own_links()
    assert await other.networks.sweep() == await node.networks.sweep() == []
    await node.networks.make(mine)
    await other.close(teardown=True)
    assert host.own_links() == {node.bridge, second}


# --- rules


async def test_the_users_rules_come_first_and_survive_all_but_a_flush(
    suite: str, host: Namespace, outside: Namespace, serve: Serve
) -> None:
    first = Node(suite, host)
    await first.open()
    serve(outside.fd, 7000)
    rule = ("nft", "add", "rule", "ip", f"seaway_{suite}", "user", "tcp", "dport", "7000", "drop")
    host.run(*rule)
    await first.close()
    again = Node(suite, host)
    await again.open()
    await again.networks.make(front())
    held = await again.acquire(at(2))
    assert unreachable(held.netns_fd, "10.77.0.2", 7000)
    await again.networks.sweep()
    await again.ports.refresh()
    await again.release(held)
    await again.networks.remove(FRONT)
    assert "tcp dport 7000 drop" in host.run("nft", "list", "chain", "ip", f"seaway_{suite}", "user")
    await again.close(teardown=True)
    assert host.run("nft", "list", "tables") == ""


async def test_a_users_rule_may_say_who_reaches_published_ports(
    node: Node, host: Namespace, outside: Namespace, serve: Serve
) -> None:
    """The rule of docs/networks.md, with another subnet."""
    await node.networks.make(front())
    held = await node.acquire(at(2))
    serve(held.netns_fd, 80)
    serve(outside.fd, 7000)
    await node.ports.publish(held.container, held.address, [PortRequest(80, host_port=8080)])
    rule = "ct direction original ct status dnat ip saddr != 10.77.0.3 drop"
    outside.run("ip", "address", "add", "10.77.0.3/24", "dev", "cable")
    host.run("nft", f"add rule ip seaway_{node.suite} user {rule}")
    assert unreachable(outside.fd, "10.77.0.1", 8080)
    outside.run("ip", "route", "replace", "10.77.0.0/24", "dev", "cable", "src", "10.77.0.3")
    assert ask(outside.fd, "10.77.0.1", 8080) == "10.77.0.3"
    assert ask(held.netns_fd, "10.77.0.2", 7000) == "10.77.0.1"
    host.run("nft", f"flush chain ip seaway_{node.suite} user")
    host.run("nft", f"add rule ip seaway_{node.suite} user ct original proto-dst 8080 tcp dport 80 drop")
    assert unreachable(outside.fd, "10.77.0.1", 8080)


async def test_other_tables_are_left_alone(node: Node, host: Namespace) -> None:
    host.run("nft", "add table ip mine; add chain ip mine input { type filter hook input priority 0; }")
    host.run("nft", "add rule ip mine input tcp dport 9 drop")
    before = host.run("nft", "list", "table", "ip", "mine")
    await node.networks.make(front())
    await node.ports.refresh()
    await node.networks.remove(FRONT)
    assert host.run("nft", "list", "table", "ip", "mine") == before
    host.run("nft", "delete", "table", "ip", "mine")


async def test_the_thousandth_port_costs_what_the_first_did(node: Node, host: Namespace, serve: Serve) -> None:
    """A port is an element of a map. Rules are as many for ten thousand ports and some networks as for none."""
    before = rules(host, node)
    await node.networks.make(front())
    held = await node.acquire(at(2))
    serve(held.netns_fd, 80)
    many = tuple(PortBinding("sctp", "0.0.0.0", port, 80) for port in range(1, 10001))
    await node.ports.restore({held.container: Published(held.address, many)})
    await node.ports.publish("other", held.address, [PortRequest(80, host_port=8080)])
    assert rules(host, node) == before
    assert host.table(node.suite).count(" : 10.1.0.2 . 80") == 10001
    assert ask(host.fd, "127.0.0.1", 8080) == "10.1.0.1"


def rules(host: Namespace, node: Node) -> int:
    shown = json.loads(host.run("nft", "-j", "list", "table", "ip", f"seaway_{node.suite}"))
    return sum("rule" in one for one in shown["nftables"])


# --- facts


async def test_the_hosts_routes_without_its_containers_networks(
    node: Node, host: Namespace, outside: Namespace
) -> None:
    await node.networks.make(front())
    assert await node.networks.routes() == ("10.77.0.0/24", "fd77::/64")
    host.run("ip", "route", "add", "10.8.0.0/16", "via", "10.77.0.2")
    host.run("ip", "route", "add", "default", "via", "10.77.0.2")
    host.run("ip", "route", "add", "10.9.0.0/16", "via", "10.77.0.2", "table", "99")
    assert await node.networks.routes() == ("10.8.0.0/15", "10.77.0.0/24", "fd77::/64")
    assert await node.networks.routes() == await node.networks.routes()


async def test_after_a_link_of_the_bridge_was_deleted_all_is_made_again(
    node: Node, host: Namespace, serve: Serve
) -> None:
    await node.networks.make(front())
    host.run("ip", "link", "delete", BRIDGE)
    await node.ports.refresh()
    held = await node.acquire(at(2))
    serve(held.netns_fd, 80)
    assert ask(host.fd, "10.1.0.2", 80) == "10.1.0.1"
