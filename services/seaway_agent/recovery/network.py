"""Takes up what containers that run have of the network: sandboxes, endpoints, published ports."""

import logging
from collections.abc import Iterable
from dataclasses import dataclass

from seaway_agent.container.hooks.network import requests_again
from seaway_agent.container.hooks.ports import host_binding, port_address
from seaway_agent.network.errors import SandboxGone
from seaway_agent.network.networks import NodeNetworks
from seaway_agent.network.published import PublishedPorts
from seaway_agent.network.publisher import Published
from seaway_contracts.containers import ContainerSpec, Endpoint, PublishedPort

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class HeldOfNetwork:
    """What a container that runs was given. `pid`: its first process, 0 where only its shim is left."""

    spec: ContainerSpec
    pid: int
    endpoints: tuple[Endpoint, ...]
    ports: tuple[PublishedPort, ...]


class NetworkRecovery:
    """Before any container is told what became of it, so that none takes what another one has."""

    def __init__(self, networks: NodeNetworks, published: PublishedPorts) -> None:
        self._networks = networks
        self._published = published

    async def restore(self, running: Iterable[HeldOfNetwork]) -> None:
        """Hold what these have, remove the rest, and begin to keep sandboxes ready."""
        ports: dict[str, Published] = {}
        for held in running:
            if not held.spec.network.sandbox and held.pid:
                await self._adopt(held)
            address = port_address(held.endpoints)
            if held.ports and address is not None and self._networks.endpoints(held.spec.id):
                ports[held.spec.id] = Published(address, tuple(map(host_binding, held.ports)))
        for warning in await self._published.restore(ports):
            log.warning("%s", warning)
        for interface in await self._networks.sweep():
            log.info("removed %s, which belongs to no container", interface)
        self._networks.fill()

    async def _adopt(self, held: HeldOfNetwork) -> None:
        try:
            await self._networks.adopt(held.spec.id, held.pid, requests_again(held.endpoints))
        except SandboxGone:  # its end is told in a moment
            return
