"""A second driver: an interface of each container's own that leads nowhere.

It is a bridge without ports: not every kernel has the kind `dummy`, and networks need bridges anyway.
"""

from collections.abc import Sequence
from dataclasses import replace

from seaway_agent.network import rtnetlink
from seaway_agent.network.driver import Driver, EndpointPlan, Plugged
from seaway_agent.network.port import NetworkSpec
from seaway_agent.network.rtnl import Link


class DummyDriver(Driver):
    """Nothing of its networks is on the host."""

    def make(self, spec: NetworkSpec) -> NetworkSpec:
        assert spec.subnet is not None
        return replace(spec, gateway=spec.gateway or next(spec.subnet.hosts()))

    def remove(self, spec: NetworkSpec) -> None:
        """Nothing is there."""

    def plug(self, plan: EndpointPlan, netns_fd: int) -> Plugged:
        with rtnetlink.opened(netns_fd) as inner:
            inner.make_bridge(plan.interface, plan.mac, plan.network.mtu, plan.address, plan.prefix_len)
            if plan.gateway is not None:
                inner.route_by(plan.interface, plan.gateway)
        return Plugged(plan.joined())

    def unplug(self, plugged: Plugged, netns_fd: int) -> None:
        with rtnetlink.opened(netns_fd) as inner:
            inner.delete(plugged.joined.interface)

    def adopt(self, plan: EndpointPlan, inside: Sequence[Link]) -> Plugged:
        found = next((link.name for link in inside if link.mac == plan.mac), plan.interface)
        return Plugged(replace(plan, interface=found).joined())
