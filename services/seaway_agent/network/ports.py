"""Published ports: the table of taken host ports, and the candidates for a request. Pure.

Docker's rules: a port is taken per protocol and host address; an unspecified address (0.0.0.0, ::) conflicts with all
of its family; port 0 means the next one of the ephemeral range; a range of host ports means its first free one.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv6Address, ip_address

from seaway_agent.network.errors import PortError, PortInvalid
from seaway_agent.network.nfnl import PROTOCOLS, Dnat
from seaway_docker.errors import port_allocated

EPHEMERAL_FIRST, EPHEMERAL_LAST = 32768, 60999
EVERY_HOST = ("0.0.0.0", "::")
_RELAYED = ("tcp", "udp")
_HIGHEST_PORT = 65535


@dataclass(frozen=True, slots=True)
class PortRequest:
    """``-p [host_ip:][host_port[-host_port_end]:]container_port[/protocol]``.

    ``host_ip`` "" means all addresses, IPv4 and IPv6; ``host_port`` 0 an ephemeral port.
    """

    container_port: int
    protocol: str = "tcp"
    host_ip: str = ""
    host_port: int = 0
    host_port_end: int = 0


@dataclass(frozen=True, slots=True)
class PortBinding:
    """A port as published. ``host_ip`` is always an address: one binding for 0.0.0.0, another for ::."""

    protocol: str
    host_ip: str
    host_port: int
    container_port: int


def check(request: PortRequest, *, native6: bool = False) -> None:
    """Raise PortInvalid for a request that no host can meet. ``native6``: the container has an IPv6 address."""
    if request.protocol not in PROTOCOLS:
        raise PortInvalid(f"invalid proto: {request.protocol}: use tcp, udp or sctp")
    if not 1 <= request.container_port <= _HIGHEST_PORT:
        raise PortInvalid(f"invalid container port {request.container_port}: use 1 to {_HIGHEST_PORT}")
    end = request.host_port_end or request.host_port
    if not 0 <= request.host_port <= end <= _HIGHEST_PORT:
        raise PortInvalid(f"invalid host port range {request.host_port}-{end}")
    if request.host_ip:
        try:
            host = ip_address(request.host_ip)
        except ValueError as error:
            raise PortInvalid(f"invalid host IP address: {request.host_ip}") from error
        relayed = host.version == 6 and (host.is_loopback or not native6)
        if relayed and request.protocol not in _RELAYED:
            raise PortInvalid(f"can't publish a port for {request.protocol} at an IPv6 address, only for tcp and udp")


def freedom(request: PortRequest) -> int:
    """How many host ports will do: who has the choice comes after who hasn't."""
    if not request.host_port:
        return _HIGHEST_PORT
    return max(request.host_port_end - request.host_port, 0)


def host_ips(request: PortRequest, *, ipv6: bool, native6: bool = False) -> tuple[str, ...]:
    """The host addresses to bind for a request, in canonical form; IPv6 only if ports are translated or relayed."""
    if not request.host_ip:
        return EVERY_HOST if ipv6 and (native6 or request.protocol in _RELAYED) else EVERY_HOST[:1]
    return (str(ip_address(request.host_ip)),)


def with_port(host_ip: str, port: int) -> str:
    """``host:port``, IPv6 addresses in brackets, as Go prints it."""
    return f"[{host_ip}]:{port}" if ":" in host_ip else f"{host_ip}:{port}"


def dnat_of(binding: PortBinding, address: IPv4Address, address6: IPv6Address | None = None) -> Dnat | None:
    """The map element of a binding; None if it is relayed: at ::1, or to a container without IPv6 address."""
    host = ip_address(binding.host_ip)
    target = address if isinstance(host, IPv4Address) else address6
    if target is None or (host.version == 6 and host.is_loopback):
        return None
    return Dnat(
        binding.protocol,
        None if host.is_unspecified else host,
        binding.host_port,
        target,
        binding.container_port,
    )


@dataclass(slots=True)
class PortTable:
    """Host ports taken by this node's containers."""

    first: int = EPHEMERAL_FIRST
    last: int = EPHEMERAL_LAST
    _taken: dict[tuple[str, int], set[str]] = field(default_factory=dict)
    _next: int = 0

    def candidates(self, request: PortRequest) -> Iterator[int]:
        """Host ports to try for a request, in order."""
        if request.host_port:
            yield from range(request.host_port, max(request.host_port, request.host_port_end) + 1)
            return
        count = self.last - self.first + 1
        start = self._next
        for step in range(count):
            yield self.first + (start + step) % count

    def claim(self, bindings: tuple[PortBinding, ...]) -> None:
        """Claim ports, all or none. Raises PortError with Docker's text if one is taken."""
        for binding in bindings:
            if self._clashes(binding):
                where = with_port(binding.host_ip, binding.host_port)
                raise PortError(port_allocated(where))
        for binding in bindings:
            self._taken.setdefault((binding.protocol, binding.host_port), set()).add(binding.host_ip)

    def advance_past(self, request: PortRequest, port: int) -> None:
        """Continue after this port with the next ephemeral one."""
        if not request.host_port:
            self._next = (port - self.first + 1) % (self.last - self.first + 1)

    def release(self, bindings: tuple[PortBinding, ...]) -> None:
        """Release ports; ports that aren't taken are ignored."""
        for binding in bindings:
            key = (binding.protocol, binding.host_port)
            holders = self._taken.get(key, set())
            holders.discard(binding.host_ip)
            if not holders:
                self._taken.pop(key, None)

    def _clashes(self, binding: PortBinding) -> bool:
        host = ip_address(binding.host_ip)
        for other_ip in self._taken.get((binding.protocol, binding.host_port), ()):
            other = ip_address(other_ip)
            if other.version == host.version and (other == host or other.is_unspecified or host.is_unspecified):
                return True
        return False
