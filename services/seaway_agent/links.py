"""Legacy links: what a container learns of another one of its node when it starts."""

from seaway_agent.plumbing import Plumbing
from seaway_contracts.containers import ContainerSpec, Link
from seaway_contracts.errors import internal
from seaway_docker.links import LinkedContainer, link_environment
from seaway_docker.ports import parse_port


def linked(node: Plumbing, spec: ContainerSpec, network: str, link: Link) -> LinkedContainer:
    """The other side, as it runs now, with its address in that network. Raises SeawayError where it doesn't run."""
    peer = node.peer(link.container)
    if peer is None or not peer.status.pid:
        raise internal(f"Cannot link to a non running container: /{link.name} AS /{spec.name}/{link.alias}")
    addresses = {endpoint.network: endpoint.address for endpoint in peer.status.endpoints}
    ports = {*peer.spec.network.exposed_ports}
    ports |= {f"{port.container_port}/{port.protocol}" for port in peer.spec.network.ports}
    return LinkedContainer(
        holder=spec.name,
        alias=link.alias,
        address=addresses.get(network, ""),
        ports=tuple(parse_port(port) for port in sorted(ports)),
        env=peer.spec.command.env,
    )


def environment(one: LinkedContainer) -> list[str]:
    """Its variables."""
    return link_environment(one)


def host_entry(link: Link, one: LinkedContainer) -> tuple[str, str]:
    """Address and names, for /etc/hosts."""
    names = dict.fromkeys((link.alias, link.container[:12], link.name))
    return one.address, " ".join(names)
