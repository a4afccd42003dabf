"""Sandboxes in a real kernel: what is in them, who holds them, and that nothing of them stays."""

import asyncio
import contextlib
import os
import resource
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from ipaddress import IPv4Address, IPv4Network
from typing import Any

import pytest
from tests.namespaces import Namespace, Process, call_in, end, wait_until

from seaway_agent.network import adoption
from seaway_agent.network.errors import AddressError, NetlinkError, NetworkError, SandboxGone, SubnetError
from seaway_agent.network.names import table_name
from seaway_agent.network.port import DEFAULT_NETWORK, EndpointRequest
from seaway_agent.network.veths import Veths
from seaway_testing.descriptors import open_descriptors

from .conftest import Node, ask

pytestmark = pytest.mark.root
Start = Callable[[int], Process]


def fixed(address: IPv4Address | str, mac: str | None = None) -> EndpointRequest:
    return EndpointRequest(DEFAULT_NETWORK, IPv4Address(address), mac=mac)


async def until(condition: Callable[[], bool], what: str) -> None:
    await asyncio.to_thread(wait_until, condition, what)


async def test_a_sandbox_has_what_a_container_expects(node: Node) -> None:
    sandbox = await node.acquire()
    assert (str(sandbox.address), sandbox.first.prefix_len, str(sandbox.first.gateway)) == (
        "172.18.0.2",
        16,
        "172.18.0.1",
    )
    inner = Namespace(os.dup(sandbox.netns_fd))
    shown = inner.run("ip", "address")
    assert "inet 172.18.0.2/16 brd 172.18.255.255 scope global eth0" in shown
    assert "link/ether 02:42:ac:12:00:02" in shown
    assert "fe80" not in shown
    assert "inet 127.0.0.1/8" in shown
    assert inner.run("ip", "route").splitlines()[0].strip() == "default via 172.18.0.1 dev eth0"
    assert inner.run("cat", "/proc/sys/net/ipv4/ip_unprivileged_port_start") == "0\n"
    assert inner.run("cat", "/proc/sys/net/ipv4/ping_group_range").split() == ["0", "2147483647"]
    inner.close()
    await node.release(sandbox)


@pytest.mark.parametrize("adopted", [False, True])
async def test_a_shared_sandbox_stays_without_endpoints(
    suite: str, host: Namespace, start: Start, adopted: bool
) -> None:
    node = Node(suite, host)
    await node.open()
    held = await node.acquire()
    inner = Namespace(os.dup(held.netns_fd))
    owner, guest = start(inner.fd), start(inner.fd)
    node.networks.hand_over(held.container, owner.pid)
    if adopted:
        await node.close()
        node = Node(suite, host)
        await node.open()
        await node.networks.adopt(held.container, owner.pid, [held.request])
    await node.networks.share(held.container)
    end(owner)
    await node.release(held)
    assert "eth0" not in inner.links() and guest.poll() is None
    again = await node.acquire(fixed(held.address))
    assert again.address == held.address and held.host_veth not in host.links()
    await node.release(again)
    inner.close()
    await node.close(teardown=True)


async def test_a_sandbox_without_network(node: Node) -> None:
    sandbox = await node.join([])
    inner = Namespace(sandbox.netns_fd)
    assert "eth0" not in inner.links()
    assert "inet 127.0.0.1/8" in inner.run("ip", "address", "show", "lo")
    assert sandbox.endpoints == ()
    await node.release(sandbox)
    await node.release(sandbox)


async def test_sandboxes_reach_each_other(node: Node, serve: Callable[..., Any]) -> None:
    one, two = await node.acquire(), await node.acquire()
    serve(two.netns_fd, 80)
    assert ask(one.netns_fd, str(two.address), 80) == str(one.address)
    await node.release(one)
    await node.release(two)


async def test_fixed_address_and_mac(node: Node) -> None:
    address = IPv4Address("172.18.77.7")
    sandbox = await node.acquire(fixed(address, "02:42:00:00:00:99"))
    assert "02:42:00:00:00:99" in Namespace(sandbox.netns_fd).run("ip", "link", "show", "eth0")
    assert (sandbox.address, sandbox.first.mac) == (address, "02:42:00:00:00:99")
    with pytest.raises(AddressError, match="Address already in use"):
        await node.acquire(fixed(address))
    await node.release(sandbox)
    again = await node.acquire(fixed(address))
    assert again.first.mac == "02:42:ac:12:4d:07"
    await node.release(again)


