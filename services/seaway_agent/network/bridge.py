"""The driver of bridge networks with NAT: each is a bridge of this host with an address in its subnet, and rules."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from ipaddress import IPv4Network
from pathlib import Path

from seaway_agent.network import rtnetlink, rtnl, subnets
from seaway_agent.network.driver import Driver, EndpointPlan, PluggedEndpoint
from seaway_agent.network.errors import SubnetError
from seaway_agent.network.ipam import AddressPool
from seaway_agent.network.names import bridge_name, check_suite, is_bridge, mac_of
from seaway_agent.network.netlink import NetlinkSocket
from seaway_agent.network.nft import NatTable
from seaway_agent.network.port import DEFAULT_NETWORK, InterfaceCounters, NetworkSpec
from seaway_agent.network.subnet_lock import subnet_lock
from seaway_agent.network.veths import Veths

_SYSCTL = Path("/proc/sys/net/ipv4")
_IPV6 = Path("/proc/sys/net/ipv6")


@dataclass(frozen=True, slots=True)
class _Bridge:
    name: str
    index: int
    subnet: IPv4Network


class BridgeDriver(Driver):
    """One suite's bridges, the default network's among them.

    A network without ``subnet`` keeps its bridge's, or else gets the first free one of Docker's pools. The driver
    enables IP forwarding on the host, as Docker does, and leaves it on.
    """

    def __init__(self, suite: str) -> None:
        super().__init__(check_suite(suite))
        self._nat = NatTable(suite)
        self._veths = Veths(suite, ipv6=_IPV6.exists())
        self._bridges: dict[str, _Bridge] = {}

    def make(self, spec: NetworkSpec) -> NetworkSpec:
        """See `Driver`. Raises SubnetError, NatError, NetlinkError."""
        made, bridge = self._set_up(spec)
        bridges = {**self._bridges, spec.name: bridge}
        self._install(bridges.values())
        self._bridges = bridges
        return made

    def remove(self, spec: NetworkSpec) -> None:
        """See `Driver`."""
        self._remove(self._name(spec))
        self._bridges.pop(spec.name, None)

    def plug(self, plan: EndpointPlan, netns_fd: int) -> PluggedEndpoint:
        """See `Driver`."""
        return self._veths.plug(plan, self._bridges[plan.network.name].index, netns_fd)

    def plug_at_start(self, plan: EndpointPlan, netns_fd: int, inner: NetlinkSocket) -> PluggedEndpoint:
        """See `Driver`."""
        return self._veths.plug_at_start(plan, self._bridges[plan.network.name].index, netns_fd, inner)

    def unplug(self, plugged: PluggedEndpoint, netns_fd: int) -> None:
        """See `Driver`."""
        self._veths.unplug(plugged)

    def release(self, plugged: PluggedEndpoint) -> None:
        """See `Driver`."""
        self._veths.flush_port(plugged)

    def adopt(self, plan: EndpointPlan, inside: Sequence[rtnl.Link]) -> PluggedEndpoint:
        """See `Driver`. A program may have renamed its interface or changed its address, but not the host's end."""
        return self._veths.find(plan, self._bridges[plan.network.name].index, inside)

    def sweep(self, live: Collection[str], networks: Iterable[NetworkSpec]) -> list[str]:
        """See `Driver`."""
        kept = {self._name(spec) for spec in networks}
        orphans = [name for name in self._present() if name not in kept]
        stale = self._veths.sweep(live)
        for name in orphans:
            self._remove(name)
        return stale + orphans

    def counters(self, endpoints: Iterable[PluggedEndpoint]) -> Mapping[str, InterfaceCounters]:
        """See `Driver`."""
        return self._veths.counters(endpoints)

    def refresh(self, networks: Iterable[NetworkSpec]) -> None:
        """See `Driver`."""
        self._bridges = {spec.name: self._set_up(spec)[1] for spec in networks}
        self._install(self._bridges.values())

    def teardown(self) -> None:
        """See `Driver`: table, veths, bridges."""
        self._nat.remove()
        self._veths.sweep(live=())
        if names := self._present():
            with rtnetlink.open_interfaces() as host:
                for name in names:
                    host.delete(name)

    def close(self) -> None:
        """See `Driver`: bridges and table stay for the next agent."""
        self._nat.close()
        self._veths.close()

    def _name(self, spec: NetworkSpec) -> str:
        return bridge_name(self.suite, "" if spec.name == DEFAULT_NETWORK else spec.id)

    def _set_up(self, spec: NetworkSpec) -> tuple[NetworkSpec, _Bridge]:
        """Make all but the rules. Safe to repeat: it doesn't disturb live containers."""
        name = self._name(spec)
        present = self._present_subnet(name)
        with subnet_lock() if present is None else nullcontext():
            subnet = self._choose_subnet(spec, name, present)
            made = replace(spec, subnet=subnet, gateway=AddressPool(subnet, spec.gateway).gateway)
            index = self._make_bridge(made, name) if present is None else self._bring_up(name)
        _set_sysctl(_SYSCTL / "conf" / name / "route_localnet", "1")
        _set_sysctl(_SYSCTL / "ip_forward", "1")
        return made, _Bridge(name, index, subnet)

    def _present_subnet(self, name: str) -> IPv4Network | None:
        """The subnet of the bridge if it exists and has an address."""
        link = self._veths.link(rtnl.get_link(name), f"look for bridge {name}")
        if link is None:
            return None
        if link.kind != "bridge":
            raise SubnetError(f"interface {name} exists and is no bridge: remove it or use another suite")
        for reply in self._veths.host.dump(rtnl.dump_addresses(), "list addresses"):
            index, address, prefix_len = rtnl.parse_address(reply.body)
            if index == link.index:
                return IPv4Network((address, prefix_len), strict=False)
        return None

    def _choose_subnet(self, spec: NetworkSpec, name: str, present: IPv4Network | None) -> IPv4Network:
        if present is not None:
            if spec.subnet is not None and spec.subnet != present:
                raise SubnetError(
                    f"bridge {name} has subnet {present}, but {spec.subnet} is configured: remove the bridge or"
                    " configure its subnet"
                )
            return present
        with rtnetlink.open_interfaces() as host:
            occupied = host.occupied(besides=name)
        if spec.subnet is None:
            return subnets.choose(occupied)
        subnets.check(spec.subnet, occupied)
        return spec.subnet

    def _make_bridge(self, spec: NetworkSpec, name: str) -> int:
        assert spec.subnet is not None
        assert spec.gateway is not None
        with rtnetlink.open_interfaces() as host:
            return host.make_bridge(name, mac_of(spec.gateway), spec.mtu, spec.gateway, spec.subnet.prefixlen)

    def _bring_up(self, name: str) -> int:
        """Bring an existing bridge up; returns its index. Without pyroute2, whose import would slow a restart."""
        answers = self._veths.host.transact([rtnl.bring_up(name), rtnl.get_link(name)], f"bring up bridge {name}")
        return rtnl.parse_link(answers[0].body).index

    def _install(self, bridges: Iterable[_Bridge]) -> None:
        self._nat.install({bridge.name: bridge.subnet for bridge in bridges})

    def _present(self) -> list[str]:
        """The names of this suite's bridges on the host."""
        return [link.name for link in self._veths.links() if is_bridge(self.suite, link.name)]

    def _remove(self, name: str) -> None:
        self._nat.uninstall(name)
        with rtnetlink.open_interfaces() as host:
            host.delete(name)


def _set_sysctl(path: Path, value: str) -> None:
    """Write a sysctl only if it differs: /proc/sys may be read-only where the value is preset."""
    if path.read_text().strip() != value:
        path.write_text(value)
