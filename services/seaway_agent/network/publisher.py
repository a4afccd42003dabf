"""Publish containers' ports on the host: claim them, reserve them by sockets, translate them by nftables."""

import errno
import logging
import socket
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address

from seaway_agent.network import host_sockets, ports
from seaway_agent.network.conntrack import FlowSweeper
from seaway_agent.network.errors import NetlinkError, PortError
from seaway_agent.network.nfnl import Dnat
from seaway_agent.network.nft import NatTable
from seaway_agent.network.ports import PortBinding, PortRequest, PortTable
from seaway_agent.network.relay import RelayedPort
from seaway_kit.failpoints import Failpoint, reach

_RELAYED = {"tcp": socket.IPPROTO_TCP, "udp": socket.IPPROTO_UDP}
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Published:
    """A container's published ports, which the agent stores for ``restore``."""

    address: IPv4Address
    bindings: tuple[PortBinding, ...]
    address6: IPv6Address | None = None

    def elements(self) -> list[Dnat]:
        found = (ports.dnat_of(binding, self.address, self.address6) for binding in self.bindings)
        return [element for element in found if element is not None]

    def addresses(self) -> set[IPv4Address | IPv6Address]:
        return {address for address in (self.address, self.address6) if address is not None}

    def udp_ports(self) -> set[int]:
        return {binding.host_port for binding in self.bindings if binding.protocol == "udp"}


class PortPublisher:
    """Belongs to one thread, in the host's network namespace."""

    def __init__(self, nat: NatTable, *, ipv6: bool = True) -> None:
        self._nat = nat
        self._ipv6 = ipv6
        self._table = PortTable()
        self._flows = FlowSweeper()
        self._published: dict[str, Published] = {}
        self._sockets: dict[str, list[socket.socket]] = {}

    def publish(
        self,
        container_id: str,
        address: IPv4Address,
        requests: Sequence[PortRequest],
        address6: IPv6Address | None = None,
    ) -> tuple[PortBinding, ...]:
        """Publish all of a container's ports or none. Idempotent.

        Raises PortError with Docker's text if a port can't be allocated, PortInvalid, NetlinkError.
        """
        if container_id in self._published:
            return self._published[container_id].bindings
        for request in requests:
            ports.check(request, native6=address6 is not None)
        claim = _PortClaim(self._table, ipv6=self._ipv6, native6=address6 is not None)
        taken: dict[int, tuple[PortBinding, ...]] = {}
        try:
            for place in sorted(range(len(requests)), key=lambda place: ports.freedom(requests[place])):
                taken[place] = claim.take(requests[place])
            bindings = tuple(binding for place in range(len(requests)) for binding in taken[place])
            published = Published(address, bindings, address6)
            self._nat.add(published.elements())
            reach(Failpoint.NETWORK_PORTS)
        except BaseException:
            claim.undo()
            raise
        self._published[container_id] = published
        self._sockets[container_id] = claim.sockets
        self._flows.delete_udp_flows(published.udp_ports(), published.addresses())
        return published.bindings

    def unpublish(self, container_id: str) -> None:
        """Withdraw a container's ports, if it has any."""
        published = self._published.pop(container_id, None)
        if published is None:
            return
        self._table.release(published.bindings)
        _close(self._sockets.pop(container_id, []))
        self._withdraw(published)
        self._flows.delete_udp_flows(published.udp_ports(), published.addresses())

    def restore(self, live: Mapping[str, Published]) -> list[str]:
        """After a restart, publish exactly the live containers' ports, in one transaction; returns warnings to users.

        Ports that a host process has bound meanwhile are translated all the same, with a warning.
        """
        self._forget_all()
        warnings: list[str] = []
        for container_id, published in live.items():
            try:
                self._table.claim(published.bindings)
            except PortError as error:
                warnings.append(f"container {container_id} lost its published ports to another one: {error}")
                continue
            self._published[container_id] = published
            self._sockets[container_id] = list(_reserve_again(published.bindings, warnings))
        self.rewrite()
        return warnings

    def rewrite(self) -> None:
        """Write all translations again, after another program removed them."""
        self._nat.replace(self._elements())

    def relayed_ports(self) -> dict[str, list[RelayedPort]]:
        """By container, the IPv6 ports. The relay gets the connections that nftables doesn't translate."""
        return {container: _relayed_ports(one, self._sockets[container]) for container, one in self._published.items()}

    def close(self) -> None:
        """Close all sockets, but leave the translations to live containers in place."""
        self._forget_all()
        self._flows.close()

    def _forget_all(self) -> None:
        for sockets in self._sockets.values():
            _close(sockets)
        self._sockets.clear()
        self._published.clear()
        self._table = PortTable()

    def _withdraw(self, published: Published) -> None:
        """Remove translations; if another program removed some before, rewrite all that remain."""
        try:
            self._nat.discard(published.elements())
        except NetlinkError as error:
            if error.code != errno.ENOENT:
                raise
            _log.warning("%s; writing the published ports anew", error)
            with suppress(NetlinkError):  # the whole table is gone: the next publish makes it again
                self.rewrite()

    def _elements(self) -> list[Dnat]:
        return [element for published in self._published.values() for element in published.elements()]


class _PortClaim:
    """One container's ports while they are being claimed, so that they can be released together."""

    def __init__(self, table: PortTable, *, ipv6: bool, native6: bool) -> None:
        self._table = table
        self._ipv6 = ipv6
        self._native6 = native6
        self.bindings: list[PortBinding] = []
        self.sockets: list[socket.socket] = []

    def take(self, request: PortRequest) -> tuple[PortBinding, ...]:
        """Claim the first free port. Raises PortError: for a single port with its reason."""
        single = request.host_port != 0 and request.host_port >= request.host_port_end
        hosts = ports.host_ips(request, ipv6=self._ipv6, native6=self._native6)
        for port in self._table.candidates(request):
            wanted = tuple(PortBinding(request.protocol, host, port, request.container_port) for host in hosts)
            try:
                self._take_exactly(wanted)
            except PortError:
                if single:
                    raise
                continue
            self._table.advance_past(request, port)
            return wanted
        raise PortError("all ports are allocated")

    def undo(self) -> None:
        _close(self.sockets)
        self._table.release(tuple(self.bindings))

    def _take_exactly(self, wanted: tuple[PortBinding, ...]) -> None:
        self._table.claim(wanted)
        reserved: list[socket.socket] = []
        try:
            for binding in wanted:
                bound = host_sockets.reserve(binding)
                reserved += [bound] if bound is not None else []
        except BaseException:
            _close(reserved)
            self._table.release(wanted)
            raise
        self.bindings += wanted
        self.sockets += reserved


def _reserve_again(bindings: Iterable[PortBinding], warnings: list[str]) -> Iterable[socket.socket]:
    for binding in bindings:
        try:
            bound = host_sockets.reserve(binding)
        except PortError as error:
            warnings.append(f"published port can't be reserved again, a host process took it: {error}")
        else:
            if bound is not None:
                yield bound


def _relayed_ports(published: Published, sockets: Iterable[socket.socket]) -> list[RelayedPort]:
    inside = {(_RELAYED.get(b.protocol), b.host_ip, b.host_port): b.container_port for b in published.bindings}
    outer = [bound for bound in sockets if bound.family == socket.AF_INET6 and bound.proto in _RELAYED.values()]
    return [
        RelayedPort(bound, str(published.address), inside[bound.proto, *bound.getsockname()[:2]]) for bound in outer
    ]


def _close(sockets: Iterable[socket.socket]) -> None:
    for bound in sockets:
        bound.close()
