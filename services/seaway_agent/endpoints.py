"""A container's networking for one run: sandbox, endpoints, published ports, the files over /etc."""

import secrets
import socket
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address, ip_address
from pathlib import Path
from typing import Any, Final

from seaway_agent.core.words import JOINED
from seaway_agent.network import hosts, resolvconf
from seaway_agent.network.driver import NetworkDriver
from seaway_agent.network.errors import NetworkError, PortInvalid
from seaway_agent.network.ports import PortBinding as HostBinding
from seaway_agent.network.ports import PortRequest
from seaway_agent.network.sandbox import Sandbox
from seaway_agent.network.sandboxes import NetworkRequest
from seaway_contracts.containers import ContainerNetworking, ContainerSpec, Endpoint, PortBinding, PublishedPort
from seaway_contracts.errors import bad_request, internal, not_found
from seaway_contracts.networks import network_id
from seaway_docker.errors import no_such_network
from seaway_kit.failpoints import Failpoint, reach

BRIDGE: Final = "bridge"
_RESOLV: Final = Path("/etc/resolv.conf")


@dataclass
class Connection:
    """What one run holds of the network; `sandbox` None where it is the host's or another container's."""

    endpoints: tuple[Endpoint, ...]
    sandbox: Sandbox | None
    ports: tuple[PublishedPort, ...] = ()


def check_networks(spec: ContainerSpec) -> None:
    """Refuse what the driver can't make: it gives a sandbox one endpoint at most, on the bridge. Raises SeawayError.

    At the start, as Docker does: a 404 at create makes its CLI pull the image.
    """
    names = [endpoint.network for endpoint in spec.network.endpoints]
    if len(names) > 1:
        raise bad_request(f"container {spec.name} can't join {', '.join(names)}: nodes connect it to one network only")
    for name in names:
        if name != BRIDGE:
            raise not_found(no_such_network(name))


async def connect(driver: NetworkDriver, spec: ContainerSpec) -> Connection:
    """Give a run its network. Raises SeawayError with nothing held."""
    check_networks(spec)
    if spec.network.sandbox:
        return Connection(endpoints_of(spec.network), None)
    try:
        sandbox = await driver.acquire(_wanted(spec.network))
    except (NetworkError, OSError) as error:
        raise internal(f"no network for container {spec.name}: {error}") from error
    try:
        return Connection(endpoints_of(spec.network, sandbox), sandbox, await _publish(driver, spec, sandbox))
    except BaseException:
        await driver.release(sandbox)
        raise


async def disconnect(driver: NetworkDriver, spec: ContainerSpec, connection: Connection) -> None:
    """Give everything back."""
    if connection.ports:
        await driver.unpublish(spec.id)
        reach(Failpoint.TEARDOWN_PORTS)
    if connection.sandbox is not None:
        await driver.release(connection.sandbox)


def _wanted(network: ContainerNetworking) -> NetworkRequest:
    for endpoint in network.endpoints:
        return NetworkRequest(endpoint.network, None, endpoint.mac_address or None)
    return NetworkRequest("none")


async def _publish(driver: NetworkDriver, spec: ContainerSpec, sandbox: Sandbox) -> tuple[PublishedPort, ...]:
    requests = [_request(binding) for binding in spec.network.ports]
    if spec.network.publish_all:
        bound = {(request.container_port, request.protocol) for request in requests}
        requests += [
            r for r in map(_exposed, spec.network.exposed_ports) if (r.container_port, r.protocol) not in bound
        ]
    if not requests or sandbox.address is None:
        return ()
    try:
        bindings = await driver.publish(spec.id, sandbox.address, requests)
    except PortInvalid as error:
        raise bad_request(str(error)) from error
    except (NetworkError, OSError) as error:
        head = f"driver failed programming external connectivity on endpoint {spec.name}"
        raise internal(f"{head} ({secrets.token_hex(32)}): {error}") from error
    return tuple(map(_published, bindings))


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


def host_binding(port: PublishedPort) -> HostBinding:
    """A published port in the driver's words, to restore it after a restart of the agent."""
    return HostBinding(port.protocol, port.host_ip, port.host_port, port.container_port)


def endpoints_of(network: ContainerNetworking, sandbox: Sandbox | None = None) -> tuple[Endpoint, ...]:
    """The endpoints for the status: one in each network that Docker shows, JOINED in another container's sandbox."""
    given = _given(sandbox)
    return tuple(
        Endpoint(network=name, network_id=network_id(name), endpoint_id=secrets.token_hex(32), **given)
        for name in network.networks or (JOINED,)
    )


def _given(sandbox: Sandbox | None) -> dict[str, Any]:
    if sandbox is None or sandbox.address is None:
        return {}
    return {
        "address": str(sandbox.address),
        "prefix_len": sandbox.prefix_len,
        "gateway": str(sandbox.gateway),
        "mac_address": sandbox.mac,
    }


def hostname(spec: ContainerSpec) -> str:
    """The container's hostname: its own, the host's where it shares that, else its short id."""
    if spec.network.sandbox == "host" and not spec.network.hostname:
        return socket.gethostname()
    return spec.network.hostname or spec.id[:12]


def etc_files(spec: ContainerSpec, connection: Connection, links: Iterable[tuple[str, str]] = ()) -> dict[str, str]:
    """The content of /etc/hosts, /etc/hostname and /etc/resolv.conf; `links` are addresses and names.

    Raises SeawayError for a bad extra host or nameserver.
    """
    network, gateway = spec.network, _gateway(connection.endpoints)
    try:
        table = hosts.hosts_file(
            hostname=hostname(spec),
            domainname=network.domainname,
            addresses=[endpoint.address for endpoint in connection.endpoints if endpoint.address],
            extra_hosts=network.extra_hosts,
            gateway=gateway,
            links=links,
        )
    except NetworkError as error:
        raise bad_request(str(error)) from error
    return {"hosts": table, "hostname": hosts.hostname_file(hostname(spec)), "resolv.conf": _resolv_conf(spec)}


def _resolv_conf(spec: ContainerSpec) -> str:
    network = spec.network
    for server in network.dns:
        _check_nameserver(server)
    try:
        own = _RESOLV.read_text()
    except OSError:
        own = ""
    if network.sandbox == "host" and not (network.dns or network.dns_search or network.dns_options):
        return own
    return resolvconf.for_container(
        own, dns=network.dns, dns_search=network.dns_search, dns_options=network.dns_options
    )


def _check_nameserver(text: str) -> None:
    try:
        ip_address(text)
    except ValueError:
        raise bad_request(f'bad nameserver address {text}: ParseAddr("{text}"): unable to parse IP') from None


def _gateway(endpoints: Iterable[Endpoint]) -> str:
    """What `host-gateway` stands for: the host on the bridge."""
    for endpoint in endpoints:
        if endpoint.network == BRIDGE:
            return endpoint.gateway
    return ""


def bridge_address(endpoints: Iterable[Endpoint]) -> IPv4Address | None:
    """The address on the node's bridge, if there is one."""
    for endpoint in endpoints:
        if endpoint.network == BRIDGE and endpoint.address:
            return IPv4Address(endpoint.address)
    return None
