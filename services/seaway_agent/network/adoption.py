"""Takes over the sandbox of a process that outlived an earlier agent. Belongs to the network's thread."""

import logging
import os
from collections.abc import Sequence

from seaway_agent.network import names, options, rtnetlink, rtnl
from seaway_agent.network.default_routes import fill_default_routes
from seaway_agent.network.driver import EndpointPlan, PluggedEndpoint
from seaway_agent.network.errors import AddressError, NetlinkError
from seaway_agent.network.network_table import Network, NetworkTable
from seaway_agent.network.port import EndpointRequest, route_rank
from seaway_agent.network.sandbox import Sandbox, links, namespace_of

_log = logging.getLogger(__name__)


class Adoption:
    """Finds the endpoints of live processes, and removes what an earlier agent left half made beside them.

    ``all_readable``: whether the interfaces of every process could be read. If not, none may be removed.
    """

    def __init__(self, networks: NetworkTable, home: int) -> None:
        self._networks = networks
        self._home = home
        self.all_readable = True

    def adopt(self, pid: int, requests: Sequence[EndpointRequest]) -> Sandbox:
        """The process's sandbox, with its addresses allocated again. Raises SandboxGone."""
        fd = namespace_of(pid)
        try:
            adopted = Sandbox(-1, pid=pid, inode=self._inode(fd))
            rest = self._adopt_endpoints(adopted, requests, self._inside(fd, pid))
            if adopted.inode and self.all_readable:
                self._remove_left(adopted, fd, rest)
        finally:
            os.close(fd)
        return adopted

    def _adopt_endpoints(
        self, adopted: Sandbox, requests: Sequence[EndpointRequest], inside: Sequence[rtnl.Link]
    ) -> Sequence[rtnl.Link]:
        """Returns the interfaces that are no endpoint's."""
        for number, request in enumerate(requests):
            plugged = self._adopt_endpoint(adopted, request, number, inside)
            if plugged is not None:
                adopted.plugged = (*adopted.plugged, plugged)
                inside = [link for link in inside if link.name != plugged.info.interface]
        return inside

    def _adopt_endpoint(
        self, adopted: Sandbox, request: EndpointRequest, number: int, inside: Sequence[rtnl.Link]
    ) -> PluggedEndpoint | None:
        network, address = self._networks.by_id.get(request.network), request.address
        if network is None or address is None:
            _log.error("process %d is in network %s, which is not on this node", adopted.pid, request.network)
            return None
        plan = EndpointPlan(
            network=network.spec,
            interface=f"{options.interface_prefix(network.spec.options)}{number}",
            address=address,
            mac=request.mac or names.mac_of(address),
            address6=request.address6,
            rank=route_rank(request.gateway_priority, network.spec.name),
        )
        plugged = self._find_endpoint(network, plan, inside, adopted.pid)
        for own in (address, request.address6):
            try:
                if own is not None:
                    network.addresses.restore(own, adopted)
            except AddressError as error:
                _log.error("address %s of process %d: %s", own, adopted.pid, error)
        return plugged

    def _find_endpoint(
        self, network: Network, plan: EndpointPlan, inside: Sequence[rtnl.Link], pid: int
    ) -> PluggedEndpoint:
        try:
            return network.driver.adopt(plan, inside)
        except (NetlinkError, OSError) as error:
            self._log_unreadable(pid, error)
            return plan.plugged()

    def _remove_left(self, adopted: Sandbox, fd: int, rest: Sequence[rtnl.Link]) -> None:
        """Remove the endpoints of a connect or disconnect that was not finished. The default routes may go with them.

        What can't be removed is logged: the container runs on.
        """
        try:
            left = self._networks.left_inside(rest)
            if not left:
                return
            _log.warning("process %d has interfaces that no network has given it: removing %s", adopted.pid, left)
            with rtnetlink.open_interfaces(fd) as inner:
                for name in left:
                    inner.delete(name)
        except (NetlinkError, OSError) as error:
            _log.error("interfaces of process %d that no network has given it are left: %s", adopted.pid, error)
        else:
            fill_default_routes(adopted, fd)

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

    def _log_unreadable(self, pid: int, error: Exception) -> None:
        self.all_readable = False
        _log.warning("the interfaces of process %d can't be read, so none is removed: %s", pid, error)