async def test_the_pool_fills_itself_and_keeps_the_order_of_addresses(node: Node) -> None:
    node.networks.fill()
    await until(lambda: node.networks.ready() == 8 and node.networks.ready("none") == 4, "pools full")
    taken = [await node.acquire() for _ in range(12)]
    assert [str(sandbox.address) for sandbox in taken] == [f"172.18.0.{n}" for n in range(2, 14)]
    await until(lambda: node.networks.ready() == 8, "pool full again")
    for sandbox in taken:
        await node.release(sandbox)


async def test_a_fixed_address_is_found_in_the_pool(node: Node) -> None:
    node.networks.fill()
    await until(lambda: node.networks.ready() == 8, "pool full")
    sandbox = await node.acquire(fixed("172.18.0.5"))
    other = await node.acquire(fixed("172.18.0.6", "02:42:00:00:00:01"))
    assert (str(sandbox.address), str(other.address), other.first.mac) == (
        "172.18.0.5",
        "172.18.0.6",
        "02:42:00:00:00:01",
    )
    addresses = {str((await node.acquire()).address) for _ in range(8)}
    assert not addresses & {"172.18.0.5", "172.18.0.6"}


async def test_many_at_once_all_differ(node: Node) -> None:
    sandboxes = await asyncio.gather(*(node.acquire() for _ in range(24)))
    assert len({sandbox.address for sandbox in sandboxes}) == 24
    assert len({sandbox.host_veth for sandbox in sandboxes}) == 24
    await asyncio.gather(*(node.release(sandbox) for sandbox in sandboxes))


async def test_released_sandbox_vanishes_and_frees_its_address(node: Node, host: Namespace) -> None:
    address = IPv4Address("172.18.0.9")
    for _ in range(3):
        sandbox = await node.acquire(fixed(address))
        await node.release(sandbox)
        await node.release(sandbox)
    await until(lambda: len(host.own_links()) == 1, "only the bridge is left")


async def test_handed_over_sandbox_lives_with_its_process(node: Node, host: Namespace, start: Start) -> None:
    sandbox = await node.acquire()
    process = start(sandbox.netns_fd)
    fd = sandbox.netns_fd
    node.networks.hand_over(sandbox.container, process.pid)
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(fd)
    assert sandbox.host_veth in host.links()
    end(process)
    await until(lambda: sandbox.host_veth not in host.links(), "veth gone with the process")
    await node.release(sandbox)


