"""Changes the network of a running container: endpoints, names, published ports, /etc/hosts and resolv.conf."""

import logging
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial

from seaway_agent.container import shared_files
from seaway_agent.container.held_networks import HeldNetworks
from seaway_agent.container.hooks.dns import names_of
from seaway_agent.container.hooks.etc_files import addresses_of, asks_resolver, resolv_conf
from seaway_agent.container.hooks.links import host_names
from seaway_agent.container.hooks.network import endpoint_of, request_of
from seaway_agent.container.hooks.ports import host_binding, port_address, publish
from seaway_agent.container.hooks.shared_namespaces import hostname
from seaway_agent.container.measures import CONNECT_SECONDS, NETWORK_SECONDS
from seaway_agent.dns.port import Resolver, ResolverError
from seaway_agent.layout import Layout
from seaway_agent.network import hosts
from seaway_agent.network.errors import NetworkError
from seaway_agent.network.port import DEFAULT_NETWORK, Networks
from seaway_agent.network.ports import PortRequest
from seaway_agent.network.published import PublishedPorts
from seaway_agent.network.resolvconf import without_comments
from seaway_contracts.containers import ContainerSpec, ContainerStatus, Endpoint, EndpointSpec, PublishedPort
from seaway_contracts.errors import SeawayError, internal
from seaway_contracts.networks import NetworkRecord
from seaway_kit.failpoints import Failpoint, reach

log = logging.getLogger(__name__)


Followers = Callable[[str], Iterable[ContainerSpec]]
"""The running containers of this node that have a legacy link to a container, by its id."""

Claim = Callable[[str], Awaitable[Sequence[EndpointSpec]]]
"""Has metadata claim the addresses that a container, by its id, asked for. Raises SeawayError."""


@dataclass(frozen=True)
class Changed:
    """What a running container has after a change: the new endpoint, if there is one, and its published ports."""

    ports: tuple[PublishedPort, ...]
    endpoint: Endpoint | None = None


