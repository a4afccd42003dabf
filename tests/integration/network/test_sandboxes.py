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

from seaway_agent.network import sandbox as sandbox_module
from seaway_agent.network.bridge import BridgeNetwork
from seaway_agent.network.driver import NetworkDriver
from seaway_agent.network.errors import AddressError, NetlinkError, NetworkError, SandboxGone, SubnetError
from seaway_agent.network.nft import NatTable
from seaway_agent.network.sandboxes import NetworkRequest
from seaway_testing.descriptors import open_descriptors

from .conftest import Namespace, Process, ask, call_in, end, make_driver, wait_until

pytestmark = pytest.mark.root
Start = Callable[[int], Process]
NONE = NetworkRequest("none")


async def until(condition: Callable[[], bool], what: str) -> None:
    await asyncio.to_thread(wait_until, condition, what)


async def test_a_sandbox_has_what_a_container_expects(driver: NetworkDriver) -> None:
    sandbox = await driver.acquire()
    assert (str(sandbox.address), sandbox.prefix_len, str(sandbox.gateway)) == ("172.18.0.2", 16, "172.18.0.1")
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
    await driver.release(sandbox)


async def test_a_sandbox_without_network(driver: NetworkDriver) -> None:
    sandbox = await driver.acquire(NONE)
    inner = Namespace(sandbox.netns_fd)
    assert "eth0" not in inner.links()
    assert "inet 127.0.0.1/8" in inner.run("ip", "address", "show", "lo")
    assert (sandbox.address, sandbox.host_veth) == (None, "")
    await driver.release(sandbox)
    await driver.release(sandbox)


async def test_sandboxes_reach_each_other(driver: NetworkDriver, serve: Callable[..., Any]) -> None:
    one, two = await driver.acquire(), await driver.acquire()
    serve(two.netns_fd, 80)
    assert ask(one.netns_fd, str(two.address), 80) == str(one.address)
    await driver.release(one)
    await driver.release(two)


async def test_fixed_address_and_mac(driver: NetworkDriver) -> None:
    address = IPv4Address("172.18.77.7")
    sandbox = await driver.acquire(NetworkRequest(address=address, mac="02:42:00:00:00:99"))
    assert "02:42:00:00:00:99" in Namespace(sandbox.netns_fd).run("ip", "link", "show", "eth0")
    assert (sandbox.address, sandbox.mac) == (address, "02:42:00:00:00:99")
    with pytest.raises(AddressError, match="Address already in use"):
        await driver.acquire(NetworkRequest(address=address))
    await driver.release(sandbox)
    again = await driver.acquire(NetworkRequest(address=address))
    assert again.mac == "02:42:ac:12:4d:07"
    await driver.release(again)


async def test_the_pool_fills_itself_and_keeps_the_order_of_addresses(driver: NetworkDriver) -> None:
    driver.fill()
    await until(lambda: driver.ready() == 8 and driver.ready("none") == 4, "pools full")
    taken = [await driver.acquire() for _ in range(12)]
    assert [str(sandbox.address) for sandbox in taken] == [f"172.18.0.{n}" for n in range(2, 14)]
    await until(lambda: driver.ready() == 8, "pool full again")
    for sandbox in taken:
        await driver.release(sandbox)


async def test_a_fixed_address_is_found_in_the_pool(driver: NetworkDriver) -> None:
    driver.fill()
    await until(lambda: driver.ready() == 8, "pool full")
    sandbox = await driver.acquire(NetworkRequest(address=IPv4Address("172.18.0.5")))
    other = await driver.acquire(NetworkRequest(address=IPv4Address("172.18.0.6"), mac="02:42:00:00:00:01"))
    assert (str(sandbox.address), str(other.address), other.mac) == ("172.18.0.5", "172.18.0.6", "02:42:00:00:00:01")
    addresses = {str((await driver.acquire()).address) for _ in range(8)}
    assert not addresses & {"172.18.0.5", "172.18.0.6"}


async def test_many_at_once_all_differ(driver: NetworkDriver) -> None:
    sandboxes = await asyncio.gather(*(driver.acquire() for _ in range(24)))
    assert len({sandbox.address for sandbox in sandboxes}) == 24
    assert len({sandbox.host_veth for sandbox in sandboxes}) == 24
    await asyncio.gather(*(driver.release(sandbox) for sandbox in sandboxes))


