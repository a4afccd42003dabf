"""The in-memory networks for tests: keep the port's contract. Need no root and no kernel."""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from seaway_agent.network.driver import EndpointPlan
from seaway_agent.network.errors import NetworkError, SandboxGone, SubnetError
from seaway_agent.network.ipam import AddressPool, NetworkAddresses, first_host
from seaway_agent.network.names import free_interface, mac_of
from seaway_agent.network.options import interface_prefix
from seaway_agent.network.port import (
    DEFAULT_NAME,
    DEFAULT_NETWORK,
    EndpointInfo,
    EndpointRequest,
    InterfaceCounters,
    NetworkSpec,
    SandboxHandle,
    route_rank,
)
from seaway_agent.network.subnets import choose


@dataclass(eq=False)
class FakeSandbox:
    """A namespace, the pid of the process that keeps it (0: the agent), and the `route_rank` by network."""

    endpoints: tuple[EndpointInfo, ...] = ()
    pid: int = 0

    ranks: dict[str, tuple[int, str]] = field(default_factory=dict)

    def on(self, network_id: str) -> EndpointInfo | None:
        """The endpoint in a network."""
        return next((endpoint for endpoint in self.endpoints if endpoint.network == network_id), None)

    def routes(self) -> tuple[EndpointInfo | None, EndpointInfo | None]:
        """The endpoints of the default routes of IPv4 and IPv6."""
        by_rank = sorted(self.endpoints, key=lambda endpoint: self.ranks[endpoint.network])
        first = next((endpoint for endpoint in by_rank if endpoint.gateway is not None), None)
        return first, next((endpoint for endpoint in by_rank if endpoint.gateway6 is not None), None)


@dataclass
class FakeHost:
    """What survives an agent: networks, and the sandboxes that processes keep."""

    networks: dict[str, NetworkSpec] = field(default_factory=dict)
    processes: dict[int, FakeSandbox] = field(default_factory=dict)


