"""Connects containers to networks and disconnects them: claims addresses, and has the container's node do the rest.

Whatever fails before the node has answered frees what was claimed. After a time-out nobody knows: addresses that the
container never came to have lapse by themselves (`Claims`); those that it has given up are freed by its event.
"""

import logging
from collections.abc import Callable

from seaway_bus.bus import Bus, Command
from seaway_bus.transport import TransportError
from seaway_contracts import catalogue
from seaway_contracts.commands import ContainerId, StatusReply
from seaway_contracts.containers import ContainerRecord, EndpointSpec
from seaway_contracts.docker_errors import no_such_container, no_such_network
from seaway_contracts.errors import Code, SeawayError, unavailable
from seaway_contracts.networks import (
    ClaimedEndpoints,
    ConnectContainer,
    ConnectHeld,
    DisconnectContainer,
    DisconnectHeld,
    NetworkRecord,
    network_id,
)
from seaway_kit.failpoints import Failpoint, reach
from seaway_metadata.commands.containers import ContainerCommands
from seaway_metadata.commands.endpoints import Endpoints, ResolvedEndpoint, endpoint_in
from seaway_metadata.commands.reachable import reachable
from seaway_metadata.commands.reserving import Reserving
from seaway_metadata.kinds.container_inventories import ContainerTable
from seaway_metadata.kinds.networks import predefined
from seaway_metadata.store.kind import Claim

log = logging.getLogger(__name__)


class Connecting:
    """Serves `network.connect`, `disconnect` and `claim`. A command's id goes on to the node: it does it once."""

    def __init__(
        self,
        bus: Bus,
        containers: ContainerTable,
        commands: ContainerCommands,
        endpoints: Endpoints,
        reserving: Reserving,
        missing: Callable[[], None],
    ) -> None:
        self._bus = bus
        self._table = containers
        self._commands = commands
        self._endpoints = endpoints
        self._reserving = reserving
        self._missing = missing

    async def serve(self) -> None:
        """Begin to answer."""
        await self._bus.serve(catalogue.CONNECT, self.connect)
        await self._bus.serve(catalogue.DISCONNECT, self.disconnect)
        await self._bus.serve(catalogue.CLAIM_ADDRESSES, self.claim_addresses)

    async def connect(self, request: ConnectContainer, command: Command) -> StatusReply:
        """Raises SeawayError: what speaks against the endpoint, in Docker's words."""
        record = await self._commands.find_current(request.id)
        with reachable(self._missing):
            record = await self._as_its_node_has_it(record)
            (resolved,) = await self._endpoints.resolve((request.endpoint,), record.node)
            if not resolved.spec.network_id:
                raise no_such_network(request.endpoint.network)
            has = endpoint_in(record, resolved.spec.network_id)
            # Its node refuses a second endpoint, or has made this one by this very command.
            endpoint, reserved = (has, {}) if has is not None else await self._claim(resolved, record)
        reach(Failpoint.CONNECT_CLAIMED)
        held = ConnectHeld(id=record.id, endpoint=endpoint, network=resolved.network or _predefined(endpoint))
        try:
            return await self._bus.call(catalogue.CONNECT_HELD, held, node=record.node, command=command)
        except SeawayError as error:
            if error.code is not Code.TIMEOUT:
                await self._reserving.take_back(reserved)
            raise

    async def claim_addresses(self, request: ContainerId, command: Command) -> ClaimedEndpoints:
        """Claim for a container that starts what another one had when it was created: all, or none. Raises SeawayError.

        Whatever its node doesn't come to store lapses, or is claimed anew at the next start.
        """
        record = await self._commands.find_current(request.id)
        if record.node != command.node:
            raise no_such_container(request.id)
        with reachable(self._missing):
            return ClaimedEndpoints(endpoints=tuple(await self._claim_lacking(record)))

    async def _claim_lacking(self, record: ContainerRecord) -> list[EndpointSpec]:
        claimed: list[EndpointSpec] = []
        reserved: dict[Claim, int] = {}
        try:
            for lacking in record.spec.network.endpoints:
                if lacking.lacks_address:
                    endpoint, new = await self._claimed(record, lacking)
                    claimed.append(endpoint)
                    reserved |= new
        except (SeawayError, TransportError):
            await self._reserving.take_back(reserved)
            raise
        return claimed

    async def _claimed(self, record: ContainerRecord, endpoint: EndpointSpec) -> tuple[EndpointSpec, dict[Claim, int]]:
        by_id = endpoint.model_copy(update={"network": endpoint.network_id or endpoint.network})
        (resolved,) = await self._endpoints.resolve((by_id,), record.node)
        if resolved.network is None:
            raise no_such_network(endpoint.network)
        return await self._claim(resolved, record)

    async def _claim(
        self, resolved: ResolvedEndpoint, record: ContainerRecord
    ) -> tuple[EndpointSpec, dict[Claim, int]]:
        """The endpoint with its addresses, and the claims that are new. Raises SeawayError, TransportError."""
        return await self._reserving.choose(resolved, record.id, record.status.seq)

    async def _as_its_node_has_it(self, record: ContainerRecord) -> ContainerRecord:
        """The container's record, brought up to date by its node. Raises SeawayError, TransportError.

        It may have left this network, or one of its addresses, by a disconnect of which this copy hasn't heard yet.
        """
        try:
            await self._table.ask_node(record.id)
        except SeawayError as error:
            raise unavailable(f"node {record.node} can't say which networks the container is in: {error}") from error
        return await self._commands.find_current(record.id)

    async def disconnect(self, request: DisconnectContainer, command: Command) -> StatusReply:
        """Raises SeawayError: what speaks against it, in Docker's words."""
        record = await self._commands.find_current(request.id)
        network, name = await self._network_of(record, request.network)
        held = DisconnectHeld(id=record.id, network_id=network, network=name)
        reply = await self._bus.call(catalogue.DISCONNECT_HELD, held, node=record.node, command=command)
        reach(Failpoint.DISCONNECT_HELD)
        try:
            await self._table.free_claims(record.id, reply.status.seq)
        except (SeawayError, TransportError) as error:
            log.info("the addresses of %s are freed later: %s", record.id, error)
        return reply

    async def _network_of(self, record: ContainerRecord, ref: str) -> tuple[str, str]:
        """Id and name of the network that a user means: one of the container's, even if it was removed."""
        endpoints = [one for one in record.spec.network.endpoints if one.network_id]
        for endpoint in endpoints:
            if ref in (endpoint.network, endpoint.network_id):
                return endpoint.network_id, endpoint.network
        if name := predefined(ref):
            return network_id(name), name
        try:
            with reachable(self._missing):
                found = await self._endpoints.find(ref)
        except SeawayError as error:
            removed = [one for one in endpoints if one.network_id.startswith(ref)]
            if error.code is not Code.NOT_FOUND or len(removed) != 1:
                raise
            return removed[0].network_id, removed[0].network
        return found.id, found.name


def _predefined(endpoint: EndpointSpec) -> NetworkRecord:
    """A network that every node has."""
    return NetworkRecord(id=endpoint.network_id, name=endpoint.network, created_ns=0)