async def test_released_sandbox_vanishes_and_frees_its_address(driver: NetworkDriver, host: Namespace) -> None:
    address = IPv4Address("172.18.0.9")
    for _ in range(3):
        sandbox = await driver.acquire(NetworkRequest(address=address))
        await driver.release(sandbox)
        await driver.release(sandbox)
    await until(lambda: len(host.own_links()) == 1, "only the bridge is left")


async def test_handed_over_sandbox_lives_with_its_process(driver: NetworkDriver, host: Namespace, start: Start) -> None:
    sandbox = await driver.acquire()
    process = start(sandbox.netns_fd)
    sandbox.hand_over()
    with pytest.raises(NetworkError, match="handed over"):
        _ = sandbox.path
    assert sandbox.host_veth in host.links()
    end(process)
    await until(lambda: sandbox.host_veth not in host.links(), "veth gone with the process")
    await driver.release(sandbox)


async def test_an_error_half_way_leaves_nothing(
    driver: NetworkDriver, host: Namespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise NetlinkError(12, "cannot configure eth0: Cannot allocate memory")

    monkeypatch.setattr(sandbox_module, "_configure", refuse)
    before = open_descriptors()
    with pytest.raises(NetlinkError):
        await driver.acquire()
    assert open_descriptors() == before
    monkeypatch.undo()
    await until(lambda: len(host.own_links()) == 1, "only the bridge is left")
    sandbox = await driver.acquire(NetworkRequest(address=IPv4Address("172.18.0.2")))
    await driver.release(sandbox)


def fill_descriptors() -> list[int]:
    """Open files until no more can be opened."""
    opened: list[int] = []
    with contextlib.suppress(OSError):
        while True:
            opened.append(os.open("/dev/null", os.O_RDONLY))
    return opened


async def test_without_descriptors_left_the_error_is_clear_and_passes(driver: NetworkDriver, host: Namespace) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    await driver.release(await driver.acquire())
    before = open_descriptors()
    highest = max(int(name) for name in os.listdir("/proc/self/fd"))
    for spare in range(2):
        resource.setrlimit(resource.RLIMIT_NOFILE, (highest + 1, hard))
        fillers = fill_descriptors()
        try:
            for _ in range(spare):
                os.close(fillers.pop())
            with pytest.raises(OSError, match="Too many open files"):
                await driver.acquire()
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
            for filler in fillers:
                os.close(filler)
    assert open_descriptors() == before
    sandbox = await driver.acquire()
    assert sandbox.host_veth in host.links()
    await driver.release(sandbox)


async def test_a_cancelled_caller_leaves_no_sandbox(driver: NetworkDriver, host: Namespace) -> None:
    before = open_descriptors()
    tasks = [asyncio.create_task(driver.acquire()) for _ in range(8)]
    await asyncio.sleep(0)
    for task in tasks:
        task.cancel()
    for task in tasks:
        with contextlib.suppress(asyncio.CancelledError):
            await task
    await driver.sweep()
    assert open_descriptors() == before
    await until(lambda: len(host.own_links()) == 1, "only the bridge is left")


async def test_restart_adopts_the_living_and_sweeps_the_rest(suite: str, host: Namespace, start: Start) -> None:
    first = make_driver(suite, host)
    subnet = await first.open()
    kept, orphan = await first.acquire(), await first.acquire()
    processes = [start(sandbox.netns_fd) for sandbox in (kept, orphan)]
    isolated = await first.acquire(NONE)
    processes.append(start(isolated.netns_fd))
    await first.close()

    second = NetworkDriver(BridgeNetwork(suite, subnet, None, 1500, NatTable(suite)), netns_fd=host.fd)
    assert await second.open() == subnet
    assert kept.address is not None
    adopted = await second.adopt(processes[0].pid, kept.address)
    assert (adopted.address, adopted.host_veth, adopted.host_index, adopted.mac) == (
        kept.address,
        kept.host_veth,
        kept.host_index,
        kept.mac,
    )
    assert (await second.adopt(processes[2].pid, None)).address is None
    assert await second.sweep() == [orphan.host_veth]
    assert host.own_links() == {second.network.bridge, kept.host_veth}
    fresh = await second.acquire()
    assert fresh.address == IPv4Address("172.18.0.3")
    assert set(await second.counters()) == {kept.host_veth, fresh.host_veth}
    for process in processes:
        end(process)
    with pytest.raises(SandboxGone, match="has ended"):
        await second.adopt(processes[1].pid, IPv4Address("172.18.0.3"))
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
    first = make_driver(suite, host)
    subnet = await first.open()
    sandbox = await first.acquire()
    process = start(sandbox.netns_fd)
    inner = Namespace(os.dup(sandbox.netns_fd))
    for words in change.split("; "):
        inner.run("ip", *words.split())
    inner.close()
    await first.close()

    second = NetworkDriver(BridgeNetwork(suite, subnet, None, 1500, NatTable(suite)), netns_fd=host.fd)
    await second.open()
    assert sandbox.address is not None
    adopted = await second.adopt(process.pid, sandbox.address)
    assert (adopted.address, adopted.host_veth) == (sandbox.address, sandbox.host_veth)
    assert await second.sweep() == []
    fresh = await second.acquire()
    assert fresh.address != sandbox.address
    end(process)
    await second.release(adopted)
    again = await second.acquire(NetworkRequest(address=sandbox.address))
    assert again.address == sandbox.address
    await second.close(teardown=True)
    wait_until(lambda: not host.own_links(), "all gone")


async def test_two_that_claim_one_address_both_keep_their_network(suite: str, host: Namespace, start: Start) -> None:
    first = make_driver(suite, host)
    subnet = await first.open()
    one, two = await first.acquire(), await first.acquire()
    processes = [start(sandbox.netns_fd) for sandbox in (one, two)]
    await first.close()
    second = NetworkDriver(BridgeNetwork(suite, subnet, None, 1500, NatTable(suite)), netns_fd=host.fd)
    await second.open()
    kept, other = [await second.adopt(process.pid, one.address) for process in processes]
    assert (kept.host_veth, other.host_veth) == (one.host_veth, two.host_veth)
    assert await second.sweep() == []
    await second.release(other)
    with pytest.raises(AddressError, match="Address already in use"):
        await second.acquire(NetworkRequest(address=one.address))
    for process in processes:
        end(process)
    await second.close(teardown=True)
    wait_until(lambda: not host.own_links(), "all gone")


async def test_where_a_living_sandbox_can_t_be_looked_at_nothing_is_swept(
    suite: str, host: Namespace, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = make_driver(suite, host)
    subnet = await first.open()
    sandbox = await first.acquire()
    process = start(sandbox.netns_fd)
    await first.close()

    def refuse(*_: object) -> None:
        raise NetlinkError(105, "cannot list interfaces: No buffer space available")

    monkeypatch.setattr(sandbox_module, "veths", refuse)
    second = NetworkDriver(BridgeNetwork(suite, subnet, None, 1500, NatTable(suite)), netns_fd=host.fd)
    await second.open()
    adopted = await second.adopt(process.pid, sandbox.address)
    assert await second.sweep() == []
    assert sandbox.host_veth in host.links()
    assert (await second.acquire()).address != sandbox.address
    await second.release(adopted)
    end(process)
    await second.close(teardown=True)
    wait_until(lambda: not host.own_links(), "all gone")


AGENT = """
import asyncio, sys
from seaway_agent.network.bridge import BridgeNetwork
from seaway_agent.network.driver import NetworkDriver
from seaway_agent.network.nft import NatTable

async def main():
    suite, fd = sys.argv[1], int(sys.argv[2])
    driver = NetworkDriver(BridgeNetwork(suite, None, None, 1500, NatTable(suite)), netns_fd=fd)
    await driver.open()
    held = [await driver.acquire() for _ in range(3)]
    driver.fill()
    while driver.ready() < 8:
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


async def test_two_suites_leave_each_other_alone(driver: NetworkDriver, host: Namespace) -> None:
    other = make_driver("zz9", host)
    assert await other.open() == IPv4Network("172.19.0.0/16")
    mine, theirs = await driver.acquire(), await other.acquire()
    await other.sweep()
    await other.close(teardown=True)
    await until(lambda: theirs.host_veth not in host.links(), "the other's veth gone")
    assert {driver.network.bridge, mine.host_veth} <= host.links()
    assert driver.network.nat.name in host.run("nft", "list", "tables")
    await driver.release(mine)


async def test_subnet_that_clashes_with_the_host(suite: str, host: Namespace, outside: Namespace) -> None:
    subnet = IPv4Network("10.77.0.0/25")
    clashing = NetworkDriver(BridgeNetwork(suite, subnet, None, 1500, NatTable(suite)), netns_fd=host.fd)
    with pytest.raises(SubnetError, match=r"overlaps the host's network 10\.77\.0\.0/24"):
        await clashing.open()
    assert not host.own_links()
    with pytest.raises(NetworkError, match="is not open"):
        await clashing.acquire()


async def test_setup_can_be_repeated_and_other_subnets_are_refused(driver: NetworkDriver, host: Namespace) -> None:
    sandbox = await driver.acquire()
    before = driver.network.nat.name, host.table(driver.network.suite), host.run("ip", "address")
    again = make_driver(driver.network.suite, host)
    await again.open()
    await again.close()
    assert before == (driver.network.nat.name, host.table(driver.network.suite), host.run("ip", "address"))
    other = IPv4Network("10.9.0.0/16")
    changed = BridgeNetwork(driver.network.suite, other, None, 1500, NatTable(driver.network.suite))
    with pytest.raises(SubnetError, match=r"has subnet 172\.18\.0\.0/16, but 10\.9\.0\.0/16 is configured"):
        await NetworkDriver(changed, netns_fd=host.fd).open()
    await driver.release(sandbox)


async def test_counters_are_the_containers_own(driver: NetworkDriver) -> None:
    one, two = await driver.acquire(), await driver.acquire()
    inner = Namespace(one.netns_fd)
    with call_in(one.netns_fd, lambda: socket.socket(type=socket.SOCK_DGRAM)) as sender:
        for _ in range(3):
            sender.sendto(bytes(1000), (str(two.address), 9))
    await until(lambda: " 0x2 " in inner.run("cat", "/proc/net/arp"), "address resolved")
    counters = await driver.counters()
    sent = int(inner.run("cat", "/proc/net/dev").split("eth0:")[1].split()[8])
    assert counters[one.host_veth].tx_bytes == sent > 3000
    assert counters[two.host_veth].rx_packets >= 3
    await driver.release(one)
    await driver.release(two)
    assert await driver.counters() == {}


async def test_full_subnet(suite: str, host: Namespace) -> None:
    tiny = BridgeNetwork(suite, IPv4Network("10.5.0.0/30"), None, 1500, NatTable(suite))
    driver = NetworkDriver(tiny, netns_fd=host.fd)
    await driver.open()
    sandbox = await driver.acquire()
    with pytest.raises(AddressError, match=r"10\.5\.0\.0/30 is full"):
        await driver.acquire()
    await driver.release(sandbox)
    await driver.release(await driver.acquire())
    await driver.close(teardown=True)
    wait_until(lambda: not host.own_links(), "all gone")


async def test_in_the_hosts_own_namespace(suite: str, no_leaks: None) -> None:
    """Bridge and table only: nothing of the machine's own network is changed but ip_forward, as an engine must."""
    driver = NetworkDriver(BridgeNetwork(suite, None, None, 1500, NatTable(suite)))
    subnet = await driver.open()
    sandbox = await driver.acquire()
    assert sandbox.address in subnet
    await driver.close(teardown=True)
    assert driver.network.bridge not in dict(socket.if_nameindex()).values()
    await until(lambda: sandbox.host_veth not in dict(socket.if_nameindex()).values(), "veth gone")


async def test_agents_that_start_at_once_choose_different_subnets(host: Namespace) -> None:
    drivers = [make_driver(f"a{number}b", host) for number in range(6)]
    try:
        subnets = await asyncio.gather(*(driver.open() for driver in drivers))
        assert len(set(subnets)) == len(drivers)
    finally:
        for driver in drivers:
            await driver.close(teardown=True)
