"""The networks' twin in memory: obeys the port's contract. No root, no kernel."""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from seaway_agent.network.errors import NetworkError, SandboxGone, SubnetError
from seaway_agent.network.ipam import AddressPool
from seaway_agent.network.names import interface, mac_of
from seaway_agent.network.port import (
    DEFAULT_NETWORK,
    EndpointRequest,
    InterfaceCounters,
    Joined,
    NetworkSpec,
    SandboxHandle,
)
from seaway_agent.network.subnets import choose


@dataclass(eq=False)
class FakeSandbox:
    """A namespace, and the process that holds it (0: the agent does)."""

    endpoints: tuple[Joined, ...] = ()
    pid: int = 0

    def on(self, network: str) -> Joined | None:
        """The endpoint in a network."""
        return next((joined for joined in self.endpoints if joined.network == network), None)


@dataclass
class FakeHost:
    """What stays where an agent ends: networks, and the sandboxes that processes hold."""

    networks: dict[str, NetworkSpec] = field(default_factory=dict)
    processes: dict[int, FakeSandbox] = field(default_factory=dict)


class FakeNetworks:
    """One agent's view of a host. `failures`: what a method of that name raises, once. `calls`: what was asked for."""

    def __init__(self, host: FakeHost | None = None) -> None:
        self.host = host if host is not None else FakeHost()
        self.failures: dict[str, Exception] = {}
        self.calls: list[str] = []
        self._made: dict[str, NetworkSpec] = {}
        self._addresses: dict[str, AddressPool] = {}
        self._held: dict[str, FakeSandbox] = {}
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
        if any(held.on(name) for held in self._held.values()):
            raise NetworkError(f"network {name} has active endpoints: disconnect its containers first")
        for networks in (self._made, self._addresses, self.host.networks):
            networks.pop(name, None)

    def present(self) -> tuple[NetworkSpec, ...]:
        """See the port."""
        return tuple(self._made.values())

    async def join(self, container: str, requests: Sequence[EndpointRequest]) -> SandboxHandle:
        """See the port."""
        self._called("join")
        if container in self._held:
            raise NetworkError(f"container {container[:12]} has a sandbox already")
        held = FakeSandbox()
        try:
            for request in requests:
                self._plug(held, request)
        except BaseException:
            self._free(held)
            raise
        self._held[container] = held
        return SandboxHandle(f"/sandboxes/{container}", held.endpoints)

    def handed_over(self, container: str, pid: int) -> None:
        """See the port."""
        if (held := self._held.get(container)) is not None:
            held.pid = pid
            self.host.processes[pid] = held

    async def connect(self, container: str, request: EndpointRequest) -> Joined:
        """See the port."""
        self._called("connect")
        held = self._held.get(container)
        if held is None:
            raise NetworkError(f"container {container[:12]} has no sandbox on this node")
        if held.pid and held.pid not in self.host.processes:
            raise SandboxGone(f"process {held.pid} has ended, and its network sandbox with it")
        return self._plug(held, request)

    async def disconnect(self, container: str, network: str) -> None:
        """See the port."""
        self._called("disconnect")
        held = self._held.get(container)
        leaving = held.on(network) if held is not None else None
        if held is not None and leaving is not None:
            held.endpoints = tuple(joined for joined in held.endpoints if joined is not leaving)
            self._addresses[network].release(leaving.address)

    async def leave(self, container: str) -> None:
        """See the port."""
        self._called("leave")
        if (held := self._held.pop(container, None)) is not None:
            self._free(held)

    def endpoints(self, container: str) -> tuple[Joined, ...]:
        """See the port."""
        held = self._held.get(container)
        return held.endpoints if held is not None else ()

    async def adopt(self, container: str, pid: int, requests: Sequence[EndpointRequest]) -> tuple[Joined, ...]:
        """See the port."""
        self._called("adopt")
        held = self.host.processes.get(pid)
        if held is None:
            raise SandboxGone(f"process {pid} has ended, and its network sandbox with it")
        asked = {request.network for request in requests if request.network in self._made}
        held.endpoints = tuple(joined for joined in held.endpoints if joined.network in asked)
        for joined in held.endpoints:
            self._addresses[joined.network].restore([joined.address])
        self._held[container] = held
        return held.endpoints

    async def sweep(self) -> list[str]:
        """See the port."""
        self._called("sweep")
        known = self._held.values()
        orphans = [held for held in self.host.processes.values() if all(held is not other for other in known)]
        swept = [joined.host_interface for held in orphans for joined in held.endpoints]
        for held in orphans:
            held.endpoints = ()
        unknown = [name for name in self.host.networks if name not in self._made]
        for name in unknown:
            del self.host.networks[name]
        return swept + unknown

    async def counters(self) -> Mapping[str, Mapping[str, InterfaceCounters]]:
        """See the port."""
        self._called("counters")
        return {
            container: {joined.interface: InterfaceCounters() for joined in held.endpoints}
            for container, held in self._held.items()
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

    def _plug(self, held: FakeSandbox, request: EndpointRequest) -> Joined:
        network = self._made.get(request.network)
        if network is None:
            raise NetworkError(f"network {request.network} is not on this node")
        if held.on(request.network) is not None:
            raise NetworkError(f"the container has an endpoint in network {request.network} already")
        addresses, address = self._addresses[request.network], request.address
        if address is not None:
            addresses.reserve(address)
        elif request.network == DEFAULT_NETWORK:
            address = addresses.allocate()
        else:
            raise NetworkError(f"an endpoint in network {request.network} needs an address: none was told")
        taken = {joined.interface for joined in held.endpoints}
        name = next(name for name in map(interface, itertools.count()) if name not in taken)
        mac, prefix_len = request.mac or mac_of(address), addresses.subnet.prefixlen
        host = f"veth{next(self._serial)}"
        joined = Joined(request.network, name, address, prefix_len, network.gateway, mac, host)
        held.endpoints = (*held.endpoints, joined)
        return joined

    def _free(self, held: FakeSandbox) -> None:
        for joined in held.endpoints:
            self._addresses[joined.network].release(joined.address)
