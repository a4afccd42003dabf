"""A node's agent, as far as networks of users go: it makes containers, connects them, and tells of it."""

import asyncio
from dataclasses import dataclass, field

from tests.unit.seaway_metadata.rig import Node, tell

from seaway_bus.bus import Bus, Command
from seaway_contracts.base import Empty
from seaway_contracts.catalogue import (
    BEAT,
    CONNECT_HELD,
    DISCONNECT_HELD,
    NETWORK_INVENTORY,
    REGISTER,
    REMOVE_HELD_NETWORK,
)
from seaway_contracts.commands import InventoryItem, StatusReply
from seaway_contracts.containers import ContainerSpec, ContainerStatus, Endpoint, EndpointSpec, State
from seaway_contracts.docker_errors import endpoint_exists
from seaway_contracts.errors import SeawayError
from seaway_contracts.lifecycle import ContainerEvent
from seaway_contracts.networks import (
    ConnectHeld,
    DisconnectHeld,
    ListHeldNetworks,
    NetworkInventory,
    NetworkRecord,
    RemoveHeldNetwork,
)
from seaway_contracts.records import RegisterContainer, RegisteredContainer
from seaway_testing.builders import beat, container_event, container_id, networking, spec, status


@dataclass
class NetworkNode:
    """Refuses with `refusal`, where there is one."""

    bus: Bus
    name: str = "n1"
    epoch: str = "e1"
    specs: dict[str, ContainerSpec] = field(default_factory=dict)
    statuses: dict[str, ContainerStatus] = field(default_factory=dict)
    networks: dict[str, NetworkRecord] = field(default_factory=dict)
    removed: list[str] = field(default_factory=list)
    refusal: SeawayError | None = None
    lost_memory: bool = False
    tells: bool = True
    gate: asyncio.Event = field(default_factory=asyncio.Event)
    """It says which networks it has while this is set."""
    routes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        self.gate.set()
        self.containers = Node(self.bus, self.name)

    async def serve(self) -> "NetworkNode":
        await self.containers.serve()
        await self.bus.serve(CONNECT_HELD, self.connect, node=self.name)
        await self.bus.serve(DISCONNECT_HELD, self.disconnect, node=self.name)
        await self.bus.serve(REMOVE_HELD_NETWORK, self.remove, node=self.name)
        await self.bus.serve(NETWORK_INVENTORY, self.inventory, node=self.name)
        await self.beat()
        return self

    def hold(self) -> None:
        """Have its inventory tell what it holds now."""
        self.containers.epoch, self.containers.lost_memory = self.epoch, self.lost_memory
        self.containers.page = 1000
        items = [InventoryItem(spec=one, status=self.statuses[key]) for key, one in self.specs.items()]
        self.containers.items = [] if self.lost_memory else items

    async def beat(self) -> None:
        self.hold()
        one = beat(self.name, epoch=self.epoch)
        facts = one.facts.model_copy(update={"routes": self.routes})
        await self.bus.publish(BEAT, one.model_copy(update={"facts": facts}), node=self.name)

    async def register(self, seed: int, *endpoints: EndpointSpec | str) -> RegisteredContainer:
        wanted = tuple(EndpointSpec(network=one) if isinstance(one, str) else one for one in endpoints)
        asked = spec(seed, network=networking(endpoints=wanted))
        return await self.bus.call(REGISTER, RegisterContainer(spec=asked, node=self.name))

    async def make(self, seed: int, *endpoints: EndpointSpec | str) -> ContainerSpec:
        registered = await self.register(seed, *endpoints)
        self.networks |= {network.id: network for network in registered.networks}
        self.specs[registered.spec.id] = registered.spec
        self.statuses[registered.spec.id] = status(seq=1)
        await self._tell("create", seed, registered.spec)
        return registered.spec

    async def start(self, seed: int) -> None:
        one = self.specs[container_id(seed)]
        endpoints = tuple(
            Endpoint(network=endpoint.network, network_id=endpoint.network_id, address=endpoint.claimed_ipv4)
            for endpoint in one.network.endpoints
        )
        await self._change(seed, "start", state=State.RUNNING, pid=4711, endpoints=endpoints)

    async def stop(self, seed: int) -> None:
        await self._change(seed, "die", state=State.EXITED, pid=0, endpoints=())

    async def destroy(self, seed: int) -> None:
        self.specs.pop(container_id(seed))
        await self._change(seed, "destroy", pid=0, endpoints=())

    async def _change(self, seed: int, action: str, **changes: object) -> None:
        before = self.statuses[container_id(seed)]
        after = before.model_copy(update={"seq": before.seq + 1, **changes})
        self.statuses[container_id(seed)] = after
        await self._tell(action, seed, None)

    async def _tell(self, action: str, seed: int, body_spec: ContainerSpec | None) -> None:
        self.hold()
        known = self.statuses[container_id(seed)]
        if not self.tells:
            return
        envelope, body = container_event(action, known, seed=seed, node=self.name)
        await tell(self.bus, envelope, ContainerEvent(status=known, spec=body_spec, attributes=body.attributes))

    async def tell_of(self, seed: int, known: ContainerStatus, body_spec: ContainerSpec) -> None:
        """Tell how a container was."""
        envelope, body = container_event("status", known, seed=seed, node=self.name)
        await tell(self.bus, envelope, ContainerEvent(status=known, spec=body_spec, attributes=body.attributes))

    async def tell_again(self, seed: int) -> None:
        """Tell how a container is now."""
        await self._tell("status", seed, self.specs[container_id(seed)])

    async def connect(self, request: ConnectHeld, command: Command) -> StatusReply:
        if self.refusal is not None:
            raise self.refusal
        if any(one.network_id == request.network.id for one in self.specs[request.id].network.endpoints):
            raise endpoint_exists(self.specs[request.id].name, request.network.name)
        self.networks[request.network.id] = request.network
        return await self._with(request.id, (*self.specs[request.id].network.endpoints, request.endpoint))

    async def disconnect(self, request: DisconnectHeld, command: Command) -> StatusReply:
        if self.refusal is not None:
            raise self.refusal
        endpoints = self.specs[request.id].network.endpoints
        return await self._with(request.id, [one for one in endpoints if one.network_id != request.network_id])

    async def _with(self, identifier: str, endpoints: object) -> StatusReply:
        one = self.specs[identifier]
        changed = one.network.model_copy(update={"endpoints": tuple(endpoints)})  # type: ignore[call-overload]
        self.specs[identifier] = one.model_copy(update={"network": changed})
        before = self.statuses[identifier]
        self.statuses[identifier] = before.model_copy(update={"seq": before.seq + 1})
        seed = next(number for number in range(1000) if container_id(number) == identifier)
        await self._tell("status", seed, self.specs[identifier])
        return StatusReply(status=self.statuses[identifier])

    async def remove(self, request: RemoveHeldNetwork, command: Command) -> Empty:
        if self.refusal is not None:
            raise self.refusal
        self.removed.append(request.id)
        self.networks.pop(request.id, None)
        return Empty()

    async def inventory(self, request: ListHeldNetworks, command: Command) -> NetworkInventory:
        """Three at a time, unless some are asked for."""
        await self.gate.wait()
        start = int(request.after or 0)
        asked = [one for one in self.networks.values() if not request.ids or one.id in request.ids]
        following = str(start + 3) if start + 3 < len(asked) else ""
        running = [one for one in self.statuses.values() if one.pid]
        used = {endpoint.network_id for one in running for endpoint in one.endpoints}
        return NetworkInventory(
            node=self.name,
            epoch=self.epoch,
            networks=tuple(asked[start : start + 3]),
            used=tuple(used & self.networks.keys()),
            next=following,
        )
