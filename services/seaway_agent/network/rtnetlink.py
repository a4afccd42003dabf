"""rtnetlink by pyroute2: networks, endpoints that come and go while a container runs, and other rare requests.

`rtnl` packs the requests of a container's start. pyroute2 is imported on first use: 0.2 s and 10 MB.
"""

import asyncio
import contextlib
import errno
import os
from collections.abc import Iterator, Sequence
from ipaddress import IPv4Address, IPv4Interface, IPv6Address, IPv6Interface
from pathlib import Path
from socket import AF_INET, AF_INET6
from typing import Any

from seaway_agent.network import netns
from seaway_agent.network.errors import NetlinkError

_IPV6 = Path("/proc/sys/net/ipv6")
_ADDR_GEN_NONE = 1
_NODAD = 0x02
_WITHOUT_IPV6 = {"attrs": [("AF_INET6", {"attrs": [("IFLA_INET6_ADDR_GEN_MODE", _ADDR_GEN_NONE)]})]}

Interface = IPv4Interface | IPv6Interface


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

    def make_bridge(self, name: str, mac: str, mtu: int, *, first_name: str, alias: str, ipv6: bool = False) -> int:
        """Make a bridge, up; returns its index. ``ipv6``: it gets a link-local address. See `_make`.

        It floods multicast, since snooping only adds work without a querier.
        """
        more = {"kind": "bridge", "address": mac, "mtu": mtu, "br_mcast_snooping": 0}
        with _doing(f"make bridge {name}"):
            index = self._make(name, first_name, alias, ipv6=ipv6, **more)
            self._route.link("set", index=index, state="up")
            return index

    def add_address(self, index: int, address: Interface) -> None:
        """Give an interface an address, unless it has it. An IPv6 one works at once (no DAD)."""
        more: dict[str, Any] = {"flags": _NODAD} if address.version == 6 else {}
        if address.version == 4 and address.network.num_addresses > 2:
            more = {"broadcast": str(address.network.broadcast_address)}
        with _doing(f"give interface {index} address {address}", errno.EEXIST):
            self._route.addr("add", index=index, address=str(address.ip), prefixlen=address.network.prefixlen, **more)

    def make_macvlan(
        self, name: str, parent: int, mode: str, *, mac: str | None, mtu: int | None, netns_fd: int
    ) -> None:
        """Make a macvlan over an interface of this namespace in another one. ``mac`` and ``mtu`` None: the parent's."""
        more = {name: value for name, value in (("address", mac), ("mtu", mtu)) if value is not None}
        with _doing(f"make the macvlan {name} over interface {parent}"):
            self._route.link(
                "add", ifname=name, kind="macvlan", link=parent, macvlan_mode=mode, net_ns_fd=netns_fd, **more
            )

    def make_parent(self, name: str, peer: str, *, first_name: str, alias: str) -> int:
        """Make an interface that leads nowhere, up: a dummy, or a veth where the kernel has no dummies. See `_make`."""
        with _doing(f"make interface {name}"):
            try:
                index = self._make(name, first_name, alias, kind="dummy")
            except Exception as error:
                if getattr(error, "code", 0) != errno.EOPNOTSUPP:
                    raise
                index = self._make(name, first_name, alias, kind="veth", peer={"ifname": peer})
                other = self.index(peer)
                self._without_ipv6(other)
                self._route.link("set", index=other, state="up")
            self._route.link("set", index=index, state="up")
            return index

    def make_vlan(self, name: str, parent: str, number: int, *, first_name: str, alias: str) -> int:
        """Make a VLAN's interface over another one, up; returns its index. See `_make`."""
        with _doing(f"make interface {name} of VLAN {number}"):
            index = self._make(name, first_name, alias, kind="vlan", link=self.index(parent), vlan_id=number)
            self._route.link("set", index=index, state="up")
            return index

    def configure(
        self, name: str, addresses: Sequence[Interface], gateways: Sequence[IPv4Address | IPv6Address]
    ) -> None:
        """Bring an interface up with its addresses, and with a default route over each gateway."""
        with _doing(f"configure {name} with address {addresses[0]}"):
            index = self.index(name)
            if not any(address.version == 6 for address in addresses):
                self._without_ipv6(index)
            self._route.link("set", index=index, state="up")
        for address in addresses:
            self.add_address(index, address)
        for gateway in gateways:
            self.route_by(name, gateway)

    def route_by(self, name: str, gateway: IPv4Address | IPv6Address, *, replace: bool = True) -> None:
        """Set the default route of the gateway's family, in place of another one unless that is to stay."""
        family, command = AF_INET if gateway.version == 4 else AF_INET6, "replace" if replace else "add"
        with _doing(f"route by {gateway} over {name}", *(() if replace else (errno.EEXIST,))):
            self._route.route(command, dst="default", gateway=str(gateway), oif=self.index(name), family=family)

    def delete(self, name: str) -> None:
        """Delete an interface, if it exists. For a veth the kernel waits some 20 ms."""
        with _doing(f"delete interface {name}", errno.ENODEV):
            index = self._index(name)
            if index is not None:
                self._route.link("del", index=index)

    def mac(self, name: str) -> str:
        """The MAC address of an interface."""
        with _doing(f"look at interface {name}"):
            [link] = self._route.get_links(self.index(name))
            return str(link.get_attr("IFLA_ADDRESS"))

    def index(self, name: str) -> int:
        """The index of an interface. Raises NetlinkError (ENODEV)."""
        found = self._index(name)
        if found is None:
            raise NetlinkError(errno.ENODEV, f"there is no interface {name}")
        return found

    def _index(self, name: str) -> int | None:
        return next(iter(self._route.link_lookup(ifname=name)), None)

    def _make(self, name: str, first_name: str, alias: str, *, ipv6: bool = False, **link: Any) -> int:
        """Make an interface, down; returns its index.

        It has a name that tells whose it is until its alias does, so that what a killed agent leaves can be swept.
        """
        if (left := self._index(first_name)) is not None:
            self._route.link("del", index=left)
        self._route.link("add", ifname=first_name, **link)
        index = self.index(first_name)
        try:
            if not ipv6:
                self._without_ipv6(index)
            if alias:
                self._route.link("set", index=index, ifalias=alias)
            if name != first_name:
                self._route.link("set", index=index, ifname=name)
        except BaseException:
            self._route.link("del", index=index)
            raise
        return index

    def _without_ipv6(self, index: int) -> None:
        """Disable the IPv6 link-local address, and with it router solicitations and MLD."""
        if _IPV6.exists():
            self._route.link("update", index=index, IFLA_AF_SPEC=_WITHOUT_IPV6)
