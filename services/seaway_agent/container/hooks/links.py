"""Legacy links: what a container learns of another one of its node when it starts."""

from seaway_agent.container.held_networks import id_of
from seaway_agent.container.hook import Peers, RunRequest
from seaway_agent.network.port import DEFAULT_NETWORK
from seaway_agent.runtime.contribution import Contribution
from seaway_contracts.containers import ContainerSpec, Link
from seaway_contracts.errors import internal
from seaway_docker.links import LinkedContainer, link_environment
from seaway_docker.ports import parse_port


class LinksHook:
    """Variables, and names for /etc/hosts. In a network of users a link is but a name that the resolver knows."""

    def __init__(self, peers: Peers) -> None:
        self._peers = peers

    def prepare(self, request: RunRequest, before: Contribution) -> Contribution:
        """See `Hook.prepare`. Raises SeawayError where a linked container doesn't run."""
        linked = [
            (link, self._linked(request.spec, endpoint.network, link))
            for endpoint in request.spec.network.endpoints
            if id_of(endpoint) == DEFAULT_NETWORK
            for link in endpoint.links
        ]
        return Contribution(
            env=tuple(line for _, one in linked for line in link_environment(one)),
            host_names=tuple((one.address, host_names(link)) for link, one in linked),
        )

    def _linked(self, spec: ContainerSpec, network: str, link: Link) -> LinkedContainer:
        """The other side, as it runs now, with its address in that network."""
        peer = self._peers(link.container)
        if peer is None or not peer.status.pid:
            raise internal(f"Cannot link to a non running container: /{link.name} AS /{spec.name}/{link.alias}")
        addresses = {endpoint.network: endpoint.address for endpoint in peer.status.endpoints}
        if network not in addresses:
            raise internal(f"Cannot link to /{link.name}, as it does not belong to the default network")
        ports = {*peer.spec.network.exposed_ports}
        ports |= {f"{port.container_port}/{port.protocol}" for port in peer.spec.network.ports}
        return LinkedContainer(
            holder=spec.name,
            alias=link.alias,
            address=addresses[network],
            ports=tuple(parse_port(port) for port in sorted(ports)),
            env=peer.spec.command.env,
        )


def host_names(link: Link) -> str:
    """How /etc/hosts names the other side."""
    return " ".join(dict.fromkeys((link.alias, link.container[:12], link.name)))