class FakeNetworks:
    """One agent's view of a host. `failures`: method → the error that it raises, once. `calls`: the methods called."""

    def __init__(self, host: FakeHost | None = None) -> None:
        self.host = host if host is not None else FakeHost()
        self.failures: dict[str, Exception] = {}
        self.calls: list[str] = []
        self._made: dict[str, NetworkSpec] = {}
        self._addresses: dict[str, NetworkAddresses] = {}
        self._sandboxes: dict[str, FakeSandbox] = {}
        self._serial = itertools.count(1)

    async def make(self, spec: NetworkSpec) -> NetworkSpec:
        """See the port."""
        self._called("make")
        there = self._made.get(spec.id) or self.host.networks.get(spec.id)
        if there is not None and spec.subnet not in (None, there.subnet):
            raise SubnetError(f"network {spec.name} has subnet {there.subnet}, not {spec.subnet}: remove it first")
        made = there or self._with_gateways(spec)
        self.host.networks[spec.id] = self._made[spec.id] = made
        assert made.subnet is not None
        pool = AddressPool(made.subnet, made.gateway) if made.id == DEFAULT_NETWORK else None
        self._addresses.setdefault(spec.id, NetworkAddresses(made, pool))
        return made

    async def remove(self, network_id: str) -> None:
        """See the port."""
        self._called("remove")
        name = self._made[network_id].name if network_id in self._made else network_id
        if network_id == DEFAULT_NETWORK:
            raise NetworkError(f"network {name} is the node's own and can't be removed")
        if any(sandbox.on(network_id) for sandbox in self._sandboxes.values()):
            raise NetworkError(f"network {name} has active endpoints: disconnect its containers first")
        for networks in (self._made, self._addresses, self.host.networks):
            networks.pop(network_id, None)

    def present(self) -> tuple[NetworkSpec, ...]:
        """See the port."""
        return tuple(self._made.values())

    def is_made(self, network_id: str) -> bool:
        """See the port."""
        return network_id in self._made

    async def join(self, container: str, requests: Sequence[EndpointRequest]) -> SandboxHandle:
        """See the port."""
        self._called("join")
        if container in self._sandboxes:
            raise NetworkError(f"container {container[:12]} has a sandbox already")
        sandbox = FakeSandbox()
        try:
            for request in requests:
                self._plug(sandbox, request)
        except BaseException:
            self._free(sandbox)
            raise
        self._sandboxes[container] = sandbox
        return SandboxHandle(f"/sandboxes/{container}", sandbox.endpoints)

    def hand_over(self, container: str, pid: int) -> None:
        """See the port."""
        if (sandbox := self._sandboxes.get(container)) is not None:
            sandbox.pid = pid
            self.host.processes[pid] = sandbox

    async def connect(self, container: str, request: EndpointRequest) -> EndpointInfo:
        """See the port."""
        self._called("connect")
        sandbox = self._sandboxes.get(container)
        if sandbox is None:
            raise NetworkError(f"container {container[:12]} has no sandbox on this node")
        if sandbox.pid and sandbox.pid not in self.host.processes:
            raise SandboxGone(f"process {sandbox.pid} has ended, and its network sandbox with it")
        return self._plug(sandbox, request)

    async def disconnect(self, container: str, network_id: str) -> None:
        """See the port."""
        self._called("disconnect")
        sandbox = self._sandboxes.get(container)
        leaving = sandbox.on(network_id) if sandbox is not None else None
        if sandbox is not None and leaving is not None:
            sandbox.endpoints = tuple(endpoint for endpoint in sandbox.endpoints if endpoint is not leaving)
            self._addresses[network_id].free((leaving.address, leaving.address6), sandbox)

    async def share(self, container: str) -> None:
        """See the port."""
        self._called("share")

    async def leave(self, container: str) -> None:
        """See the port."""
        self._called("leave")
        if (sandbox := self._sandboxes.pop(container, None)) is not None:
            self._free(sandbox)

    def endpoints(self, container: str) -> tuple[EndpointInfo, ...]:
        """See the port."""
        sandbox = self._sandboxes.get(container)
        return sandbox.endpoints if sandbox is not None else ()

    async def adopt(self, container: str, pid: int, requests: Sequence[EndpointRequest]) -> tuple[EndpointInfo, ...]:
        """See the port."""
        self._called("adopt")
        sandbox = self.host.processes.get(pid)
        if sandbox is None:
            raise SandboxGone(f"process {pid} has ended, and its network sandbox with it")
        asked = {request.network for request in requests if request.network in self._made}
        sandbox.endpoints = tuple(endpoint for endpoint in sandbox.endpoints if endpoint.network in asked)
        for endpoint in sandbox.endpoints:
            for address in (endpoint.address, endpoint.address6):
                if address is not None:
                    self._addresses[endpoint.network].restore(address, sandbox)
        self._sandboxes[container] = sandbox
        return sandbox.endpoints

    async def sweep(self) -> list[str]:
        """See the port."""
        self._called("sweep")
        known = self._sandboxes.values()
        orphans = [sandbox for sandbox in self.host.processes.values() if all(sandbox is not other for other in known)]
        swept = [endpoint.host_interface for sandbox in orphans for endpoint in sandbox.endpoints]
        for sandbox in orphans:
            sandbox.endpoints = ()
        unknown = [network_id for network_id in self.host.networks if network_id not in self._made]
        for network_id in unknown:
            del self.host.networks[network_id]
        return swept + unknown

    async def counters(self) -> Mapping[str, Mapping[str, InterfaceCounters]]:
        """See the port."""
        self._called("counters")
        return {
            container: {endpoint.interface: InterfaceCounters() for endpoint in sandbox.endpoints}
            for container, sandbox in self._sandboxes.items()
        }

    def _called(self, name: str) -> None:
        self.calls.append(name)
        if name in self.failures:
            raise self.failures.pop(name)

    def _with_gateways(self, spec: NetworkSpec) -> NetworkSpec:
        if spec.subnet is None and spec.id != DEFAULT_NETWORK:
            raise SubnetError(f"network {spec.name} has no subnet: the node chooses that of {DEFAULT_NAME} alone")
        taken = [other.subnet for other in self.host.networks.values() if other.subnet is not None]
        if spec.subnet is not None and any(spec.subnet.overlaps(other) for other in taken):
            raise SubnetError(f"subnet {spec.subnet} overlaps one of the host's networks: configure another subnet")
        subnet = spec.subnet or choose(taken)
        gateway6 = spec.gateway6 or (first_host(spec.subnet6) if spec.subnet6 is not None else None)
        return replace(spec, subnet=subnet, gateway=AddressPool(subnet, spec.gateway).gateway, gateway6=gateway6)

    def _plug(self, sandbox: FakeSandbox, request: EndpointRequest) -> EndpointInfo:
        network = self._made.get(request.network)
        if network is None:
            raise NetworkError(f"network {request.network} is not on this node")
        if sandbox.on(request.network) is not None:
            raise NetworkError(f"the container has an endpoint in network {network.name} already")
        address, address6 = self._addresses[network.id].take(request.address, request.address6, sandbox)
        rank = route_rank(request.gateway_priority, network.name)
        taken = {endpoint.interface for endpoint in sandbox.endpoints}
        plan = EndpointPlan(
            network=network,
            interface=free_interface(interface_prefix(network.options), taken),
            address=address,
            mac=request.mac or mac_of(address),
            address6=address6,
            rank=rank,
        )
        endpoint = plan.plugged(f"veth{next(self._serial)}").info
        sandbox.endpoints = (*sandbox.endpoints, endpoint)
        sandbox.ranks[network.id] = rank
        return endpoint

    def _free(self, sandbox: FakeSandbox) -> None:
        for endpoint in sandbox.endpoints:
            self._addresses[endpoint.network].free((endpoint.address, endpoint.address6), sandbox)
