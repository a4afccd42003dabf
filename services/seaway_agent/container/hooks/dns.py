"""The names by which containers in networks of users find each other, and the resolver in a container's sandbox."""

from collections.abc import Iterable, Sequence
from ipaddress import IPv4Address, IPv6Address

from seaway_agent.container.held_networks import HeldNetworks, id_of
from seaway_agent.container.hook import Hook, RunRequest
from seaway_agent.container.hooks.etc_files import asks_resolver, resolver_config_of
from seaway_agent.container.hooks.shared_namespaces import hostname
from seaway_agent.dns.port import ContainerNames, NamedEndpoint, Resolver, ResolverError
from seaway_agent.network.port import DEFAULT_NETWORK
from seaway_agent.runtime.contribution import Contribution
from seaway_agent.runtime.run import ContainerRun
from seaway_contracts.containers import ContainerSpec, Endpoint, EndpointSpec
from seaway_contracts.errors import internal
from seaway_contracts.networks import NetworkRecord
from seaway_kit.failpoints import Failpoint, reach


class DnsHook(Hook):
    """Comes behind the hook that contributes sandbox and endpoints. Names are right before the program runs."""

    def __init__(self, resolver: Resolver, held: HeldNetworks) -> None:
        self._resolver = resolver
        self._held = held

    async def prepare(self, request: RunRequest, before: Contribution) -> Contribution:
        """See the base. Raises SeawayError if the sandbox can't have a resolver."""
        spec = request.spec
        if spec.network.sandbox or not asks_resolver(before.endpoints):
            return Contribution()
        names = names_of(spec, spec.network.endpoints, before.endpoints, self._held)
        try:
            await self._resolver.attach(spec.id, before.namespaces["network"], names)
        except (ResolverError, OSError) as error:
            raise internal(f"no resolver for container {spec.name}: {error}") from error
        reach(Failpoint.RESOLVER_ATTACHED)
        return Contribution()

    def created(self, container: str, run: ContainerRun) -> None:
        """See the base."""
        self._resolver.hand_over(container, run.pid)

    async def undo(self, container: str) -> None:
        """See the base. After a killed agent the resolver drops sandboxes that no process has, and recovery sweeps."""
        try:
            await self._resolver.detach(container)
        except ResolverError as error:
            raise internal(f"the names of container {container[:12]} can't be withdrawn: {error}") from error


def names_of(
    spec: ContainerSpec,
    asked: Sequence[EndpointSpec],
    endpoints: Iterable[Endpoint],
    held: HeldNetworks,
    connected: NetworkRecord | None = None,
) -> ContainerNames:
    """What the resolver must know of a container that has these endpoints, of those that were asked for.

    `connected`: the network that it is being connected to, which is stored only afterwards.
    """
    there = {endpoint.network_id: endpoint for endpoint in endpoints if endpoint.address or endpoint.ipv6_address}
    records = {network: held.record(network) for network in there}
    if connected is not None:
        records[connected.id] = connected
    named = [_named(spec, one, there[id_of(one)], records[id_of(one)]) for one in asked if id_of(one) in there]
    named.sort(key=lambda end: (end.internal, -_priority(asked, end.network), end.network_name))  # as in Docker
    config = resolver_config_of(spec, ipv6=any(endpoint.ipv6_address for endpoint in there.values()))
    return ContainerNames(tuple(named), config.upstreams, config.dotless_stay)


def _named(spec: ContainerSpec, asked: EndpointSpec, there: Endpoint, record: NetworkRecord | None) -> NamedEndpoint:
    """Names are looked up in networks of users alone; through the default network, too, other names are asked for."""
    on_default = there.network_id == DEFAULT_NETWORK
    names = () if on_default else (spec.name, *asked.aliases, spec.id[:12], hostname(spec))
    return NamedEndpoint(
        there.network_id,
        there.network,
        tuple(dict.fromkeys(names)),
        IPv4Address(there.address) if there.address else None,
        IPv6Address(there.ipv6_address) if there.ipv6_address else None,
        {} if on_default else {link.alias: link.name for link in asked.links},
        record is not None and record.internal,
    )


def _priority(asked: Iterable[EndpointSpec], network: str) -> int:
    return next(one.gateway_priority for one in asked if id_of(one) == network)
