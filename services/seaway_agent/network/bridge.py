"""The driver of bridge networks with NAT: each is a bridge of this host with an address in its subnets, and rules."""

import logging
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from ipaddress import IPv4Interface, IPv4Network, IPv6Interface
from typing import Final

from seaway_agent.network import host_network, rtnetlink, rtnl, subnets
from seaway_agent.network.driver import Driver, EndpointPlan, PluggedEndpoint
from seaway_agent.network.errors import NetworkError, SubnetError
from seaway_agent.network.ipam import AddressPool, first_host
from seaway_agent.network.names import alias, bridge_names, check_suite, default_bridge, is_own, mac_of
from seaway_agent.network.netlink import NetlinkSocket
from seaway_agent.network.nft import NatTable
from seaway_agent.network.options import BridgeOptions, bridge_options
from seaway_agent.network.port import DEFAULT_NETWORK, InterfaceCounters, NetworkSpec
from seaway_agent.network.ruleset import BridgeRules
from seaway_agent.network.subnet_lock import subnet_lock
from seaway_agent.network.veths import BridgePort, Veths

MOST_PORTS: Final = 1023  # BR_MAX_PORTS in the kernel's net/bridge/br_private.h, without port 0
Interface = IPv4Interface | IPv6Interface
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Bridge:
    index: int
    rules: BridgeRules


