"""A container's network sandbox: a namespace with loopback and the drivers' endpoints.

No file pins the namespace. The agent's descriptor keeps it until the container's process does; if the agent is killed
before, the kernel removes namespace and veths. This module deletes none, since a deletion waits for RCU.
"""

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from ipaddress import IPv4Address
from pathlib import Path

from seaway_agent.network import netns, rtnl
from seaway_agent.network.driver import PluggedEndpoint
from seaway_agent.network.errors import NetworkError, SandboxGone
from seaway_agent.network.netlink import ROUTE, NetlinkSocket
from seaway_agent.network.port import EndpointInfo, InterfaceCounters
from seaway_kit.failpoints import Failpoint, reach

# Docker's settings in each container's own namespace.
_SYSCTLS = (("net/ipv4/ip_unprivileged_port_start", "0"), ("net/ipv4/ping_group_range", "0 2147483647"))


@dataclass(slots=True, eq=False)
class Sandbox:
    """One sandbox with its endpoints, which only the network's thread changes.

    ``netns_fd`` is -1 once only the process ``pid`` keeps the namespace (handed over or adopted). ``inode`` identifies
    the namespace, as that process, or a later one with its pid, may be in another. ``shared_fd`` keeps the namespace
    once another container has joined it.
    """

    netns_fd: int
    plugged: tuple[PluggedEndpoint, ...] = ()
    pid: int = 0
    inode: int = 0
    shared_fd: int = -1

    @property
    def endpoints(self) -> tuple[EndpointInfo, ...]:
        """The endpoints, for the port's users."""
        return tuple(plugged.info for plugged in self.plugged)

    @property
    def address(self) -> IPv4Address | None:
        """The first endpoint's address."""
        return self.plugged[0].info.address if self.plugged else None

    @property
    def mac(self) -> str:
        """The first endpoint's MAC address."""
        return self.plugged[0].info.mac if self.plugged else ""

    @property
    def gateway(self) -> PluggedEndpoint | None:
        """The endpoint of the default route."""
        return first_by_rank(one for one in self.plugged if one.info.gateway is not None)

    @property
    def gateway6(self) -> PluggedEndpoint | None:
        """The endpoint of the IPv6 default route."""
        return first_by_rank(one for one in self.plugged if one.info.gateway6 is not None)

    @property
    def path(self) -> str:
        """The namespace's path for a runtime, valid while the agent lives."""
        if self.netns_fd < 0:
            raise NetworkError("this sandbox's namespace has been handed over to its container")
        return f"/proc/{os.getpid()}/fd/{self.netns_fd}"

    def on(self, network_id: str) -> PluggedEndpoint | None:
        """The endpoint in a network."""
        return next((plugged for plugged in self.plugged if plugged.info.network == network_id), None)

    def hand_over(self, pid: int) -> None:
        """Leave the namespace to a process: from now on it lives as long as the container's processes."""
        self._close_own()
        self.pid = pid

    def share(self) -> None:
        """Keep the namespace, which another container joins. Raises SandboxGone."""
        if self.shared_fd < 0:
            self.shared_fd = self.open_namespace()

    def close(self) -> None:
        """Close the descriptors. Safe to call twice."""
        self._close_own()
        fd, self.shared_fd = self.shared_fd, -1
        if fd >= 0:
            os.close(fd)

    def _close_own(self) -> None:
        fd, self.netns_fd, self.pid = self.netns_fd, -1, 0
        if fd >= 0:
            os.close(fd)

    def open_namespace(self) -> int:
        """A descriptor of the namespace, which the caller closes. Raises SandboxGone."""
        if self.netns_fd >= 0:
            return os.dup(self.netns_fd)
        fd = namespace_of(self.pid)
        if os.fstat(fd).st_ino == self.inode:
            return fd
        os.close(fd)
        raise SandboxGone(f"process {self.pid} is no longer in the sandbox that it was started in")


def first_by_rank(endpoints: Iterable[PluggedEndpoint]) -> PluggedEndpoint | None:
    """The endpoint that gets a default route. See `route_rank`."""
    return min(endpoints, key=lambda plugged: plugged.rank, default=None)


def counters_inside(pid: int) -> dict[str, InterfaceCounters]:
    """The counters of all interfaces in a process's namespace, by name; none if it has ended."""
    try:
        return parse_interface_counters(Path(f"/proc/{pid}/net/dev").read_text())
    except OSError:
        return {}


def parse_interface_counters(text: str) -> dict[str, InterfaceCounters]:
    """The counters in a text of /proc/<pid>/net/dev: 8 numbers of what was received, 8 of what was sent."""
    found = {}
    for line in text.splitlines()[2:]:
        name, _, numbers = line.partition(":")
        counts = [int(word) for word in numbers.split()]
        found[name.strip()] = InterfaceCounters(*counts[0:4], *counts[8:12])
    return found


def namespace_of(pid: int) -> int:
    """A descriptor of a live process's namespace, which the caller closes. Raises SandboxGone."""
    try:
        return os.open(f"/proc/{pid}/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    except (FileNotFoundError, ProcessLookupError) as error:
        raise SandboxGone(f"process {pid} has ended, and its network sandbox with it") from error


@contextmanager
def new_sandbox(home: int) -> Iterator[tuple[Sandbox, NetlinkSocket]]:
    """A new sandbox with only loopback, and a route socket in it; removed if the block fails.

    ``home`` is the calling thread's own namespace.
    """
    fd, inner = _new_namespace(home)
    reach(Failpoint.NETWORK_NETNS)
    with inner:
        try:
            inner.transact([rtnl.bring_up("lo")], "bring up a sandbox's loopback")
            yield Sandbox(fd, inode=os.fstat(fd).st_ino), inner
        except BaseException:
            os.close(fd)
            raise


def _new_namespace(home: int) -> tuple[int, NetlinkSocket]:
    with netns.inside_new(home) as fd:
        try:
            for name, value in _SYSCTLS:
                Path("/proc/sys", name).write_text(value)
            return fd, NetlinkSocket(ROUTE)
        except BaseException:
            os.close(fd)
            raise


def socket_in(fd: int, home: int) -> NetlinkSocket:
    """A route socket in a namespace."""
    with netns.inside(fd, home):
        return NetlinkSocket(ROUTE)


def links(fd: int, home: int) -> list[rtnl.Link]:
    """The interfaces in a namespace, ``eth0`` first."""
    with socket_in(fd, home) as inner:
        dumped = inner.dump(rtnl.dump_links(), "list the interfaces of a sandbox")
    found = [rtnl.parse_link(reply.body) for reply in dumped]
    return sorted(found, key=lambda link: (not link.name.startswith("eth"), link.name))
