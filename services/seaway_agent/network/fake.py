"""The in-memory networks for tests: keep the port's contract. Need no root and no kernel."""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from seaway_agent.network.errors import NetworkError, SandboxGone, SubnetError
from seaway_agent.network.ipam import AddressPool
from seaway_agent.network.names import interface, mac_of
from seaway_agent.network.port import (
    DEFAULT_NETWORK,
    EndpointInfo,
    EndpointRequest,
    InterfaceCounters,
    NetworkSpec,
    SandboxHandle,
)
from seaway_agent.network.subnets import choose


@dataclass(eq=False)
class FakeSandbox:
    """A namespace, and the pid of the process that keeps it (0: the agent)."""

    endpoints: tuple[EndpointInfo, ...] = ()
    pid: int = 0

    def on(self, network: str) -> EndpointInfo | None:
        """The endpoint in a network."""
        return next((endpoint for endpoint in self.endpoints if endpoint.network == network), None)


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
        self._addresses: dict[str, AddressPool] = {}
        self._sandboxes: dict[str, FakeSandbox] = {}
        self._serial = itertools.count(1)

    async def make(self, spec: NetworkSpec) -> NetworkSpec:
        """See the port."""
        self._called("make")
        there = self._made.get(spec.name) or self.host.networks.get(spec.name)
        if there is not None and there.id != spec.id:
            raise NetworkError(f"network {spec.name} is there already, as {there.id[:12]}: remove it first")
        if there is not None and spec.subnet not in (None, there.subnet):
            raise SubnetError(f"network {spec.name} has subnet {there.subnet}, not {spec.subnet}: remove it first")
        made = there or self._with_subnet(spec)
        self.host.networks[spec.name] = self._made[spec.name] = made
        assert made.subnet is not None
        self._addresses.setdefault(spec.name, AddressPool(made.subnet, made.gateway))
        return made

    async def remove(self, name: str) -> None:
        """See the port."""
        self._called("remove")
        if name == DEFAULT_NETWORK:
            raise NetworkError(f"network {name} is the node's own and can't be removed")
        if any(sandbox.on(name) for sandbox in self._sandboxes.values()):
            raise NetworkError(f"network {name} has active endpoints: disconnect its containers first")
        for networks in (self._made, self._addresses, self.host.networks):
            networks.pop(name, None)

    def present(self) -> tuple[NetworkSpec, ...]:
        """See the port."""
        return tuple(self._made.values())

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

    async def disconnect(self, container: str, network: str) -> None:
        """See the port."""
        self._called("disconnect")
        sandbox = self._sandboxes.get(container)
        leaving = sandbox.on(network) if sandbox is not None else None
        if sandbox is not None and leaving is not None:
            sandbox.endpoints = tuple(endpoint for endpoint in sandbox.endpoints if endpoint is not leaving)
            self._addresses[network].release(leaving.address)

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
            self._addresses[endpoint.network].restore([endpoint.address])
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
        unknown = [name for name in self.host.networks if name not in self._made]
        for name in unknown:
            del self.host.networks[name]
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

    def _with_subnet(self, spec: NetworkSpec) -> NetworkSpec:
        if spec.subnet is None and spec.name != DEFAULT_NETWORK:
            raise SubnetError(f"network {spec.name} has no subnet: the node chooses that of {DEFAULT_NETWORK} alone")
        taken = [other.subnet for other in self.host.networks.values() if other.subnet is not None]
        if spec.subnet is not None and any(spec.subnet.overlaps(other) for other in taken):
            raise SubnetError(f"subnet {spec.subnet} overlaps one of the host's networks: configure another subnet")
        subnet = spec.subnet or choose(taken)
        return replace(spec, subnet=subnet, gateway=AddressPool(subnet, spec.gateway).gateway)

    def _plug(self, sandbox: FakeSandbox, request: EndpointRequest) -> EndpointInfo:
        network = self._made.get(request.network)
        if network is None:
            raise NetworkError(f"network {request.network} is not on this node")
        if sandbox.on(request.network) is not None:
            raise NetworkError(f"the container has an endpoint in network {request.network} already")
        addresses, address = self._addresses[request.network], request.address
        if address is not None:
            addresses.reserve(address)
        elif request.network == DEFAULT_NETWORK:
            address = addresses.allocate()
        else:
            raise NetworkError(f"an endpoint in network {request.network} needs an address: none was told")
        taken = {endpoint.interface for endpoint in sandbox.endpoints}
        name = next(name for name in map(interface, itertools.count()) if name not in taken)
        mac, prefix_len = request.mac or mac_of(address), addresses.subnet.prefixlen
        host = f"veth{next(self._serial)}"
        endpoint = EndpointInfo(request.network, name, address, prefix_len, network.gateway, mac, host)
        sandbox.endpoints = (*sandbox.endpoints, endpoint)
        return endpoint

    def _free(self, sandbox: FakeSandbox) -> None:
        for endpoint in sandbox.endpoints:
            self._addresses[endpoint.network].release(endpoint.address)
