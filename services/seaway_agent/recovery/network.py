"""Recovers the sandboxes, endpoints, names and published ports of running containers."""

import logging
from collections.abc import Iterable
from dataclasses import dataclass

from seaway_agent.container.held_networks import HeldNetworks
from seaway_agent.container.hooks.dns import names_of
from seaway_agent.container.hooks.etc_files import asks_resolver, names_resolver
from seaway_agent.container.hooks.network import requests_again
from seaway_agent.container.hooks.ports import host_binding, port_address
from seaway_agent.dns.port import Resolver, ResolverError
from seaway_agent.layout import Layout
from seaway_agent.network.errors import SandboxGone
from seaway_agent.network.networks import NodeNetworks
from seaway_agent.network.published import PublishedPorts
from seaway_agent.network.publisher import Published
from seaway_contracts.containers import ContainerSpec, Endpoint, PublishedPort

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class RunningNetwork:
    """The network of a running container. `pid`: its first process, 0 where only its shim is left."""

    spec: ContainerSpec
    pid: int
    endpoints: tuple[Endpoint, ...]
    ports: tuple[PublishedPort, ...]


class NetworkRecovery:
    """Runs before any container is recovered, so that none takes a port or an address that another has."""

    def __init__(
        self,
        networks: NodeNetworks,
        held: HeldNetworks,
        published: PublishedPorts,
        resolver: Resolver,
        layout: Layout,
    ) -> None:
        self._networks = networks
        self._held = held
        self._published = published
        self._resolver = resolver
        self._layout = layout

    async def restore(self, running: Iterable[RunningNetwork]) -> None:
        """Adopt the networks of running containers, remove all others, and start the pools of sandboxes."""
        ports: dict[str, Published] = {}
        running = [*running]
        for found in running:
            if not found.spec.network.sandbox and found.pid:
                await self._adopt(found)
            address = port_address(found.spec, found.endpoints)
            if found.ports and address is not None and self._networks.owns(found.spec.id, address):
                ports[found.spec.id] = Published(address, tuple(map(host_binding, found.ports)))
        for partner in {found.spec.network.partner for found in running if found.pid} - {""}:
            await self._networks.share(partner)
        for warning in await self._published.restore(ports):
            log.warning("%s", warning)
        for interface in await self._networks.sweep():
            log.info("removed %s, which belongs to no container", interface)
        await self._sweep_names()
        self._networks.fill()

    def name_of(self, network_id: str) -> str:
        """The name of a network."""
        return self._held.name_of(network_id)

    async def _adopt(self, found: RunningNetwork) -> None:
        try:
            await self._networks.adopt(found.spec.id, found.pid, requests_again(found.spec.network, found.endpoints))
        except SandboxGone:  # the container has ended; its exit follows
            return
        await self._adopt_names(found)

    async def _adopt_names(self, found: RunningNetwork) -> None:
        """One that can't have a resolver is logged: its network is as it was, and other containers follow."""
        spec = found.spec
        try:
            if asks_resolver(found.endpoints) or names_resolver(self._layout.bundle(spec.id) / "resolv.conf"):
                names = names_of(spec, spec.network.endpoints, found.endpoints, self._held)
                await self._resolver.adopt(spec.id, found.pid, names)
        except Exception as error:
            log.error("container %s has no resolver: %s", spec.id[:12], error)

    async def _sweep_names(self) -> None:
        try:
            await self._resolver.sweep()
        except (ResolverError, OSError) as error:
            log.error("names of containers that have ended may be left: %s", error)
