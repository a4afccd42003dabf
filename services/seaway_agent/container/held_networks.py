"""The networks of users on this node: stored with the first container that needs each, made in the kernel at its start.

Containers name networks by id.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping

from seaway_agent.network.errors import NetworkError
from seaway_agent.network.port import DEFAULT_NAME, DEFAULT_NETWORK, Networks, network_spec
from seaway_contracts.containers import EndpointSpec
from seaway_contracts.docker_errors import no_such_network
from seaway_contracts.errors import internal
from seaway_contracts.networks import NetworkRecord, network_id
from seaway_kit.failpoints import Failpoint, reach

log = logging.getLogger(__name__)


def id_of(endpoint: EndpointSpec) -> str:
    """The id of an endpoint's network; empty if metadata doesn't know that."""
    return DEFAULT_NETWORK if endpoint.network == DEFAULT_NAME else endpoint.network_id


class HeldNetworks:
    """`stored`: the database's records, by id. `was_removed`: whether a record comes after its network's removal."""

    def __init__(
        self,
        networks: Networks,
        stored: Mapping[str, NetworkRecord],
        was_removed: Callable[[NetworkRecord], bool],
    ) -> None:
        self._networks = networks
        self._stored = stored
        self._was_removed = was_removed
        self._leaving: set[str] = set()
        self._making = asyncio.Lock()
        """Of containers that start at once, the first one makes their network."""

    async def restore(self) -> None:
        """Make all stored networks again. One that can't be made is logged: its containers can't be started."""
        for record in self._stored.values():
            try:
                await self._networks.make(network_spec(record))
            except (NetworkError, OSError, ValueError) as error:
                log.error("network %s (%s) can't be made again: %s", record.name, record.id[:12], error)
        reach(Failpoint.NETWORKS_RESTORED)

    async def make(self, endpoint: EndpointSpec) -> None:
        """Make an endpoint's network if it isn't there yet. Raises SeawayError: 404, or why it can't be made."""
        identifier = id_of(endpoint)
        if identifier == DEFAULT_NETWORK:
            return
        record = self._stored.get(identifier)
        if record is None:
            raise no_such_network(endpoint.network)
        await self.make_stored(record)

    def check(self, record: NetworkRecord) -> None:
        """Raise SeawayError (404) for a network that was removed from this node, or is being removed."""
        if record.id in self._leaving or self._was_removed(record):
            raise no_such_network(record.name)

    async def make_stored(self, record: NetworkRecord) -> None:
        """Make the network of a record if it isn't there yet. Raises SeawayError: 404, or why it can't be made."""
        self.check(record)
        if self._networks.is_made(record.id):
            return
        async with self._making:
            if self._networks.is_made(record.id):
                return
            try:
                await self._networks.make(network_spec(record))
            except (NetworkError, OSError, ValueError) as error:
                raise internal(f"network {record.name} can't be made on this node: {error}") from error
            reach(Failpoint.NETWORK_MADE)

    async def remove(self, identifier: str) -> None:
        """Remove a network from the kernel. Raises NetworkError if a sandbox has an endpoint in it, OSError."""
        self._leaving.add(identifier)
        try:
            await self._networks.remove(identifier)
        finally:
            self._leaving.discard(identifier)

    def record(self, identifier: str) -> NetworkRecord | None:
        """The record of a network of users; None for another one."""
        return self._stored.get(identifier)

    def name_of(self, identifier: str) -> str:
        """The name of a network of that id, or else the id."""
        record = self._stored.get(identifier)
        if record is not None:
            return record.name
        return next((name for name in ("bridge", "host", "none") if network_id(name) == identifier), identifier)
