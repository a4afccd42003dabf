"""All sandboxes of a node: build, connect, adopt, release them. Belongs to the network's thread."""

import logging
import os
from collections.abc import Collection, Mapping, Sequence
from ipaddress import IPv4Address

from seaway_agent.network import names, netns, options
from seaway_agent.network.adoption import Adoption
from seaway_agent.network.default_routes import fill_default_routes, replace_default_routes
from seaway_agent.network.driver import EndpointPlan, PluggedEndpoint
from seaway_agent.network.errors import NetworkError
from seaway_agent.network.netlink import NetlinkSocket
from seaway_agent.network.network_table import Network, NetworkTable
from seaway_agent.network.port import EndpointInfo, EndpointRequest, InterfaceCounters, route_rank
from seaway_agent.network.sandbox import Sandbox, counters_inside, links, new_sandbox, socket_in

_log = logging.getLogger(__name__)


class Sandboxes:
    """The live sandboxes, with their endpoints and addresses."""

    def __init__(self, networks: NetworkTable) -> None:
        self._networks = networks
        self._home = -1
        self._adoption = Adoption(networks, -1)
        self._live: set[Sandbox] = set()

    def open(self) -> None:
        """Call this first, in the thread and the namespace of all later calls."""
        self._home = netns.current()
        self._adoption = Adoption(self._networks, self._home)

    def build(self, requests: Sequence[EndpointRequest]) -> Sandbox:
        """Build a sandbox with these endpoints. Leaves nothing on error."""
        with new_sandbox(self._home) as (made, inner):
            try:
                self._plug_all(made, requests, inner)
            except BaseException:
                self._give_back(made, made.plugged)
                raise
        self._live.add(made)
        return made

    def extend(self, sandbox: Sandbox, requests: Sequence[EndpointRequest]) -> None:
        """Add endpoints to a sandbox without programs; releases it on error."""
        if not requests:
            return
        try:
            with socket_in(sandbox.netns_fd, self._home) as inner:
                self._plug_all(sandbox, requests, inner)
        except BaseException:
            self.release(sandbox)
            raise

    def connect(self, sandbox: Sandbox, netns_fd: int, request: EndpointRequest) -> EndpointInfo:
        """Add an endpoint to the namespace of a running container."""
        taken = {link.name for link in links(netns_fd, self._home)}
        network, plan = self._plan(sandbox, request, (request,), taken)
        try:
            with socket_in(netns_fd, self._home) as inner:
                plugged = network.driver.plug(plan, netns_fd, inner)
        except BaseException:
            network.free(plan, sandbox)
            fill_default_routes(sandbox, netns_fd)
            raise
        sandbox.plugged = (*sandbox.plugged, plugged)
        return plugged.info

    def disconnect(self, sandbox: Sandbox, netns_fd: int, network_id: str) -> None:
        """Remove an endpoint; the default routes follow. ``netns_fd`` -1: the namespace is gone.

        The routes first: an agent that is killed in between leaves the container a way out.
        """
        plugged, before = sandbox.on(network_id), sandbox.plugged
        if plugged is None:
            return
        is_way_out = plugged in (sandbox.gateway, sandbox.gateway6)
        sandbox.plugged = tuple(other for other in before if other is not plugged)
        if netns_fd >= 0:
            try:
                if is_way_out:
                    replace_default_routes(sandbox, netns_fd)
                self._networks.of(plugged).driver.unplug(plugged, netns_fd)
            except BaseException:
                sandbox.plugged = before
                if is_way_out:
                    replace_default_routes(sandbox, netns_fd)
                raise
        self._give_back(sandbox, [plugged])

    def release(self, sandbox: Sandbox) -> None:
        """Release a sandbox and its addresses. Safe to call twice.

        The kernel removes namespace and interfaces when its last process ends. In a shared one another container may
        go on, so that its interfaces are removed here.
        """
        if sandbox in self._live:
            self._live.remove(sandbox)
            if sandbox.shared_fd >= 0:
                self._unplug_all(sandbox)
            self._give_back(sandbox, sandbox.plugged)
        sandbox.close()

    def adopt(self, pid: int, requests: Sequence[EndpointRequest]) -> Sandbox:
        """The sandbox of a process that outlived an earlier agent, even if the process has changed it.

        Allocates its addresses again, and removes what a killed agent had not finished. Raises SandboxGone if the
        process has ended.
        """
        adopted = self._adoption.adopt(pid, requests)
        self._live.add(adopted)
        return adopted

    def owns(self, sandbox: Sandbox, address: IPv4Address) -> bool:
        """Whether an address of its endpoints is its alone: a restored one may be another sandbox's already."""
        return any(
            plugged.info.address == address and self._networks.of(plugged).addresses.is_held_by(address, sandbox)
            for plugged in sandbox.plugged
        )

    def sweep(self) -> list[str]:
        """Remove interfaces without a sandbox or network; returns their names.

        Removes none if the interfaces of a live process could not be read.
        """
        if not self._adoption.all_readable:
            return []
        return self._networks.sweep(
            {plugged.info.host_interface for sandbox in self._live for plugged in sandbox.plugged}
        )

    def in_use(self, network_id: str) -> bool:
        """Whether a sandbox has an endpoint in a network."""
        return any(sandbox.on(network_id) for sandbox in self._live)

    def counters(self, sandboxes: Mapping[str, Sandbox]) -> dict[str, dict[str, InterfaceCounters]]:
        """The counters of these sandboxes, by name and interface."""
        found = self._networks.counters(plugged for sandbox in sandboxes.values() for plugged in sandbox.plugged)
        return {name: _by_interface(sandbox, found) for name, sandbox in sandboxes.items()}

    def close(self) -> None:
        """Forget all sandboxes; those of live containers stay."""
        for sandbox in self._live:
            sandbox.close()
        self._live.clear()
        if self._home >= 0:
            os.close(self._home)
            self._home = -1

    # --- endpoints

    def _plug_all(self, sandbox: Sandbox, requests: Sequence[EndpointRequest], inner: NetlinkSocket) -> None:
        for request in requests:
            taken = [plugged.info.interface for plugged in sandbox.plugged]
            network, plan = self._plan(sandbox, request, requests, taken)
            try:
                plugged = network.driver.plug_at_start(plan, sandbox.netns_fd, inner)
            except BaseException:
                network.free(plan, sandbox)
                raise
            sandbox.plugged = (*sandbox.plugged, plugged)

    def _plan(
        self, sandbox: Sandbox, request: EndpointRequest, coming: Sequence[EndpointRequest], taken: Collection[str]
    ) -> tuple[Network, EndpointPlan]:
        """Plan one of the ``coming`` endpoints, and allocate its addresses. ``taken``: names of interfaces."""
        network = self._networks.get(request.network)
        spec, rank = network.spec, route_rank(request.gateway_priority, network.spec.name)
        if sandbox.on(request.network) is not None:
            raise NetworkError(f"the container has an endpoint in network {spec.name} already")
        first, first6 = self._first_ranks(sandbox, coming)
        address, address6 = network.take(request, sandbox)
        return network, EndpointPlan(
            network=spec,
            interface=names.free_interface(options.interface_prefix(spec.options), taken),
            address=address,
            mac=request.mac or names.mac_of(address),
            address6=address6,
            gateway=spec.way_out if rank == first else None,
            gateway6=spec.way_out6 if rank == first6 and address6 is not None else None,
            rank=rank,
        )

    def _first_ranks(
        self, sandbox: Sandbox, coming: Sequence[EndpointRequest]
    ) -> tuple[tuple[int, str] | None, tuple[int, str] | None]:
        """The ranks of the endpoints, present and coming, that get the default routes of IPv4 and IPv6."""
        specs = [(self._networks.get(request.network).spec, request.gateway_priority) for request in coming]
        ranks = [route_rank(priority, spec.name) for spec, priority in specs if spec.way_out is not None]
        ranks6 = [route_rank(priority, spec.name) for spec, priority in specs if spec.way_out6 is not None]
        ranks += [plugged.rank for plugged in sandbox.plugged if plugged.info.gateway is not None]
        ranks6 += [plugged.rank for plugged in sandbox.plugged if plugged.info.gateway6 is not None]
        return min(ranks, default=None), min(ranks6, default=None)

    def _unplug_all(self, sandbox: Sandbox) -> None:
        """What can't be removed is logged: its addresses may be given to another container."""
        for plugged in sandbox.plugged:
            try:
                self._networks.of(plugged).driver.unplug(plugged, sandbox.shared_fd)
            except (NetworkError, OSError) as error:
                _log.error("address %s stays in a sandbox of another container: %s", plugged.info.address, error)

    def _give_back(self, sandbox: Sandbox, endpoints: Sequence[PluggedEndpoint]) -> None:
        for plugged in endpoints:
            self._networks.of(plugged).free(plugged.info, sandbox)
        for plugged in endpoints:
            self._networks.of(plugged).driver.release(plugged)


def _by_interface(sandbox: Sandbox, found: Mapping[str, InterfaceCounters]) -> dict[str, InterfaceCounters]:
    """The counters of a sandbox: `found` on the host, or read inside for drivers without host interfaces (macvlan)."""
    known = [(plugged.info.interface, found.get(plugged.info.host_interface)) for plugged in sandbox.plugged]
    if all(counters is not None for _, counters in known):
        return {interface: counters for interface, counters in known if counters is not None}
    inside = counters_inside(sandbox.pid)
    every = ((interface, counters or inside.get(interface)) for interface, counters in known)
    return {interface: counters for interface, counters in every if counters is not None}
