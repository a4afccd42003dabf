"""Published ports with real traffic: from the host, from outside, from containers; and after a restart."""

import asyncio
import socket
import threading
from collections.abc import Callable, Sized
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from tests.namespaces import Namespace, Process, call_in, end, wait_until

from seaway_agent.network.errors import PortError
from seaway_agent.network.names import table_name
from seaway_agent.network.ports import PortBinding, PortRequest
from seaway_agent.network.publisher import Published

from .conftest import Held, Node, ask, ask_udp, unreachable

pytestmark = pytest.mark.root
Start = Callable[[int], Process]
Serve = Callable[..., Any]
BRIDGE_FILTER = "/proc/sys/net/bridge/bridge-nf-call-iptables"


async def published(node: Node, serve: Serve, *requests: PortRequest) -> Held:
    """A container that answers on port 80 and publishes what is asked for."""
    sandbox = await node.acquire()
    serve(sandbox.netns_fd, 80)
    await node.ports.publish("web", sandbox.address, requests)
    return sandbox


@pytest.mark.parametrize("bridge_filter", ["0", "1"])
async def test_a_port_of_all_addresses_is_reachable_from_everywhere(
    node: Node, host: Namespace, outside: Namespace, serve: Serve, bridge_filter: str
) -> None:
    """With br_netfilter, bridged packets pass nftables too; the sysctl is the test namespace's own."""
    if Path(BRIDGE_FILTER).exists():
        host.run("sh", "-c", f"echo {bridge_filter} > {BRIDGE_FILTER}")
    web = await published(node, serve, PortRequest(80, host_port=8080))
    client = await node.acquire()
    assert ask(host.fd, "127.0.0.1", 8080) == "172.18.0.1"
    assert ask(host.fd, "127.0.0.5", 8080) == "172.18.0.1"
    assert ask(host.fd, "172.18.0.1", 8080) == "172.18.0.1"
    assert ask(host.fd, "10.77.0.1", 8080) == "10.77.0.1"
    assert ask(outside.fd, "10.77.0.1", 8080) == "10.77.0.2"
    assert ask(client.netns_fd, "172.18.0.1", 8080) == "172.18.0.1"
    assert ask(client.netns_fd, "10.77.0.1", 8080) == "172.18.0.1"
    assert ask(web.netns_fd, "172.18.0.1", 8080) == "172.18.0.1"
    await node.ports.unpublish("web")
    assert unreachable(host.fd, "127.0.0.1", 8080)
    assert unreachable(outside.fd, "10.77.0.1", 8080)


async def test_a_port_of_loopback_is_the_hosts_alone(
    node: Node, host: Namespace, outside: Namespace, serve: Serve
) -> None:
    await published(node, serve, PortRequest(80, host_ip="127.0.0.1", host_port=8080))
    client = await node.acquire()
    assert ask(host.fd, "127.0.0.1", 8080) == "172.18.0.1"
    assert unreachable(outside.fd, "10.77.0.1", 8080)
    assert unreachable(client.netns_fd, "172.18.0.1", 8080)


async def test_a_port_of_one_address(node: Node, host: Namespace, outside: Namespace, serve: Serve) -> None:
    await published(node, serve, PortRequest(80, host_ip="10.77.0.1", host_port=8080))
    assert ask(outside.fd, "10.77.0.1", 8080) == "10.77.0.2"
    assert ask(host.fd, "10.77.0.1", 8080) == "10.77.0.1"
    assert unreachable(host.fd, "127.0.0.1", 8080)


async def test_containers_leave_with_the_hosts_address(
    node: Node, host: Namespace, outside: Namespace, serve: Serve
) -> None:
    sandbox = await node.acquire()
    serve(outside.fd, 7000)
    assert ask(sandbox.netns_fd, "10.77.0.2", 7000) == "10.77.0.1"


async def test_containers_are_not_reachable_from_outside_but_by_published_ports(
    node: Node, host: Namespace, outside: Namespace, serve: Serve
) -> None:
    web = await published(node, serve, PortRequest(80, host_port=8080))
    outside.run("ip", "route", "add", "172.18.0.0/16", "via", "10.77.0.1")
    assert unreachable(outside.fd, str(web.address), 80)
    assert ask(outside.fd, "10.77.0.1", 8080) == "10.77.0.2"


