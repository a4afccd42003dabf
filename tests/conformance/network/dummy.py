"""A second driver: an interface of each container's own that leads nowhere.

It is a bridge without ports: not every kernel has the kind `dummy`, and networks need bridges anyway.
"""

from collections.abc import Sequence
from dataclasses import replace

from seaway_agent.network import rtnetlink
from seaway_agent.network.driver import Driver, EndpointPlan, PluggedEndpoint
from seaway_agent.network.netlink import NetlinkSocket
from seaway_agent.network.port import NetworkSpec
from seaway_agent.network.rtnl import Link


class DummyDriver(Driver):
    """Nothing of its networks is on the host."""

    def make(self, spec: NetworkSpec) -> NetworkSpec:
        assert spec.subnet is not None
        gateway6 = spec.gateway6 or (next(spec.subnet6.hosts()) if spec.subnet6 is not None else None)
        return replace(spec, gateway=spec.gateway or next(spec.subnet.hosts()), gateway6=gateway6)

    def remove(self, spec: NetworkSpec) -> None:
        """Nothing is there."""

    def plug(self, plan: EndpointPlan, netns_fd: int, _: NetlinkSocket) -> PluggedEndpoint:
        with rtnetlink.open_interfaces(netns_fd) as inner:
            inner.make_bridge(plan.interface, plan.mac, plan.network.mtu, first_name=plan.interface, alias="")
            inner.configure(plan.interface, plan.addresses, plan.gateways)
        return plan.plugged()

    def unplug(self, plugged: PluggedEndpoint, netns_fd: int) -> None:
        with rtnetlink.open_interfaces(netns_fd) as inner:
            inner.delete(plugged.info.interface)

    def adopt(self, plan: EndpointPlan, inside: Sequence[Link]) -> PluggedEndpoint:
        found = next((link.name for link in inside if link.mac == plan.mac), plan.interface)
        return replace(plan, interface=found).plugged()
