"""A container's network sandbox: a namespace with loopback and, on the bridge, an addressed ``eth0``.

No file pins the namespace. The agent's descriptor holds it until the container's process does; if the agent is killed
before that, the kernel removes namespace and veth by itself. A veth is never deleted here, since that waits for RCU.
"""

import os
from dataclasses import dataclass
from ipaddress import IPv4Address
from pathlib import Path

from seaway_agent.network import netns, rtnl
from seaway_agent.network.errors import NetworkError, SandboxGone
from seaway_agent.network.names import IFNAME
from seaway_agent.network.netlink import ROUTE, NetlinkSocket
from seaway_kit.failpoints import Failpoint, reach

# What Docker sets in each container's namespace of its own.
_SYSCTLS = (("net/ipv4/ip_unprivileged_port_start", "0"), ("net/ipv4/ping_group_range", "0 2147483647"))


@dataclass(slots=True, eq=False)
class Sandbox:
    """One sandbox. ``address`` and all that follows is empty for ``--network none``.

    ``netns_fd`` is -1 once the container's process alone holds the namespace (handed over or adopted).
    """

    netns_fd: int
    address: IPv4Address | None = None
    prefix_len: int = 0
    gateway: IPv4Address | None = None
    mac: str = ""
    host_veth: str = ""
    host_index: int = 0

    @property
    def path(self) -> str:
        """Where a runtime, while the agent lives, finds the namespace."""
        if self.netns_fd < 0:
            raise NetworkError("this sandbox's namespace has been handed over to its container")
        return f"/proc/{os.getpid()}/fd/{self.netns_fd}"

    def hand_over(self) -> None:
        """Let go of the namespace: from now on it lives and ends with the container's processes."""
        fd, self.netns_fd = self.netns_fd, -1
        if fd >= 0:
            os.close(fd)


@dataclass(frozen=True, slots=True)
class Endpoint:
    """What a sandbox's interface is to be."""

    bridge_index: int
    host_veth: str
    address: IPv4Address
    prefix_len: int
    gateway: IPv4Address
    mac: str
    mtu: int


def build_isolated(home: int) -> Sandbox:
    """A sandbox with nothing but loopback. ``home`` is the calling thread's own namespace."""
    fd, inner = _new_namespace(home)
    with inner:
        try:
            inner.transact([rtnl.bring_up("lo")], "bring up a sandbox's loopback")
        except BaseException:
            os.close(fd)
            raise
    return Sandbox(fd)


def build(home: int, host: NetlinkSocket, endpoint: Endpoint, *, ipv6: bool) -> Sandbox:
    """A sandbox with an address on the bridge, in two datagrams to the kernel. Nothing stays behind on error."""
    fd, inner = _new_namespace(home)
    reach(Failpoint.NETWORK_NETNS)
    with inner:
        try:
            link = _plug(host, endpoint, fd, ipv6=ipv6)
            reach(Failpoint.NETWORK_VETH)
            _configure(inner, endpoint, link.peer, ipv6=ipv6)
            reach(Failpoint.NETWORK_ADDRESS)
        except BaseException:
            os.close(fd)
            raise
    return Sandbox(
        fd,
        endpoint.address,
        endpoint.prefix_len,
        endpoint.gateway,
        endpoint.mac,
        endpoint.host_veth,
        link.index,
    )


def _new_namespace(home: int) -> tuple[int, NetlinkSocket]:
    with netns.inside_new(home) as fd:
        try:
            for name, value in _SYSCTLS:
                Path("/proc/sys", name).write_text(value)
            return fd, NetlinkSocket(ROUTE)
        except BaseException:
            os.close(fd)
            raise


def _plug(host: NetlinkSocket, endpoint: Endpoint, fd: int, *, ipv6: bool) -> rtnl.Link:
    """Make the veth between bridge and namespace; the host's end, up, is given back."""
    name = endpoint.host_veth
    messages = [
        rtnl.create_veth(name, endpoint.bridge_index, endpoint.mtu, peer=IFNAME, peer_mac=endpoint.mac, netns_fd=fd),
        *([rtnl.without_ipv6(name)] if ipv6 else []),
        rtnl.bring_up_port(name),
        rtnl.get_link(name),
    ]
    answers = host.transact(messages, f"make the veth {name} of address {endpoint.address}")
    return rtnl.parse_link(answers[0].body)


def _configure(inner: NetlinkSocket, endpoint: Endpoint, index: int, *, ipv6: bool) -> None:
    messages = [
        rtnl.bring_up("lo"),
        *([rtnl.without_ipv6(IFNAME)] if ipv6 else []),
        rtnl.bring_up(IFNAME),
        rtnl.add_address(index, endpoint.address, endpoint.prefix_len),
        rtnl.add_default_route(index, endpoint.gateway),
    ]
    inner.transact(messages, f"configure {IFNAME} with address {endpoint.address}")


def veths(home: int, pid: int) -> list[rtnl.Link]:
    """The veths in the namespace of a live process, ``eth0`` first. Raises SandboxGone; NetlinkError, OSError."""
    try:
        fd = os.open(f"/proc/{pid}/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    except (FileNotFoundError, ProcessLookupError) as error:
        raise SandboxGone(f"process {pid} has ended, and its network sandbox with it") from error
    try:
        with netns.inside(fd, home):
            inner = NetlinkSocket(ROUTE)
    finally:
        os.close(fd)
    with inner:
        dumped = inner.dump(rtnl.dump_links(), f"list interfaces in the sandbox of process {pid}")
    links = [rtnl.parse_link(reply.body) for reply in dumped]
    return sorted((link for link in links if link.kind == "veth"), key=lambda link: link.name != IFNAME)