async def test_suites_are_isolated_but_meet_at_published_ports(node: Node, host: Namespace, serve: Serve) -> None:
    other = Node("zz9", host)
    await other.open()
    web = await published(node, serve, PortRequest(80, host_port=8080))
    stranger = await other.acquire()
    assert unreachable(stranger.netns_fd, str(web.address), 80)
    assert ask(stranger.netns_fd, str(stranger.first.gateway), 8080) == str(web.first.gateway)
    await other.close(teardown=True)


async def test_containers_do_not_reach_services_on_the_hosts_loopback(
    node: Node, host: Namespace, serve: Serve
) -> None:
    serve(host.fd, 9000, host="127.0.0.1")
    sandbox = await node.acquire()
    inner = Namespace(sandbox.netns_fd)
    inner.run("sh", "-c", "echo 1 > /proc/sys/net/ipv4/conf/eth0/route_localnet")
    inner.run("ip", "address", "del", "127.0.0.1/8", "dev", "lo")
    inner.run("ip", "route", "add", "127.0.0.1/32", "via", "172.18.0.1", "dev", "eth0")
    assert unreachable(sandbox.netns_fd, "127.0.0.1", 9000)
    assert ask(host.fd, "127.0.0.1", 9000) == "127.0.0.1"


async def test_udp_clients_find_the_new_container(
    node: Node, host: Namespace, outside: Namespace, serve: Serve
) -> None:
    with call_in(outside.fd, lambda: socket.socket(type=socket.SOCK_DGRAM)) as client:
        client.settimeout(0.2)
        client.bind(("10.77.0.2", 4000))
        client.sendto(b"too early", ("10.77.0.1", 5300))
        for name in ("first", "second"):
            sandbox = await node.acquire()
            serve(sandbox.netns_fd, 53, socket.SOCK_DGRAM)
            await node.ports.publish(name, sandbox.address, [PortRequest(53, "udp", host_port=5300)])

            def answered() -> bool:
                try:
                    return ask_udp(client, "10.77.0.1", 5300) == "10.77.0.2"
                except OSError:
                    return False

            await asyncio.to_thread(wait_until, answered, f"{name} container answers")
            await node.ports.unpublish(name)
            await node.release(sandbox)


async def test_nft_shows_the_elements(node: Node, host: Namespace) -> None:
    sandbox = await node.acquire()
    requests = [
        PortRequest(80, host_port=8080),
        PortRequest(53, "udp", "127.0.0.1", 5300),
        PortRequest(36412, "sctp", host_port=3000),
    ]
    bindings = await node.ports.publish("web", sandbox.address, requests)
    assert [(b.protocol, b.host_ip, b.host_port) for b in bindings] == [
        ("tcp", "0.0.0.0", 8080),
        ("tcp", "::", 8080),
        ("udp", "127.0.0.1", 5300),
        ("sctp", "0.0.0.0", 3000),
    ]
    table = host.table(node.suite)
    assert "tcp . 8080 : 172.18.0.2 . 80" in table
    assert "sctp . 3000 : 172.18.0.2 . 36412" in table
    assert "udp . 127.0.0.1 . 5300 : 172.18.0.2 . 53" in table
    await node.ports.unpublish("web")
    assert " : 172.18." not in host.table(node.suite)


async def test_conflicts_leave_nothing(node: Node, host: Namespace, serve: Serve) -> None:
    sandbox = await node.acquire()
    serve(host.fd, 8000)
    requests = [PortRequest(80, host_port=8001), PortRequest(80, host_port=8000)]
    with pytest.raises(PortError, match=r"^listen tcp4 0\.0\.0\.0:8000: bind: address already in use$"):
        await node.ports.publish("a", sandbox.address, requests)
    assert " : 172.18." not in host.table(node.suite)
    await node.ports.publish("a", sandbox.address, [PortRequest(80, host_port=8001)])
    with pytest.raises(PortError, match=r"^Bind for 0\.0\.0\.0:8001 failed: port is already allocated$"):
        await node.ports.publish("b", sandbox.address, [PortRequest(80, host_port=8001)])
    await node.ports.unpublish("b")
    assert ask_refused(host, 8001)


def ask_refused(host: Namespace, port: int) -> bool:
    """Whether the port is translated to a container on which nobody listens."""
    with call_in(host.fd, socket.socket) as client:
        client.settimeout(2)
        return client.connect_ex(("127.0.0.1", port)) != 0