class LiveNetwork:
    """What has been made and not recorded, the next agent sweeps: it adopts what the status has."""

    def __init__(
        self,
        networks: Networks,
        held: HeldNetworks,
        published: PublishedPorts,
        resolver: Resolver,
        layout: Layout,
        claim: Claim,
        followers: Followers,
    ) -> None:
        self._networks = networks
        self._held = held
        self._published = published
        self._resolver = resolver
        self._layout = layout
        self._claim = claim
        self._followers = followers

    async def claim(self, spec: ContainerSpec) -> Sequence[EndpointSpec]:
        """Claim the addresses that another container had when this one was created. Raises SeawayError."""
        endpoints = spec.network.endpoints
        if any(one.lacks_address and self._held.record(one.network_id) is not None for one in endpoints):
            return await self._claim(spec.id)
        return ()

    async def connect(
        self, spec: ContainerSpec, status: ContainerStatus, asked: EndpointSpec, network: NetworkRecord
    ) -> Changed:
        """Make an endpoint in the running container. Raises SeawayError with nothing changed."""
        try:
            if network.id != DEFAULT_NETWORK:
                await self._held.make_stored(network)
            with CONNECT_SECONDS.time():
                made = endpoint_of(asked, await self._networks.connect(spec.id, request_of(asked)))
        except (NetworkError, OSError, ValueError) as error:
            raise internal(f"container {spec.name} can't be connected to network {network.name}: {error}") from error
        reach(Failpoint.ENDPOINT_PLUGGED)
        endpoints = (*status.endpoints, made)
        try:
            await self._name(spec, status.pid, (*spec.network.endpoints, asked), endpoints, network)
            reach(Failpoint.RESOLVER_ATTACHED)
            ports = await self._move_ports(spec, status, endpoints)
        except (SeawayError, ResolverError, OSError) as error:
            await self.give_up(spec, status, network.id)
            if isinstance(error, SeawayError):
                raise
            raise internal(f"container {spec.name} can't be named in network {network.name}: {error}") from error
        return Changed(ports, made)

    async def give_up(self, spec: ContainerSpec, status: ContainerStatus, identifier: str) -> None:
        """Remove an endpoint that was made and is not to be. What can't be is logged, and swept by the next agent."""
        await self.rename(spec, status)
        try:
            await self._networks.disconnect(spec.id, identifier)
        except (NetworkError, OSError) as error:
            log.error("container %s: endpoint in network %s is left: %s", spec.id[:12], identifier[:12], error)

    async def disconnect(self, spec: ContainerSpec, status: ContainerStatus, identifier: str) -> Changed:
        """Remove an endpoint from the running container. Raises SeawayError with nothing changed."""
        kept = tuple(one for one in status.endpoints if one.network_id != identifier)
        ports = await self._move_ports(spec, status, kept)
        try:
            await self._networks.disconnect(spec.id, identifier)
        except (NetworkError, OSError) as error:
            await self._publish_again(spec, status)
            name = self._held.name_of(identifier)
            raise internal(f"container {spec.name} can't be disconnected from network {name}: {error}") from error
        await self.rename(spec, status.model_copy(update={"endpoints": kept}))
        reach(Failpoint.ENDPOINT_UNPLUGGED)
        return Changed(ports)

    # --- names

    async def rename(self, spec: ContainerSpec, status: ContainerStatus) -> None:
        """Make the resolver find the running container by the names that it has now. What can't be done is logged."""
        if not status.pid or spec.network.sandbox:
            return
        try:
            await self._name(spec, status.pid, spec.network.endpoints, status.endpoints)
        except (ResolverError, OSError) as error:
            log.error("container %s: its names can't be brought up to date: %s", spec.id[:12], error)

    async def _name(
        self,
        spec: ContainerSpec,
        pid: int,
        asked: Sequence[EndpointSpec],
        endpoints: Sequence[Endpoint],
        connected: NetworkRecord | None = None,
    ) -> None:
        """Raises ResolverError, OSError. A resolver that the sandbox has stays when all networks of users are left."""
        names = names_of(spec, asked, endpoints, self._held, connected)
        if asks_resolver(endpoints):
            await self._resolver.adopt(spec.id, pid, names)
        else:
            await self._resolver.update(spec.id, names)

    # --- files

    def write_files(self, spec: ContainerSpec, endpoints: Sequence[Endpoint], left: Iterable[Endpoint] = ()) -> None:
        """Bring /etc/hosts and resolv.conf up to date: it has these endpoints, and no longer those that it `left`.

        What the container itself has written stays. What can't be done is logged.
        """
        network = spec.network
        if network.sandbox:
            return
        gone, there = (
            hosts.own_lines(hostname(spec), network.domainname, addresses_of(places)) for places in (left, endpoints)
        )
        self._change(spec, "hosts", lambda text: hosts.with_lines(hosts.without_lines(text, gone), there))
        if asks_resolver(endpoints):
            self._change(spec, "resolv.conf", lambda text: _asking_resolver(spec, endpoints, text))

    def lead_links(self, spec: ContainerSpec, endpoints: Sequence[Endpoint]) -> None:
        """Bring /etc/hosts of those that are linked to the container up to date, after it was started once more."""
        address = next((one.address for one in endpoints if one.network_id == DEFAULT_NETWORK), "")
        for follower in self._followers(spec.id) if address else ():
            with NETWORK_SECONDS.labels("update").time():
                for link in follower.network.links:
                    if link.container == spec.id:
                        names = host_names(link)
                        self._change(follower, "hosts", partial(hosts.with_address, names=names, address=address))

    def _change(self, spec: ContainerSpec, name: str, changed: Callable[[str], str]) -> None:
        """Nothing is raised: the command has been recorded already, or the agent recovers other containers too."""
        path = self._layout.bundle(spec.id) / name
        try:
            before = shared_files.read(path)
            after = changed(before)
            if after != before:
                shared_files.write(path, after)
        except Exception as error:
            log.error("container %s: its /etc/%s can't be brought up to date: %s", spec.id[:12], name, error)

    # --- ports

    async def _move_ports(
        self, spec: ContainerSpec, status: ContainerStatus, endpoints: tuple[Endpoint, ...]
    ) -> tuple[PublishedPort, ...]:
        """Publish the ports where they lead with these endpoints. Raises SeawayError with nothing changed."""
        if port_address(spec, endpoints) == port_address(spec, status.endpoints):
            return status.ports
        await self._unpublish(spec)
        try:
            return await publish(self._published, spec, endpoints)
        except SeawayError:
            await self._publish_again(spec, status)
            raise

    async def _publish_again(self, spec: ContainerSpec, status: ContainerStatus) -> None:
        """Restore the ports that the status has. What can't be is logged."""
        address = port_address(spec, status.endpoints)
        bindings = map(host_binding, status.ports)
        requests = [PortRequest(one.container_port, one.protocol, one.host_ip, one.host_port) for one in bindings]
        try:
            await self._unpublish(spec)
            if address is not None and requests:
                await self._published.publish(spec.id, address, requests)
        except (SeawayError, NetworkError, OSError) as error:
            log.error("container %s: its ports can't be published again: %s", spec.id[:12], error)

    async def _unpublish(self, spec: ContainerSpec) -> None:
        try:
            await self._published.unpublish(spec.id)
        except (NetworkError, OSError) as error:
            raise internal(f"the ports of container {spec.name} can't be moved: {error}") from error


def _asking_resolver(spec: ContainerSpec, endpoints: Sequence[Endpoint], text: str) -> str:
    """resolv.conf with the internal resolver as its nameserver, unless the container has changed the file."""
    unchanged = resolv_conf(spec, ())
    return resolv_conf(spec, endpoints) if text in (unchanged, without_comments(unchanged)) else text