class BridgeDriver(Driver):
    """One suite's bridges, the default network's among them.

    The default network keeps its bridge's subnet, or else gets the first free one of Docker's pools. The driver
    enables IP forwarding on the host, as Docker does, and leaves it on.
    """

    capacity = MOST_PORTS

    def __init__(self, suite: str) -> None:
        super().__init__(check_suite(suite))
        self._nat = NatTable(suite)
        self._veths = Veths(suite, ipv6=host_network.has_ipv6())
        self._bridges: dict[str, _Bridge] = {}

    def make(self, spec: NetworkSpec) -> NetworkSpec:
        """See `Driver`. Raises SubnetError, NatError, NetlinkError."""
        made, bridge, is_new = self._set_up(spec)
        try:
            self._nat.install([bridge.rules])
        except BaseException:
            if is_new:
                self._delete([bridge.rules.bridge])
            raise
        self._bridges[spec.id] = bridge
        return made

    def remove(self, spec: NetworkSpec) -> None:
        """See `Driver`."""
        bridge = self._bridges.get(spec.id)
        if bridge is not None:
            self._nat.install([other.rules for other in self._bridges.values() if other is not bridge], only=True)
            self._delete([bridge.rules.bridge])
            del self._bridges[spec.id]

    def plug(self, plan: EndpointPlan, netns_fd: int, inner: NetlinkSocket) -> PluggedEndpoint:
        """See `Driver`."""
        return self._veths.plug(plan, self._port(plan), netns_fd, inner)

    def plug_at_start(self, plan: EndpointPlan, netns_fd: int, inner: NetlinkSocket) -> PluggedEndpoint:
        """See `Driver`."""
        return self._veths.plug_at_start(plan, self._port(plan), netns_fd, inner)

    def unplug(self, plugged: PluggedEndpoint, netns_fd: int) -> None:
        """See `Driver`."""
        self._veths.unplug(plugged)

    def release(self, plugged: PluggedEndpoint) -> None:
        """See `Driver`."""
        self._veths.flush_port(plugged)

    def adopt(self, plan: EndpointPlan, inside: Sequence[rtnl.Link]) -> PluggedEndpoint:
        """See `Driver`. A program may have renamed its interface or changed its address, but not the host's end."""
        return self._veths.find(plan, self._bridges[plan.network.id].index, inside)

    def made_of(self, inside: Sequence[rtnl.Link]) -> list[rtnl.Link]:
        """See `Driver`."""
        return [inner for inner, _ in self._veths.own(inside)]

    def sweep(self, live: Collection[str], networks: Iterable[NetworkSpec]) -> list[str]:
        """See `Driver`."""
        kept = {bridge.rules.bridge for bridge in self._bridges.values()}
        orphans = [name for name in self._present() if name not in kept]
        stale = self._veths.sweep(live)
        if orphans:
            self._nat.install([bridge.rules for bridge in self._bridges.values()], only=True)
            self._delete(orphans)
        return stale + orphans

    def counters(self, endpoints: Iterable[PluggedEndpoint]) -> Mapping[str, InterfaceCounters]:
        """See `Driver`."""
        return self._veths.counters(endpoints)

    def interfaces(self) -> Collection[int]:
        """See `Driver`."""
        return [bridge.index for bridge in self._bridges.values()]

    def warnings(self) -> list[str]:
        """See `Driver`."""
        return self._nat.warnings([bridge.rules for bridge in self._bridges.values()])

    def refresh(self, networks: Iterable[NetworkSpec]) -> None:
        """See `Driver`. The rules of a network that can't be set up again are those that it had."""
        for spec in networks:
            try:
                self._bridges[spec.id] = self._set_up(spec)[1]
            except (NetworkError, OSError) as error:
                _log.error("network %s can't be set up again: %s", spec.name, error)
        self._nat.install([bridge.rules for bridge in self._bridges.values()], only=True)

    def teardown(self) -> None:
        """See `Driver`: tables, veths, bridges."""
        self._nat.remove()
        self._veths.sweep(live=())
        if names := self._present():
            self._delete(names)

    def close(self) -> None:
        """See `Driver`: bridges and tables stay for the next agent."""
        self._nat.close()
        self._veths.close()

    def _port(self, plan: EndpointPlan) -> BridgePort:
        """Where nftables sees bridged packets, its rules keep containers apart; elsewhere the bridge must."""
        bridge = self._bridges[plan.network.id]
        return BridgePort(bridge.index, isolated=not bridge.rules.icc and not host_network.filters_bridges())

    # --- making

    def _set_up(self, spec: NetworkSpec) -> tuple[NetworkSpec, _Bridge, bool]:
        """Make all but the rules, and tell whether the bridge is new. Safe to repeat: it doesn't disturb containers."""
        options = _options(spec)
        if spec.subnet6 is not None and not host_network.has_ipv6():
            raise NetworkError(f"network {spec.name} has IPv6, but this host has none")
        name, link = self._find(spec, options)
        present = self._addresses_of(link) if link is not None else []
        subnet4 = next((one.network for one in present if isinstance(one, IPv4Interface)), None)
        with subnet_lock() if subnet4 is None else nullcontext():
            subnet = self._choose_subnet(spec, name, subnet4, link)
            made = replace(spec, subnet=subnet, gateway=AddressPool(subnet, spec.gateway).gateway)
            if spec.subnet6 is not None and spec.gateway6 is None:
                made = replace(made, gateway6=first_host(spec.subnet6))
            own = _gateways(made, options)
            missing = link is None or not set(own) <= set(present)
            index = self._make_bridge(made, name, link, own) if missing else self._bring_up(name)
        host_network.forward_ipv4(name)
        rules = BridgeRules(
            name,
            subnet,
            made.subnet6,
            made.internal,
            options.icc,
            options.masquerade,
            options.source,
            options.source6,
        )
        return made, _Bridge(index, rules), link is None

    def _find(self, spec: NetworkSpec, options: BridgeOptions) -> tuple[str, rtnl.Link | None]:
        """The name of a network's bridge, and the bridge if it is there. Raises NetworkError for another's name."""
        own = "" if spec.id == DEFAULT_NETWORK else alias(self.suite, spec.id)
        names = (options.name,) if options.name else bridge_names(self.suite, spec.id)
        names = (default_bridge(self.suite),) if spec.id == DEFAULT_NETWORK else names
        found = {name: self._veths.link(rtnl.get_link(name), f"look for bridge {name}") for name in names}
        for name, link in found.items():
            if link is not None and link.kind == "bridge" and link.alias == own:
                return name, link
        first = bridge_names(self.suite, spec.id)[1]
        unfinished = found.get(first)
        if unfinished is not None and unfinished.kind == "bridge" and not unfinished.alias:
            found[first] = None
        free = next((name for name, link in found.items() if link is None), None)
        if free is None:
            raise NetworkError(f"interface {names[0]} exists and is not network {spec.name}'s bridge: remove it first")
        return free, None

    def _addresses_of(self, link: rtnl.Link) -> list[Interface]:
        dumped = self._veths.host.dump(rtnl.dump_addresses(), "list addresses")
        found = (rtnl.parse_address(reply.body) for reply in dumped)
        return [address for index, address in found if index == link.index]

    def _choose_subnet(
        self, spec: NetworkSpec, name: str, present: IPv4Network | None, link: rtnl.Link | None
    ) -> IPv4Network:
        if present is not None:
            if spec.subnet is not None and spec.subnet != present:
                raise SubnetError(
                    f"bridge {name} has subnet {present}, but {spec.subnet} is configured: remove the bridge or"
                    " configure its subnet"
                )
            return present
        host, own = self._veths.host, [link.index] if link is not None else []
        occupied = [*host_network.routes(host, own), *host_network.addresses(host, own)]
        if spec.subnet6 is not None:
            subnets.check(spec.subnet6, occupied)
        if spec.subnet is None:
            return subnets.choose(occupied)
        subnets.check(spec.subnet, occupied)
        return spec.subnet

    def _make_bridge(self, spec: NetworkSpec, name: str, link: rtnl.Link | None, addresses: Iterable[Interface]) -> int:
        """Make the missing parts of a bridge, and nothing if one can't be made."""
        assert spec.gateway is not None
        own = {"first_name": bridge_names(self.suite, spec.id)[1], "alias": alias(self.suite, spec.id)}
        if spec.id == DEFAULT_NETWORK:
            own = {"first_name": name, "alias": ""}
        ipv6 = spec.subnet6 is not None
        with rtnetlink.open_interfaces() as host:
            index = self._bring_up(name) if link is not None else 0
            index = index or host.make_bridge(name, mac_of(spec.gateway), spec.mtu, ipv6=ipv6, **own)
            try:
                if ipv6:
                    host_network.forward_ipv6(name)
                for address in addresses:
                    host.add_address(index, address)
            except BaseException:
                if link is None:
                    host.delete(name)
                raise
        return index

    def _bring_up(self, name: str) -> int:
        """Bring an existing bridge up; returns its index. Without pyroute2, whose import would slow a restart."""
        answers = self._veths.host.transact([rtnl.bring_up(name), rtnl.get_link(name)], f"bring up bridge {name}")
        return rtnl.parse_link(answers[0].body).index

    def _present(self) -> list[str]:
        """The names of this suite's bridges on the host."""
        bridges = (link for link in self._veths.links() if link.kind == "bridge")
        return [link.name for link in bridges if is_own(self.suite, link.name, link.alias)]

    def _delete(self, names: Iterable[str]) -> None:
        with rtnetlink.open_interfaces() as host:
            for name in names:
                host.delete(name)


def _options(spec: NetworkSpec) -> BridgeOptions:
    try:
        return bridge_options(spec.options)
    except ValueError as error:
        raise NetworkError(f"network {spec.name}: {error}") from error


def _gateways(spec: NetworkSpec, options: BridgeOptions) -> list[Interface]:
    """The bridge's own addresses."""
    found: list[Interface] = []
    if spec.subnet is not None and spec.gateway is not None and not options.inhibit_ipv4:
        found.append(IPv4Interface((spec.gateway, spec.subnet.prefixlen)))
    if spec.subnet6 is not None and spec.gateway6 is not None:
        found.append(IPv6Interface((spec.gateway6, spec.subnet6.prefixlen)))
    return found
