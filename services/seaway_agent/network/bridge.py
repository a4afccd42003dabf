"""The node's bridge: made, addressed, given NAT; and taken away with everything that hangs on it."""

import contextlib
import errno
from collections.abc import Collection
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

from seaway_agent.network import rtnl, subnets
from seaway_agent.network.attributes import Message
from seaway_agent.network.choosing import one_at_a_time
from seaway_agent.network.errors import NetlinkError, SubnetError
from seaway_agent.network.ipam import AddressPool
from seaway_agent.network.names import bridge_name, check_suite, doomed_group, is_host_veth, mac_of
from seaway_agent.network.netlink import ROUTE, NetlinkSocket
from seaway_agent.network.nft import NatTable

_SYSCTL = Path("/proc/sys/net/ipv4")
_IPV6 = Path("/proc/sys/net/ipv6")


class BridgeNetwork:
    """One suite's bridge. Belongs to one thread, in the host's network namespace.

    Without ``subnet`` the bridge's present one is kept, or else the first free one of Docker's pools is chosen: read
    ``addresses.subnet`` after ``setup`` and pass it in the next time. IP forwarding is switched on for the host, as
    Docker does, and stays on after ``teardown``.
    """

    def __init__(
        self, suite: str, subnet: IPv4Network | None, gateway: IPv4Address | None, mtu: int, nat: NatTable
    ) -> None:
        self.suite = check_suite(suite)
        self.bridge = bridge_name(suite)
        self.mtu = mtu
        self.nat = nat
        self.index = 0
        self.ipv6 = _IPV6.exists()
        self._wanted = subnet
        self._gateway = gateway
        self._addresses: AddressPool | None = None
        self._socket: NetlinkSocket | None = None

    @property
    def addresses(self) -> AddressPool:
        """Subnet, gateway and addresses in use; there after ``setup``."""
        if self._addresses is None:
            raise SubnetError(f"network {self.bridge} has not been set up")
        return self._addresses

    @property
    def host(self) -> NetlinkSocket:
        """The route socket in the host's namespace."""
        if self._socket is None:
            self._socket = NetlinkSocket(ROUTE)
        return self._socket

    def setup(self) -> IPv4Network:
        """Make all that isn't there yet; give back the subnet. Safe to repeat, live containers don't notice.

        Raises SubnetError, NatError, NetlinkError.
        """
        present = self._present_subnet()
        with one_at_a_time() if present is None else contextlib.nullcontext():
            subnet = self._choose_subnet(present)
            if self._addresses is None:
                self._addresses = AddressPool(subnet, self._gateway)
            self._make_bridge(addressed=present is not None)
        _set_sysctl(_SYSCTL / "conf" / self.bridge / "route_localnet", "1")
        _set_sysctl(_SYSCTL / "ip_forward", "1")
        self.nat.install(self.bridge, subnet)
        return subnet

    def teardown(self) -> None:
        """Remove table, veths and bridge, whatever of them is there."""
        self.nat.remove()
        self.sweep(live=())
        self._tolerate([rtnl.delete_link(self.bridge)], f"delete bridge {self.bridge}")

    def sweep(self, live: Collection[str]) -> list[str]:
        """Delete this suite's veths that aren't in ``live``; their names are given back."""
        dumped = self.host.dump(rtnl.dump_links(), "list interfaces")
        names = (rtnl.parse_link(reply.body).name for reply in dumped)
        stale = [name for name in names if is_host_veth(self.suite, name) and name not in live]
        group = doomed_group(self.suite)
        for name in stale:
            self._tolerate([rtnl.set_group(name, group)], f"mark stale veth {name}")
        if stale:
            self._tolerate([rtnl.delete_group(group)], f"delete {len(stale)} stale veths of bridge {self.bridge}")
        return stale

    def forget_port(self, index: int) -> None:
        """Let the addresses learned on a sandbox's port move to another port at once."""
        self._tolerate([rtnl.flush_port(index)], f"flush port {index} of bridge {self.bridge}")

    def counters(self) -> dict[int, rtnl.InterfaceCounters]:
        """Interface index to counters, for all interfaces of the host."""
        return dict(rtnl.parse_counters(r.body) for r in self.host.dump(rtnl.dump_counters(), "read counters"))

    def close(self) -> None:
        """Close the sockets; bridge and table stay for the next agent."""
        self.nat.close()
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def link(self, request: Message, doing: str) -> rtnl.Link | None:
        """The interface that a request names, None if there is no such one."""
        try:
            answers = self.host.transact([request], doing)
        except NetlinkError as error:
            if error.code == errno.ENODEV:
                return None
            raise
        return rtnl.parse_link(answers[0].body)

    def _present_subnet(self) -> IPv4Network | None:
        """The subnet of the bridge if it exists and has an address."""
        link = self.link(rtnl.get_link(self.bridge), f"look for bridge {self.bridge}")
        if link is None:
            return None
        if link.kind != "bridge":
            raise SubnetError(f"interface {self.bridge} exists and is no bridge: remove it or use another suite")
        for reply in self.host.dump(rtnl.dump_addresses(), "list addresses"):
            index, address, prefix_len = rtnl.parse_address(reply.body)
            if index == link.index:
                return IPv4Network((address, prefix_len), strict=False)
        return None

    def _choose_subnet(self, present: IPv4Network | None) -> IPv4Network:
        if present is None:
            occupied = self._occupied()
            if self._wanted is None:
                return subnets.choose(occupied)
            subnets.check(self._wanted, occupied)
            return self._wanted
        if self._wanted is not None and self._wanted != present:
            raise SubnetError(
                f"bridge {self.bridge} has subnet {present}, but {self._wanted} is configured: remove the bridge or"
                " configure its subnet"
            )
        return present

    def _occupied(self) -> list[IPv4Network]:
        """Networks that the host has addresses in or routes to, the bridge's own routes left out."""
        own = self.link(rtnl.get_link(self.bridge), f"look for bridge {self.bridge}")
        own_index = own.index if own is not None else -1
        routes = [rtnl.parse_route(r.body) for r in self.host.dump(rtnl.dump_routes(), "list routes")]
        addresses = [rtnl.parse_address(r.body) for r in self.host.dump(rtnl.dump_addresses(), "list addresses")]
        occupied = [network for index, network in routes if index != own_index]
        return occupied + [IPv4Network((address, bits), strict=False) for _, address, bits in addresses]

    def _make_bridge(self, *, addressed: bool) -> None:
        gateway, prefix_len = self.addresses.gateway, self.addresses.subnet.prefixlen
        doing = f"make bridge {self.bridge} with address {gateway}/{prefix_len}"
        link = self.link(rtnl.get_link(self.bridge), doing)
        if link is None:
            quiet = [rtnl.without_ipv6(self.bridge)] if self.ipv6 else []
            self.host.transact([rtnl.create_bridge(self.bridge, mac_of(gateway), self.mtu), *quiet], doing)
            link = self.link(rtnl.get_link(self.bridge), doing)
        if link is None:
            raise NetlinkError(errno.ENODEV, f"cannot {doing}: it was deleted while being made")
        self.index = link.index
        self.host.transact([rtnl.bring_up(self.bridge)], doing)
        if not addressed:
            self.host.transact([rtnl.add_address(link.index, gateway, prefix_len)], doing)

    def _tolerate(self, messages: list[Message], doing: str) -> None:
        """Do something to an interface that may have gone meanwhile."""
        try:
            self.host.transact(messages, doing)
        except NetlinkError as error:
            if error.code not in (errno.ENODEV, errno.EINVAL, errno.EOPNOTSUPP):
                raise


def _set_sysctl(path: Path, value: str) -> None:
    """Write a sysctl only if it differs: /proc/sys may be read-only where it has been set for us."""
    if path.read_text().strip() != value:
        path.write_text(value)
