"""A container's published ports."""

import secrets
from collections.abc import Iterable
from ipaddress import IPv4Address

from seaway_agent.container.held_networks import id_of
from seaway_agent.container.hook import Hook, RunRequest
from seaway_agent.network.errors import NetworkError, PortInvalid
from seaway_agent.network.port import route_rank
from seaway_agent.network.ports import PortBinding as HostBinding
from seaway_agent.network.ports import PortRequest
from seaway_agent.network.published import PublishedPorts
from seaway_agent.runtime.contribution import Contribution
from seaway_contracts.containers import ContainerSpec, ContainerStatus, Endpoint, PortBinding, PublishedPort
from seaway_contracts.errors import bad_request, internal
from seaway_kit.failpoints import Failpoint, reach


class PortsHook(Hook):
    """Comes behind the hook that contributes endpoints, to one of which the ports lead."""

    def __init__(self, published: PublishedPorts) -> None:
        self._published = published

    async def prepare(self, request: RunRequest, before: Contribution) -> Contribution:
        """See the base. Raises SeawayError in Docker's words."""
        return Contribution(ports=await publish(self._published, request.spec, before.endpoints))

    async def undo(self, container: str) -> None:
        """See the base. After a killed agent recovery publishes what running containers have, and nothing else."""
        await self._published.unpublish(container)
        reach(Failpoint.TEARDOWN_PORTS)


async def publish(
    published: PublishedPorts, spec: ContainerSpec, endpoints: Iterable[Endpoint]
) -> tuple[PublishedPort, ...]:
    """Publish the ports of a container that has these endpoints. Raises SeawayError in Docker's words."""
    requests, address = requests_of(spec), port_address(spec, endpoints)
    if not requests or address is None:
        return ()
    try:
        bindings = await published.publish(spec.id, address, requests)
    except PortInvalid as error:
        raise bad_request(str(error)) from error
    except (NetworkError, OSError) as error:
        head = f"driver failed programming external connectivity on endpoint {spec.name}"
        raise internal(f"{head} ({secrets.token_hex(32)}): {error}") from error
    return tuple(map(_published, bindings))


def port_address(spec: ContainerSpec, endpoints: Iterable[Endpoint]) -> IPv4Address | None:
    """The address to which published ports lead: that of the endpoint with the default route, if there is one."""
    priorities = {id_of(one): one.gateway_priority for one in spec.network.endpoints}
    routed = [one for one in endpoints if one.address and one.gateway]
    best = min(routed, key=lambda one: route_rank(priorities.get(one.network_id, 0), one.network), default=None)
    return IPv4Address(best.address) if best is not None else None


def ports_without(spec: ContainerSpec, status: ContainerStatus, network_id: str) -> tuple[PublishedPort, ...]:
    """What stays published when the container leaves a network: all, or nothing if no endpoint is left for it."""
    kept = (one for one in status.endpoints if one.network_id != network_id)
    return status.ports if port_address(spec, kept) is not None else ()


def host_binding(port: PublishedPort) -> HostBinding:
    """A published port in the network's words, to restore it after a restart of the agent."""
    return HostBinding(port.protocol, port.host_ip, port.host_port, port.container_port)


def requests_of(spec: ContainerSpec) -> list[PortRequest]:
    """What is to be published: the user's ports, and with `-P` all that are exposed. Raises SeawayError (400)."""
    requests = [_request(binding) for binding in spec.network.ports]
    if spec.network.publish_all:
        bound = {(request.container_port, request.protocol) for request in requests}
        exposed = map(_exposed, spec.network.exposed_ports)
        requests += [request for request in exposed if (request.container_port, request.protocol) not in bound]
    return requests


def _request(binding: PortBinding) -> PortRequest:
    first, _, last = binding.host_port.partition("-")
    try:
        return PortRequest(binding.container_port, binding.protocol, binding.host_ip, int(first or 0), int(last or 0))
    except ValueError:
        raise bad_request(f"invalid port specification: {binding.host_port!r}") from None


def _exposed(text: str) -> PortRequest:
    port, _, protocol = text.partition("/")
    return PortRequest(int(port.partition("-")[0]), protocol or "tcp")


def _published(binding: HostBinding) -> PublishedPort:
    return PublishedPort(
        container_port=binding.container_port,
        protocol=binding.protocol,
        host_ip=binding.host_ip,
        host_port=binding.host_port,
    )
