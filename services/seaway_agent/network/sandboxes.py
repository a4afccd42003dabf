"""All sandboxes of a node: build, connect, adopt, release them. Belongs to the network's thread."""

import itertools
import logging
import os
from collections.abc import Iterable, Mapping, Sequence
from ipaddress import IPv4Address

from seaway_agent.network import names, netns, rtnetlink, rtnl
from seaway_agent.network.driver import EndpointPlan, PluggedEndpoint
from seaway_agent.network.errors import AddressError, NetlinkError, NetworkError
from seaway_agent.network.netlink import NetlinkSocket
from seaway_agent.network.network_table import Network, NetworkTable
from seaway_agent.network.port import EndpointInfo, EndpointRequest, InterfaceCounters
from seaway_agent.network.sandbox import Sandbox, links, namespace_of, new_sandbox, socket_in

_log = logging.getLogger(__name__)


class Sandboxes:
    """The live sandboxes, with their endpoints and addresses."""

    def __init__(self, networks: NetworkTable) -> None:
        self._networks = networks
        self._home = -1
        self._live: set[Sandbox] = set()
        self._all_readable = True

    def open(self) -> None:
        """Call this first, in the thread and the namespace of all later calls."""
        self._home = netns.current()

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
        interface = next(name for name in map(names.interface, itertools.count()) if name not in taken)
        network, plan = self._plan(sandbox, request, interface)
        try:
            plugged = network.driver.plug(plan, netns_fd)
        except BaseException:
            network.free(plan.address, sandbox)
            raise
        sandbox.plugged = (*sandbox.plugged, plugged)
        return plugged.info

    def disconnect(self, sandbox: Sandbox, netns_fd: int, name: str) -> None:
        """Remove an endpoint; the next one with a gateway gets the default route. ``netns_fd`` -1: namespace gone."""
        plugged = sandbox.on(name)
        if plugged is None:
            return
        routed = sandbox.gateway is plugged
        if netns_fd >= 0:
            self._networks.of(plugged).driver.unplug(plugged, netns_fd)
        sandbox.plugged = tuple(other for other in sandbox.plugged if other is not plugged)
        self._give_back(sandbox, [plugged])
        if routed and netns_fd >= 0:
            _replace_default_route(sandbox, netns_fd)

    def release(self, sandbox: Sandbox) -> None:
        """Release a sandbox and its addresses. Safe to call twice.

        The kernel removes namespace and interfaces when its last process ends.
        """
        sandbox.close()
        if sandbox in self._live:
            self._live.remove(sandbox)
            self._give_back(sandbox, sandbox.plugged)

    def adopt(self, pid: int, requests: Sequence[EndpointRequest]) -> Sandbox:
        """The sandbox of a process that outlived an earlier agent, even if the process has changed it.

        Allocates its addresses again. Raises SandboxGone if the process has ended.
        """
        fd = namespace_of(pid)
        try:
            adopted = Sandbox(-1, pid=pid, inode=self._inode(fd))
            inside = self._inside(fd, pid) if requests else ()
        finally:
            os.close(fd)
        for number, request in enumerate(requests):
            plugged = self._adopt_endpoint(adopted, request, number, inside)
            if plugged is not None:
                adopted.plugged = (*adopted.plugged, plugged)
                inside = [link for link in inside if link.name != plugged.info.interface]
        self._live.add(adopted)
        return adopted

    def owns(self, sandbox: Sandbox, address: IPv4Address) -> bool:
        """Whether an address of its endpoints is its alone: a restored one may be another sandbox's already."""
        return any(
            plugged.info.address == address and self._networks.of(plugged).is_held_by(address, sandbox)
            for plugged in sandbox.plugged
        )

    def sweep(self) -> list[str]:
        """Remove interfaces without a sandbox or network; returns their names.

        Removes none if the interfaces of a live process could not be read.
        """
        if not self._all_readable:
            return []
        return self._networks.sweep(
            {plugged.info.host_interface for sandbox in self._live for plugged in sandbox.plugged}
        )

    def in_use(self, network: str) -> bool:
        """Whether a sandbox has an endpoint in a network."""
        return any(sandbox.on(network) for sandbox in self._live)

    def counters(self, sandboxes: Mapping[str, Sandbox]) -> dict[str, dict[str, InterfaceCounters]]:
        """The counters of these sandboxes, by name and interface."""
        found = self._networks.counters(plugged for sandbox in sandboxes.values() for plugged in sandbox.plugged)
        return {name: _by_interface(sandbox.plugged, found) for name, sandbox in sandboxes.items()}

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
            network, plan = self._plan(sandbox, request, names.interface(len(sandbox.plugged)))
            try:
                plugged = network.driver.plug_at_start(plan, sandbox.netns_fd, inner)
            except BaseException:
                network.free(plan.address, sandbox)
                raise
            sandbox.plugged = (*sandbox.plugged, plugged)

    def _plan(self, sandbox: Sandbox, request: EndpointRequest, interface: str) -> tuple[Network, EndpointPlan]:
        """Plan an endpoint, and allocate its address."""
        network = self._networks.named(request.network)
        if sandbox.on(request.network) is not None:
            raise NetworkError(f"the container has an endpoint in network {request.network} already")
        address = network.take(request.address, sandbox)
        gateway = network.spec.gateway if sandbox.gateway is None else None
        prefix_len, mac = network.addresses.subnet.prefixlen, request.mac or names.mac_of(address)
        return network, EndpointPlan(network.spec, interface, address, prefix_len, mac, gateway)

    def _give_back(self, sandbox: Sandbox, endpoints: Sequence[PluggedEndpoint]) -> None:
        for plugged in endpoints:
            self._networks.of(plugged).free(plugged.info.address, sandbox)
        for plugged in endpoints:
            self._networks.of(plugged).driver.release(plugged)

    # --- adopting

    def _inode(self, fd: int) -> int:
        """The inode of a container's namespace; 0 if its process has moved to the host's, which must not be changed."""
        found = os.fstat(fd).st_ino
        return found if found != os.fstat(self._home).st_ino else 0

    def _inside(self, fd: int, pid: int) -> Sequence[rtnl.Link]:
        try:
            return links(fd, self._home)
        except (NetlinkError, OSError) as error:
            self._log_unreadable(pid, error)
            return ()

    def _adopt_endpoint(
        self, adopted: Sandbox, request: EndpointRequest, number: int, inside: Sequence[rtnl.Link]
    ) -> PluggedEndpoint | None:
        network, address = self._networks.by_name.get(request.network), request.address
        if network is None or address is None:
            _log.error("process %d is in network %s, which is not on this node", adopted.pid, request.network)
            return None
        prefix_len, mac = network.addresses.subnet.prefixlen, request.mac or names.mac_of(address)
        plan = EndpointPlan(network.spec, names.interface(number), address, prefix_len, mac)
        plugged = self._find_endpoint(network, plan, inside, adopted.pid)
        try:
            network.restore(address, adopted)
        except AddressError as error:
            _log.error("address %s of process %d: %s", address, adopted.pid, error)
        return plugged

    def _find_endpoint(
        self, network: Network, plan: EndpointPlan, inside: Sequence[rtnl.Link], pid: int
    ) -> PluggedEndpoint:
        try:
            return network.driver.adopt(plan, inside)
        except (NetlinkError, OSError) as error:
            self._log_unreadable(pid, error)
            return PluggedEndpoint(plan.info())

    def _log_unreadable(self, pid: int, error: Exception) -> None:
        self._all_readable = False
        _log.warning("the interfaces of process %d can't be read, so none is removed: %s", pid, error)


def _replace_default_route(sandbox: Sandbox, netns_fd: int) -> None:
    successor = sandbox.gateway
    if successor is not None and successor.info.gateway is not None:
        with rtnetlink.open_interfaces(netns_fd) as inner:
            inner.route_by(successor.info.interface, successor.info.gateway)


def _by_interface(
    endpoints: Iterable[PluggedEndpoint], found: Mapping[str, InterfaceCounters]
) -> dict[str, InterfaceCounters]:
    known = ((plugged.info.interface, found.get(plugged.info.host_interface)) for plugged in endpoints)
    return {interface: counters for interface, counters in known if counters is not None}
