"""rtnetlink by pyroute2: networks, endpoints that come and go while a container runs, and other rare requests.

`rtnl` packs the requests of a container's start. pyroute2 is imported on first use: 0.2 s and 10 MB.
"""

import asyncio
import contextlib
import errno
import os
from collections.abc import Iterator
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from socket import AF_INET
from typing import Any

from seaway_agent.network import netns
from seaway_agent.network.errors import NetlinkError

_IPV6 = Path("/proc/sys/net/ipv6")
_ADDR_GEN_NONE = 1
_WITHOUT_IPV6 = {"attrs": [("AF_INET6", {"attrs": [("IFLA_INET6_ADDR_GEN_MODE", _ADDR_GEN_NONE)]})]}


@contextlib.contextmanager
def open_interfaces(netns_fd: int | None = None) -> Iterator["Interfaces"]:
    """The interfaces of the calling thread's network namespace, or of another one. Raises OSError."""
    import pyroute2

    loop = asyncio.SelectorEventLoop()  # of its own: uvloop knows no netlink
    try:
        with _inside(netns_fd):
            route = pyroute2.IPRoute(use_event_loop=loop, ext_ack=True)
        try:
            yield Interfaces(route)
        finally:
            route.close()
            loop.run_until_complete(asyncio.sleep(0))
    finally:
        loop.close()


@contextlib.contextmanager
def _inside(netns_fd: int | None) -> Iterator[None]:
    if netns_fd is None:
        yield
        return
    home = netns.current()
    try:
        with netns.inside(netns_fd, home):
            yield
    finally:
        os.close(home)


@contextlib.contextmanager
def _doing(what: str, *tolerated: int) -> Iterator[None]:
    """Translate pyroute2's error; tolerated errnos end the block without one."""
    import pyroute2

    try:
        yield
    except pyroute2.NetlinkError as error:
        if error.code not in tolerated:
            raise NetlinkError(error.code, f"cannot {what}: {error.args[-1]}") from error


class Interfaces:
    """The interfaces of one network namespace, with their addresses and routes. Everything raises NetlinkError."""

    def __init__(self, route: Any) -> None:
        self._route = route

    def make_bridge(self, name: str, mac: str, mtu: int, address: IPv4Address, prefix_len: int) -> int:
        """Make the missing parts of a bridge that is up and has the address; returns its index.

        It floods multicast, since snooping only adds work without a querier.
        """
        with _doing(f"make bridge {name} with address {address}/{prefix_len}"):
            index = self._index(name)
            if index is None:
                self._route.link("add", ifname=name, kind="bridge", address=mac, mtu=mtu, br_mcast_snooping=0)
                index = self.index(name)
                self._without_ipv6(index)
            self._route.link("set", index=index, state="up")
            self._add_address(index, address, prefix_len)
            return index

    def make_veth(self, name: str, bridge: int, mtu: int, *, peer: str, peer_mac: str, netns_fd: int) -> int:
        """Make a veth from a bridge port, up and in hairpin mode, into a namespace; returns the port's index."""
        with _doing(f"make the veth {name}"):
            other = {"ifname": peer, "address": peer_mac, "mtu": mtu, "net_ns_fd": netns_fd}
            self._route.link("add", ifname=name, kind="veth", mtu=mtu, master=bridge, peer=other)
            index = self.index(name)
            self._without_ipv6(index)
            self._route.brport("set", index=index, mode=1)
            self._route.link("set", index=index, state="up")
            return index

    def configure(self, name: str, address: IPv4Address, prefix_len: int, gateway: IPv4Address | None) -> None:
        """Bring an interface up with its address, and with the default route if a gateway is given."""
        with _doing(f"configure {name} with address {address}"):
            index = self.index(name)
            self._without_ipv6(index)
            self._route.link("set", index=index, state="up")
            self._add_address(index, address, prefix_len)
        if gateway is not None:
            self.route_by(name, gateway)

    def route_by(self, name: str, gateway: IPv4Address) -> None:
        """Set the default route over an interface, if there is none."""
        with _doing(f"route by {gateway} over {name}", errno.EEXIST):
            self._route.route("add", dst="default", gateway=str(gateway), oif=self.index(name))

    def delete(self, name: str) -> None:
        """Delete an interface, if it exists. For a veth the kernel waits some 20 ms."""
        with _doing(f"delete interface {name}", errno.ENODEV):
            index = self._index(name)
            if index is not None:
                self._route.link("del", index=index)

    def occupied(self, besides: str) -> list[IPv4Network]:
        """The networks of the host's addresses and routes, except those of one interface."""
        with _doing("list addresses and routes"):
            own = self._index(besides)
            routes = [
                IPv4Network((route.get_attr("RTA_DST") or 0, route["dst_len"]), strict=False)
                for route in self._route.get_routes(family=AF_INET)
                if route.get_attr("RTA_OIF") != own or own is None
            ]
            addresses = [
                IPv4Network((entry.get_attr("IFA_LOCAL"), entry["prefixlen"]), strict=False)
                for entry in self._route.get_addr(family=AF_INET)
                if entry["index"] != own
            ]
        return routes + addresses

    def index(self, name: str) -> int:
        """The index of an interface. Raises NetlinkError (ENODEV)."""
        found = self._index(name)
        if found is None:
            raise NetlinkError(errno.ENODEV, f"there is no interface {name}")
        return found

    def _index(self, name: str) -> int | None:
        return next(iter(self._route.link_lookup(ifname=name)), None)

    def _add_address(self, index: int, address: IPv4Address, prefix_len: int) -> None:
        broadcast = IPv4Network((address, prefix_len), strict=False).broadcast_address
        with _doing(f"give interface {index} address {address}", errno.EEXIST):
            self._route.addr("add", index=index, address=str(address), prefixlen=prefix_len, broadcast=str(broadcast))

    def _without_ipv6(self, index: int) -> None:
        """Disable the IPv6 link-local address, and with it router solicitations and MLD."""
        if _IPV6.exists():
            self._route.link("update", index=index, IFLA_AF_SPEC=_WITHOUT_IPV6)