async def test_an_error_half_way_leaves_nothing(node: Node, host: Namespace, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise NetlinkError(12, "cannot configure eth0: Cannot allocate memory")

    monkeypatch.setattr(Veths, "_configure", refuse)
    before = open_descriptors()
    with pytest.raises(NetlinkError):
        await node.acquire()
    assert open_descriptors() == before
    monkeypatch.undo()
    await until(lambda: len(host.own_links()) == 1, "only the bridge is left")
    sandbox = await node.acquire(fixed("172.18.0.2"))
    await node.release(sandbox)


def fill_descriptors() -> list[int]:
    """Open files until no more can be opened."""
    opened: list[int] = []
    with contextlib.suppress(OSError):
        while True:
            opened.append(os.open("/dev/null", os.O_RDONLY))
    return opened


async def test_without_descriptors_left_the_error_is_clear_and_passes(node: Node, host: Namespace) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    await node.release(await node.acquire())
    before = open_descriptors()
    highest = max(int(name) for name in os.listdir("/proc/self/fd"))
    for spare in range(2):
        resource.setrlimit(resource.RLIMIT_NOFILE, (highest + 1, hard))
        fillers = fill_descriptors()
        try:
            for _ in range(spare):
                os.close(fillers.pop())
            with pytest.raises(OSError, match="Too many open files"):
                await node.acquire()
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
            for filler in fillers:
                os.close(filler)
    assert open_descriptors() == before
    sandbox = await node.acquire()
    assert sandbox.host_veth in host.links()
    await node.release(sandbox)


async def test_a_cancelled_caller_leaves_no_sandbox(node: Node, host: Namespace) -> None:
    before = open_descriptors()
    tasks = [asyncio.create_task(node.acquire()) for _ in range(8)]
    await asyncio.sleep(0)
    for task in tasks:
        task.cancel()
    for task in tasks:
        with contextlib.suppress(asyncio.CancelledError):
            await task
    await node.networks.sweep()
    assert open_descriptors() == before
    await until(lambda: len(host.own_links()) == 1, "only the bridge is left")


async def test_restart_adopts_the_living_and_sweeps_the_rest(suite: str, host: Namespace, start: Start) -> None:
    first = Node(suite, host)
    subnet = await first.open()
    kept, orphan = await first.acquire(), await first.acquire()
    processes = [start(sandbox.netns_fd) for sandbox in (kept, orphan)]
    isolated = await first.join([])
    processes.append(start(isolated.netns_fd))
    await first.close()

    second = Node(suite, host, subnet)
    assert await second.open() == subnet
    assert await second.networks.adopt(kept.container, processes[0].pid, [kept.request]) == kept.endpoints
    assert await second.networks.adopt(isolated.container, processes[2].pid, []) == ()
    assert await second.networks.sweep() == [orphan.host_veth]
    assert host.own_links() == {second.bridge, kept.host_veth}
    fresh = await second.acquire()
    assert fresh.address == IPv4Address("172.18.0.3")
    counted = await second.networks.counters()
    assert {container: set(found) for container, found in counted.items()} == {
        kept.container: {"eth0"}, fresh.container: {"eth0"}, isolated.container: set(),
    }  # fmt: skip
    for process in processes:
        end(process)
    with pytest.raises(SandboxGone, match="has ended"):
        await second.networks.adopt(orphan.container, processes[1].pid, [fixed("172.18.0.3")])
    await second.close(teardown=True)
    wait_until(lambda: not host.own_links(), "all gone")


@pytest.mark.parametrize(
    "change",
    [
        "address flush dev eth0; address add 10.9.9.9/24 dev eth0",
        "link set eth0 down; link set eth0 name other0",
        "link add v7 type veth peer name v8",
    ],
)
async def test_a_living_sandbox_is_never_swept_whatever_its_process_has_changed(
    suite: str, host: Namespace, start: Start, change: str
) -> None:
    first = Node(suite, host)
    subnet = await first.open()
    sandbox = await first.acquire()
    process = start(sandbox.netns_fd)
    inner = Namespace(os.dup(sandbox.netns_fd))
    for words in change.split("; "):
        inner.run("ip", *words.split())
    inner.close()
    await first.close()

    second = Node(suite, host, subnet)
    await second.open()
    [adopted] = await second.networks.adopt(sandbox.container, process.pid, [sandbox.request])
    assert (adopted.address, adopted.host_interface) == (sandbox.address, sandbox.host_veth)
    assert await second.networks.sweep() == []
    fresh = await second.acquire()
    assert fresh.address != sandbox.address
    end(process)
    await second.release(sandbox)
    again = await second.acquire(fixed(sandbox.address))
    assert again.address == sandbox.address
    await second.close(teardown=True)
    wait_until(lambda: not host.own_links(), "all gone")


async def test_two_that_claim_one_address_both_keep_their_network(suite: str, host: Namespace, start: Start) -> None:
    first = Node(suite, host)
    subnet = await first.open()
    one, two = await first.acquire(), await first.acquire()
    processes = [start(sandbox.netns_fd) for sandbox in (one, two)]
    await first.close()
    second = Node(suite, host, subnet)
    await second.open()
    [kept], [other] = [
        await second.networks.adopt(held.container, process.pid, [one.request])
        for held, process in zip((one, two), processes, strict=True)
    ]
    assert (kept.host_interface, other.host_interface) == (one.host_veth, two.host_veth)
    assert [second.networks.owns(held.container, kept.address) for held in (one, two)] == [True, False]
    assert await second.networks.sweep() == []
    await second.release(two)
    with pytest.raises(AddressError, match="Address already in use"):
        await second.acquire(fixed(one.address))
    for process in processes:
        end(process)
    await second.close(teardown=True)
    wait_until(lambda: not host.own_links(), "all gone")


async def test_where_a_living_sandbox_can_t_be_looked_at_nothing_is_swept(
    suite: str, host: Namespace, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = Node(suite, host)
    subnet = await first.open()
    sandbox = await first.acquire()
    process = start(sandbox.netns_fd)
    await first.close()

    def refuse(*_: object) -> None:
        raise NetlinkError(105, "cannot list interfaces: No buffer space available")

    monkeypatch.setattr(adoption, "links", refuse)
    second = Node(suite, host, subnet)
    await second.open()
    await second.networks.adopt(sandbox.container, process.pid, [sandbox.request])
    assert await second.networks.sweep() == []
    assert sandbox.host_veth in host.links()
    assert (await second.acquire()).address != sandbox.address
    await second.release(sandbox)
    end(process)
    await second.close(teardown=True)
    wait_until(lambda: not host.own_links(), "all gone")


AGENT = """
import asyncio, sys
from seaway_agent.network.networks import NodeNetworks
from seaway_agent.network.port import DEFAULT_NETWORK, EndpointRequest, NetworkSpec

async def main():
    suite, fd = sys.argv[1], int(sys.argv[2])
    networks = NodeNetworks(suite, netns_fd=fd)
    await networks.open()
    await networks.make(NetworkSpec(DEFAULT_NETWORK, "bridge"))
    for number in range(3):
        await networks.join(str(number), [EndpointRequest(DEFAULT_NETWORK)])
    networks.fill()
    while networks.ready() < 8:
        await asyncio.sleep(0.005)
    print("ready", flush=True)
    await asyncio.sleep(600)

asyncio.run(main())
"""


def test_a_killed_agent_leaves_bridge_and_table_but_no_sandbox(suite: str, host: Namespace) -> None:
    command = [sys.executable, "-c", AGENT, suite, str(host.fd)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, pass_fds=[host.fd]) as agent:
        assert agent.stdout is not None
        assert agent.stdout.readline() == b"ready\n"
        assert len(host.own_links()) == 1 + 11
        agent.send_signal(signal.SIGKILL)
    wait_until(lambda: host.own_links() == {f"sw{suite}0"}, "unclaimed sandboxes vanished")
    assert "published" in host.table(suite)


async def test_two_suites_leave_each_other_alone(node: Node, host: Namespace) -> None:
    other = Node("zz9", host)
    assert await other.open() == IPv4Network("172.19.0.0/16")
    mine, theirs = await node.acquire(), await other.acquire()
    await other.networks.sweep()
    await other.close(teardown=True)
    await until(lambda: theirs.host_veth not in host.links(), "the other's veth gone")
    assert {node.bridge, mine.host_veth} <= host.links()
    assert table_name(node.suite) in host.run("nft", "list", "tables")
    await node.release(mine)


async def test_subnet_that_clashes_with_the_host(suite: str, host: Namespace, outside: Namespace) -> None:
    subnet = IPv4Network("10.77.0.0/25")
    clashing = Node(suite, host, subnet)
    with pytest.raises(SubnetError, match=r"overlaps the host's network 10\.77\.0\.0/24"):
        await clashing.open()
    assert not host.own_links()
    with pytest.raises(NetworkError, match="is not open"):
        await clashing.acquire()


async def test_setup_can_be_repeated_and_other_subnets_are_refused(node: Node, host: Namespace) -> None:
    sandbox = await node.acquire()
    await until(lambda: "NO-CARRIER" not in host.run("ip", "address"), "its links to be up")
    before = table_name(node.suite), host.table(node.suite), host.run("ip", "address")
    again = Node(node.suite, host)
    await again.open()
    await again.close()
    assert before == (table_name(node.suite), host.table(node.suite), host.run("ip", "address"))
    with pytest.raises(SubnetError, match=r"has subnet 172\.18\.0\.0/16, but 10\.9\.0\.0/16 is configured"):
        await Node(node.suite, host, IPv4Network("10.9.0.0/16")).open()
    await node.release(sandbox)


async def test_counters_are_the_containers_own(node: Node) -> None:
    one, two = await node.acquire(), await node.acquire()
    inner = Namespace(one.netns_fd)
    with call_in(one.netns_fd, lambda: socket.socket(type=socket.SOCK_DGRAM)) as sender:
        for _ in range(3):
            sender.sendto(bytes(1000), (str(two.address), 9))
    await until(lambda: " 0x2 " in inner.run("cat", "/proc/net/arp"), "address resolved")
    counters = await node.networks.counters()
    sent = int(inner.run("cat", "/proc/net/dev").split("eth0:")[1].split()[8])
    assert counters[one.container]["eth0"].tx_bytes == sent > 3000
    assert counters[two.container]["eth0"].rx_packets >= 3
    await node.release(one)
    await node.release(two)
    assert await node.networks.counters() == {}


async def test_full_subnet(suite: str, host: Namespace) -> None:
    node = Node(suite, host, IPv4Network("10.5.0.0/30"))
    await node.open()
    sandbox = await node.acquire()
    with pytest.raises(AddressError, match=r"10\.5\.0\.0/30 is full"):
        await node.acquire()
    await node.release(sandbox)
    await node.release(await node.acquire())
    await node.close(teardown=True)
    wait_until(lambda: not host.own_links(), "all gone")


async def test_in_the_hosts_own_namespace(suite: str, no_leaks: None) -> None:
    """Bridge and table only: nothing of the machine's own network is changed but ip_forward, as an engine must."""
    node = Node(suite, None)
    subnet = await node.open()
    sandbox = await node.acquire()
    assert sandbox.address in subnet
    await node.close(teardown=True)
    assert node.bridge not in dict(socket.if_nameindex()).values()
    await until(lambda: sandbox.host_veth not in dict(socket.if_nameindex()).values(), "veth gone")


async def test_agents_that_start_at_once_choose_different_subnets(host: Namespace) -> None:
    nodes = [Node(f"a{number}b", host) for number in range(6)]
    try:
        subnets = await asyncio.gather(*(node.open() for node in nodes))
        assert len(set(subnets)) == len(nodes)
    finally:
        for node in nodes:
            await node.close(teardown=True)
