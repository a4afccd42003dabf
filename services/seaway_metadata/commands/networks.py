"""Serves what is asked about networks of users: creating, finding and listing them."""

from collections.abc import Callable, Iterator
from typing import Final

from seaway_bus.bus import Bus, Command, Encoded
from seaway_bus.outbox import Outbox
from seaway_contracts import catalogue
from seaway_contracts.docker_errors import network_exists
from seaway_contracts.errors import Code, SeawayError
from seaway_contracts.networks import (
    CreateNetwork,
    ListNetworks,
    NetworkList,
    NetworkRecord,
    NetworkRef,
    NetworkReply,
)
from seaway_contracts.nodes import NodeRecord
from seaway_kit.failpoints import Failpoint, reach
from seaway_metadata.commands.network_events import tell
from seaway_metadata.commands.reachable import reachable
from seaway_metadata.kinds.network_checks import check_network, check_size, taken_on_hosts
from seaway_metadata.kinds.networks import NETWORK_NAMES
from seaway_metadata.kinds.subnet_record import SubnetRecord
from seaway_metadata.store.written import WrittenTable

_REPLY_FRAME: Final = 4096


class NetworkCommands:
    """Serves `network.create`, `get` and `list`."""

    def __init__(
        self,
        bus: Bus,
        table: WrittenTable[NetworkRecord],
        subnets: SubnetRecord,
        nodes: Callable[[], Iterator[NodeRecord]],
        outbox: Outbox,
        missing: Callable[[], None],
    ) -> None:
        """`missing` is called when the buckets are not there."""
        self._bus = bus
        self._table = table
        self._subnets = subnets
        self._nodes = nodes
        self._outbox = outbox
        self._missing = missing

    async def serve(self) -> None:
        """Begin to answer."""
        serve = self._bus.serve
        await serve(catalogue.CREATE_NETWORK, self.create)
        await serve(catalogue.GET_NETWORK, self.get)
        await serve(catalogue.LIST_NETWORKS, self.list_networks)

    # --- creating

    async def create(self, request: CreateNetwork, command: Command) -> NetworkReply:
        """Subnets first, then name and record; the same again does nothing."""
        asked = request.network
        check_network(asked)
        with reachable(self._missing):
            known = await self._table.read(asked.id)
            if known is not None:
                return NetworkReply(network=known)
            asked = await self._with_config(asked)
            check_size(asked)
            await self._check_name(asked)
            pools = await self._subnets.reserve(
                asked, taken_on_hosts(asked, (node.beat.facts for node in self._nodes()))
            )
            reach(Failpoint.NETWORK_SUBNETS)
            network = await self._register(asked.model_copy(update={"pools": pools}))
        reach(Failpoint.NETWORK_RECORDED)
        tell(self._outbox, catalogue.NETWORK_CREATE, network, command)
        return NetworkReply(network=network)

    async def _with_config(self, asked: NetworkRecord) -> NetworkRecord:
        """With what its configuration network says."""
        if not asked.config_from:
            return asked
        try:
            found = await self._table.find(asked.config_from)
        except SeawayError:
            raise _no_config(asked.config_from) from None
        if not found.config_only:
            raise _no_config(asked.config_from)
        taken = ("pools", "ipv6", "options", "ipam_options")
        changes = {name: getattr(found, name) for name in taken}
        labels = {**found.labels, **asked.labels}
        return asked.model_copy(update={**changes, "labels": labels, "config_from": found.name})

    async def _check_name(self, network: NetworkRecord) -> None:
        """Raise SeawayError where another network has the name: Docker refuses that before a subnet that is taken."""
        holder = await self._table.records.claims.holder(NETWORK_NAMES.claim(network.name))
        if holder not in (None, network.id) and await self._table.read(holder) is not None:
            raise network_exists(network.name)

    async def _register(self, network: NetworkRecord) -> NetworkRecord:
        try:
            return await self._table.register(network)
        except SeawayError as error:
            await self._subnets.take_back(network.id, error)
            raise

    # --- reading

    async def get(self, request: NetworkRef, command: Command) -> NetworkReply:
        """One network."""
        with reachable(self._missing):
            await self._table.current(request.basis)
            return NetworkReply(network=await self._table.find(request.ref))

    async def list_networks(self, request: ListNetworks, command: Command) -> Encoded[NetworkList]:
        """A page of all networks."""
        with reachable(self._missing):
            await self._table.current(request.basis)
        return Encoded(self._table.index.page(request.after, self._bus.transport.max_payload - _REPLY_FRAME))


def _no_config(name: str) -> SeawayError:
    return SeawayError(Code.NOT_FOUND, f'configuration network "{name}" does not exist')
