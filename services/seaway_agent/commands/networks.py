"""Commands of metadata about networks of users (connect, disconnect, remove, list), and what the agent asks of it."""

from collections.abc import Sequence

from seaway_agent.commands.paging import FRAME, page
from seaway_agent.container.held_networks import HeldNetworks
from seaway_agent.container.runner import ContainerRunner
from seaway_agent.inventory.inventory import Inventory
from seaway_agent.network.errors import NetlinkError, NetworkError
from seaway_agent.network.port import Networks
from seaway_agent.state.journal import Journal
from seaway_bus.bus import Bus, Command
from seaway_contracts import catalogue
from seaway_contracts.base import Empty
from seaway_contracts.commands import ContainerId, StatusReply
from seaway_contracts.containers import ContainerStatus, EndpointSpec
from seaway_contracts.docker_errors import network_in_use
from seaway_contracts.errors import conflict, internal
from seaway_contracts.networks import (
    ConnectHeld,
    DisconnectHeld,
    ListHeldNetworks,
    NetworkInventory,
    RemoveHeldNetwork,
)
from seaway_kit.failpoints import Failpoint, reach


class NetworkCommands:
    """A connect and a disconnect are stored with their events, in one transaction; a repeat changes nothing."""

    def __init__(self, inventory: Inventory, journal: Journal, held: HeldNetworks, networks: Networks) -> None:
        self._inventory = inventory
        self._journal = journal
        self._held = held
        self._networks = networks
        self._room = 0

    async def serve(self, bus: Bus) -> None:
        """Take the commands from the bus."""
        self._room = bus.transport.max_payload - FRAME
        node = self._inventory.node
        await bus.serve(catalogue.CONNECT_HELD, self._connect, node=node)
        await bus.serve(catalogue.DISCONNECT_HELD, self._disconnect, node=node)
        await bus.serve(catalogue.REMOVE_HELD_NETWORK, self._remove, node=node)
        await bus.serve(catalogue.NETWORK_INVENTORY, self._list, node=node)

    async def _connect(self, asked: ConnectHeld, command: Command) -> StatusReply:
        return await self._inventory.first(asked.id, command, lambda runner: self._connected(runner, asked, command))

    async def _connected(self, runner: ContainerRunner, asked: ConnectHeld, command: Command) -> ContainerStatus:
        self._held.check(asked.network)
        return await runner.connect(command, asked.endpoint, asked.network)

    async def _disconnect(self, asked: DisconnectHeld, command: Command) -> StatusReply:
        name = asked.network or self._held.name_of(asked.network_id)
        return await self._inventory.first(
            asked.id, command, lambda runner: runner.disconnect(command, asked.network_id, name)
        )

    async def _remove(self, asked: RemoveHeldNetwork, command: Command) -> Empty:
        """Remove it from the kernel and then from the database: a killed agent's successor makes it once more."""
        name = self._held.name_of(asked.id)
        if not await self._settled(asked.id):
            raise conflict(network_in_use(name, asked.id).message)
        try:
            await self._held.remove(asked.id)
        except (NetlinkError, OSError) as error:
            raise internal(f"network {name} can't be removed from node {self._inventory.node}: {error}") from error
        except NetworkError as error:
            raise conflict(network_in_use(name, asked.id).message) from error
        reach(Failpoint.NETWORK_REMOVED)
        self._journal.remove_network(asked.id, asked.version)
        reach(Failpoint.NETWORK_FORGOTTEN)
        return Empty()

    async def _settled(self, identifier: str) -> bool:
        """Whether no container has an endpoint there. A run that has ended may still be giving its sandbox back."""
        for container in self._members(identifier):
            runner = self._inventory.runners.get(container)
            if runner is not None and not runner.status.pid:
                await runner.at_rest()
        return not self._members(identifier)

    def _members(self, identifier: str) -> list[str]:
        """The containers whose sandbox has an endpoint in the network."""
        sandboxes = self._networks.endpoints
        return [one for one in self._inventory.runners if any(end.network == identifier for end in sandboxes(one))]

    async def _list(self, asked: ListHeldNetworks, command: Command) -> NetworkInventory:
        inventory, stored = self._inventory, self._journal.networks
        running = (container for container, runner in inventory.runners.items() if runner.status.pid)
        used_ids = {end.network for container in running for end in self._networks.endpoints(container)}
        shown = {one: stored[one] for one in asked.ids if one in stored} if asked.ids else stored
        networks, following = page(shown, asked.after, self._room)
        used = tuple(one.id for one in networks if one.id in used_ids)
        return NetworkInventory(
            node=inventory.node, epoch=inventory.epoch, networks=networks, used=used, next=following
        )


async def claim_addresses(bus: Bus, node: str, container: str) -> Sequence[EndpointSpec]:
    """Have metadata claim the addresses that a container of this node lacks. Raises SeawayError."""
    return (await bus.call(catalogue.CLAIM_ADDRESSES, ContainerId(id=container), node=node)).endpoints