async def test_a_thousand_elements(node: Node, host: Namespace) -> None:
    sandbox = await node.acquire()
    bindings = tuple(PortBinding("tcp", "127.0.0.1", port, 80) for port in range(20000, 20100)) + tuple(
        PortBinding("sctp", "0.0.0.0", port, 80) for port in range(1, 1001)
    )
    await node.ports.restore({"many": Published(sandbox.address, bindings)})
    assert host.table(node.suite).count(" : 172.18.0.2 . 80") == 1100
    await node.networks.sweep()
    assert host.table(node.suite).count(" : 172.18.0.2 . 80") == 1100
    await node.release(sandbox)
    await node.ports.restore({})
    assert " : 172.18." not in host.table(node.suite)


async def test_refresh_after_a_firewall_flushed_everything(node: Node, host: Namespace, serve: Serve) -> None:
    await published(node, serve, PortRequest(80, host_port=8080))
    host.run("nft", "flush", "ruleset")
    assert unreachable(host.fd, "127.0.0.1", 8080)
    await node.ports.refresh()
    assert ask(host.fd, "127.0.0.1", 8080) == "172.18.0.1"
    host.run("nft", "flush", "ruleset")
    await node.ports.unpublish("web")
    assert host.run("nft", "list", "tables") == ""
    other = await node.acquire()
    serve(other.netns_fd, 80)
    await node.ports.publish("other", other.address, [PortRequest(80, host_port=8080)])
    assert ask(host.fd, "127.0.0.1", 8080) == "172.18.0.1"


def _answers(host: Namespace) -> bool:
    return not unreachable(host.fd, "127.0.0.1", 8080)


async def test_a_flushed_firewall_is_put_right_at_once(node: Node, host: Namespace, serve: Serve) -> None:
    guard = asyncio.ensure_future(node.ports.repair_on_flush())
    try:
        await published(node, serve, PortRequest(80, host_port=8080))
        for _ in range(2):
            host.run("nft", "flush", "ruleset")
            back = partial(_answers, host)
            await asyncio.to_thread(wait_until, back, "the port is published again")
            assert ask(host.fd, "127.0.0.1", 8080) == "172.18.0.1"
        assert not guard.done()
    finally:
        guard.cancel()
        await asyncio.wait([guard])


async def test_an_element_that_someone_left_behind_gives_way(node: Node, host: Namespace, serve: Serve) -> None:
    name = table_name(node.suite)
    host.run("nft", "add", "element", "ip", name, "published", "{ tcp . 8080 : 172.18.99.99 . 80 }")
    await published(node, serve, PortRequest(80, host_port=8080))
    assert ask(host.fd, "127.0.0.1", 8080) == "172.18.0.1"


def longer(items: Sized, wanted: int) -> bool:
    return len(items) > wanted


async def test_restart_keeps_live_ports_without_a_gap(suite: str, host: Namespace, serve: Serve, start: Start) -> None:
    first = Node(suite, host)
    subnet = await first.open()
    web = await published(first, serve, PortRequest(80, host_port=8080))
    await first.ports.publish("gone", web.address, [PortRequest(80, host_port=9090)])
    process = start(web.netns_fd)
    failures, rounds, stop = list[OSError](), list[str](), threading.Event()

    def hammer() -> None:
        while not stop.is_set():
            try:
                rounds.append(ask(host.fd, "127.0.0.1", 8080))
            except OSError as error:
                failures.append(error)

    hammering = threading.Thread(target=hammer)
    hammering.start()
    await first.close()
    live = {"web": Published(web.address, (PortBinding("tcp", "0.0.0.0", 8080, 80),))}
    for _ in range(5):
        again = Node(suite, host)
        assert await again.open() == subnet
        await again.networks.adopt(web.container, process.pid, [web.request])
        assert await again.ports.restore(live) == []
        await again.networks.sweep()
        wanted = len(rounds) + 5
        await asyncio.to_thread(wait_until, partial(longer, rounds, wanted), "traffic goes on")
        await again.close()
    stop.set()
    await asyncio.to_thread(hammering.join)
    assert failures == []
    assert "9090" not in host.table(suite)
    end(process)
    last = Node(suite, host)
    await last.open()
    await last.close(teardown=True)
    wait_until(lambda: not host.own_links(), "all gone")
    assert host.run("nft", "list", "tables") == ""
