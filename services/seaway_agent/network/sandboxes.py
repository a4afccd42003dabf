"""All sandboxes of a node: built, joined to networks, adopted, given back. Belongs to the network's thread."""

import itertools
import logging
import os
from collections.abc import Iterable, Mapping, Sequence

from seaway_agent.network import names, netns, rtnetlink, rtnl, sandbox
from seaway_agent.network.driver import EndpointPlan, Plugged
from seaway_agent.network.errors import AddressError, NetlinkError, NetworkError
from seaway_agent.network.made import MadeNetworks, Network
from seaway_agent.network.netlink import NetlinkSocket
from seaway_agent.network.port import EndpointRequest, InterfaceCounters, Joined
from seaway_agent.network.sandbox import Sandbox

_log = logging.getLogger(__name__)


class Sandboxes:
    """Which endpoints and addresses belong to which sandbox."""

    def __init__(self, networks: MadeNetworks) -> None:
        self._networks = networks
        self._home = -1
        self._live: set[Sandbox] = set()
        self._all_known = True

    def open(self) -> None:
        """To be called first, in the thread and the namespace in which all the rest will run."""
        self._home = netns.current()

    def build(self, requests: Sequence[EndpointRequest]) -> Sandbox:
        """A new sandbox with these endpoints. Nothing stays behind on error."""
        with sandbox.built(self._home) as (made, inner):
            try:
                self._plug_all(made, requests, inner)
            except BaseException:
                self._give_back(made, made.plugged)
                raise
        self._live.add(made)
        return made

    def extend(self, held: Sandbox, requests: Sequence[EndpointRequest]) -> None:
        """Put further endpoints into a sandbox that no program is in yet; on error it is released."""
        if not requests:
            return
        try:
            with sandbox.socket_in(held.netns_fd, self._home) as inner:
                self._plug_all(held, requests, inner)
        except BaseException:
            self.release(held)
            raise

    def connect(self, held: Sandbox, netns_fd: int, request: EndpointRequest) -> Joined:
        """A further endpoint in the namespace of a container that runs."""
        taken = {link.name for link in sandbox.links(netns_fd, self._home)}
        interface = next(name for name in map(names.interface, itertools.count()) if name not in taken)
        network, plan = self._plan(held, request, interface)
        try:
            plugged = network.driver.plug(plan, netns_fd)
        except BaseException:
            network.free(plan.address, held)
            raise
        held.plugged = (*held.plugged, plugged)
        return plugged.joined

    def disconnect(self, held: Sandbox, netns_fd: int, name: str) -> None:
        """Take an endpoint away; the next one with a gateway gets the default route. ``netns_fd`` -1: it is gone."""
        plugged = held.on(name)
        if plugged is None:
            return
        routed = held.gateway is plugged
        if netns_fd >= 0:
            self._networks.of(plugged).driver.unplug(plugged, netns_fd)
        held.plugged = tuple(other for other in held.plugged if other is not plugged)
        self._give_back(held, [plugged])
        if routed and netns_fd >= 0:
            _route_anew(held, netns_fd)

    def release(self, held: Sandbox) -> None:
        """Let go of a sandbox, whose addresses are free from now on. Twice does no harm.

        The kernel removes namespace and interfaces as soon as no process is left in it.
        """
        held.hand_over()
        if held in self._live:
            self._live.remove(held)
            self._give_back(held, held.plugged)

    def adopt(self, pid: int, requests: Sequence[EndpointRequest]) -> Sandbox:
        """The sandbox of a process that outlived an earlier agent, whatever that process has done to it.

        The addresses that it was given are taken from now on. Raises SandboxGone if the process has ended.
        """
        fd = sandbox.namespace_of(pid)
        try:
            adopted = Sandbox(-1, pid=pid, inode=self._inode(fd))
            inside = self._inside(fd, pid) if requests else ()
        finally:
            os.close(fd)
        for number, request in enumerate(requests):
            plugged = self._found(adopted, request, number, inside)
            if plugged is not None:
                adopted.plugged = (*adopted.plugged, plugged)
                inside = [link for link in inside if link.name != plugged.joined.interface]
        self._live.add(adopted)
        return adopted

    def sweep(self) -> list[str]:
        """Remove interfaces that belong to no sandbox and no network; their names are given back.

        None is removed while nobody knows which of them is a living process's.
        """
        if not self._all_known:
            return []
        return self._networks.sweep({plugged.joined.host_interface for held in self._live for plugged in held.plugged})

    def in_use(self, network: str) -> bool:
        """Whether a sandbox has an endpoint in a network."""
        return any(held.on(network) for held in self._live)

    def counters(self, sandboxes: Mapping[str, Sandbox]) -> dict[str, dict[str, InterfaceCounters]]:
        """Of these sandboxes, by name and interface."""
        found = self._networks.counters(plugged for held in sandboxes.values() for plugged in held.plugged)
        return {name: _by_interface(held.plugged, found) for name, held in sandboxes.items()}

    def close(self) -> None:
        """Forget all sandboxes; those that containers hold live on."""
        for held in self._live:
            held.hand_over()
        self._live.clear()
        if self._home >= 0:
            os.close(self._home)
            self._home = -1

    # --- endpoints

    def _plug_all(self, held: Sandbox, requests: Sequence[EndpointRequest], inner: NetlinkSocket) -> None:
        for request in requests:
            network, plan = self._plan(held, request, names.interface(len(held.plugged)))
            try:
                plugged = network.driver.plug_at_start(plan, held.netns_fd, inner)
            except BaseException:
                network.free(plan.address, held)
                raise
            held.plugged = (*held.plugged, plugged)

    def _plan(self, held: Sandbox, request: EndpointRequest, interface: str) -> tuple[Network, EndpointPlan]:
        """What the endpoint is to be; its address is taken from now on."""
        network = self._networks.named(request.network)
        if held.on(request.network) is not None:
            raise NetworkError(f"the container has an endpoint in network {request.network} already")
        address = network.take(request.address, held)
        gateway = network.spec.gateway if held.gateway is None else None
        prefix_len, mac = network.addresses.subnet.prefixlen, request.mac or names.mac_of(address)
        return network, EndpointPlan(network.spec, interface, address, prefix_len, mac, gateway)

    def _give_back(self, held: Sandbox, endpoints: Sequence[Plugged]) -> None:
        for plugged in endpoints:
            self._networks.of(plugged).free(plugged.joined.address, held)
        for plugged in endpoints:
            self._networks.of(plugged).driver.let_go(plugged)

    # --- adopting

    def _inode(self, fd: int) -> int:
        """That of a container's namespace; 0 where its process has moved to the host's, which nobody must change."""
        found = os.fstat(fd).st_ino
        return found if found != os.fstat(self._home).st_ino else 0

    def _inside(self, fd: int, pid: int) -> Sequence[rtnl.Link]:
        try:
            return sandbox.links(fd, self._home)
        except (NetlinkError, OSError) as error:
            self._not_known(pid, error)
            return ()

    def _found(
        self, adopted: Sandbox, request: EndpointRequest, number: int, inside: Sequence[rtnl.Link]
    ) -> Plugged | None:
        network, address = self._networks.by_name.get(request.network), request.address
        if network is None or address is None:
            _log.error("process %d is in network %s, which is not on this node", adopted.pid, request.network)
            return None
        prefix_len, mac = network.addresses.subnet.prefixlen, request.mac or names.mac_of(address)
        plan = EndpointPlan(network.spec, names.interface(number), address, prefix_len, mac)
        plugged = self._look_for(network, plan, inside, adopted.pid)
        try:
            network.take_again(address, adopted)
        except AddressError as error:
            _log.error("address %s of process %d: %s", address, adopted.pid, error)
        return plugged

    def _look_for(self, network: Network, plan: EndpointPlan, inside: Sequence[rtnl.Link], pid: int) -> Plugged:
        try:
            return network.driver.adopt(plan, inside)
        except (NetlinkError, OSError) as error:
            self._not_known(pid, error)
            return Plugged(plan.joined())

    def _not_known(self, pid: int, error: Exception) -> None:
        self._all_known = False
        _log.warning("the interfaces of process %d can't be read, so none is removed: %s", pid, error)


def _route_anew(held: Sandbox, netns_fd: int) -> None:
    heir = held.gateway
    if heir is not None and heir.joined.gateway is not None:
        with rtnetlink.opened(netns_fd) as inner:
            inner.route_by(heir.joined.interface, heir.joined.gateway)


def _by_interface(endpoints: Iterable[Plugged], found: Mapping[str, InterfaceCounters]) -> dict[str, InterfaceCounters]:
    known = ((plugged.joined.interface, found.get(plugged.joined.host_interface)) for plugged in endpoints)
    return {interface: counters for interface, counters in known if counters is not None}
