"""The files over /etc that go with a container's network: hosts, hostname, resolv.conf."""

from collections.abc import Callable, Iterable, Sequence
from ipaddress import ip_address
from pathlib import Path
from typing import Final

from seaway_agent.container import shared_files
from seaway_agent.container.hook import Peers, RunRequest
from seaway_agent.container.hooks.shared_namespaces import hostname, network_pid
from seaway_agent.core.events import JOINED_ID
from seaway_agent.dns.port import ADDRESS
from seaway_agent.dns.upstreams import ResolverConfig, resolver_config
from seaway_agent.layout import Layout
from seaway_agent.network import hosts, resolvconf
from seaway_agent.network.errors import NetworkError
from seaway_agent.network.port import DEFAULT_NETWORK
from seaway_agent.runtime.contribution import Contribution
from seaway_contracts.containers import ContainerSpec, Endpoint
from seaway_contracts.errors import bad_request
from seaway_contracts.networks import network_id
from seaway_docker.networks import PREDEFINED

_FILES: Final = ("hosts", "hostname", "resolv.conf")
_PREDEFINED: Final = frozenset((*map(network_id, PREDEFINED), JOINED_ID))
_HOSTS: Final = Path("/etc/hosts")
_RESOLV: Final = Path("/etc/resolv.conf")


class EtcFilesHook:
    """Comes behind the hooks that contribute endpoints and names. Files come with another container's network."""

    def __init__(self, peers: Peers, layout: Layout, host: Callable[[], str] = str) -> None:
        """`host`: the host's address on the default network, for containers without a way out of their own."""
        self._peers = peers
        self._layout = layout
        self._host = host

    def prepare(self, request: RunRequest, before: Contribution) -> Contribution:
        """See `Hook.prepare`. Raises SeawayError for a bad extra host or nameserver."""
        if partner := request.spec.network.partner:
            network_pid(self._peers, partner)
            bundle = self._layout.bundle(partner)
            return Contribution(files={name: _text(bundle / name) for name in _FILES})
        return Contribution(files=etc_files(request.spec, before.endpoints, before.host_names, self._host()))


def etc_files(
    spec: ContainerSpec, endpoints: Iterable[Endpoint], host_names: Iterable[tuple[str, str]] = (), host: str = ""
) -> dict[str, str]:
    """Name → content; `host_names` are further addresses and names. Raises SeawayError."""
    network, places = spec.network, list(endpoints)
    try:
        table = hosts.hosts_file(
            hostname=hostname(spec),
            domainname=network.domainname,
            addresses=addresses_of(places),
            extra_hosts=network.extra_hosts,
            gateway=_host_gateway(places) or host,
            links=host_names,
            host_file=_text(_HOSTS) if network.sandbox == "host" else None,
        )
    except NetworkError as error:
        raise bad_request(str(error)) from error
    return {"hosts": table, "hostname": hosts.hostname_file(hostname(spec)), "resolv.conf": resolv_conf(spec, places)}


def addresses_of(endpoints: Iterable[Endpoint]) -> list[str]:
    """The addresses of a container, in the order in which /etc/hosts has them."""
    return [address for one in endpoints for address in (one.address, one.ipv6_address) if address]


def asks_resolver(endpoints: Iterable[Endpoint]) -> bool:
    """Whether a container with these endpoints asks the internal resolver: it has one in a network of users."""
    return any(one.network_id not in _PREDEFINED for one in endpoints)


def _host_gateway(endpoints: Iterable[Endpoint]) -> str:
    """What `host-gateway` stands for: the host on the default network, else on the first one with a gateway."""
    gateways = {endpoint.network_id: endpoint.gateway for endpoint in endpoints if endpoint.gateway}
    return gateways.get(DEFAULT_NETWORK) or next(iter(gateways.values()), "")


def resolv_conf(spec: ContainerSpec, endpoints: Sequence[Endpoint]) -> str:
    """The text of the resolv.conf of a container with these endpoints. Raises SeawayError."""
    network = spec.network
    for server in network.dns:
        _check_nameserver(server)
    if asks_resolver(endpoints):
        return resolver_config_of(spec).resolv_conf
    made = resolvconf.on_host if network.sandbox == "host" else resolvconf.for_container
    return made(_text(_RESOLV), dns=network.dns, dns_search=network.dns_search, dns_options=network.dns_options)


def resolver_config_of(spec: ContainerSpec, *, ipv6: bool = False) -> ResolverConfig:
    """How a container in networks of users resolves names; `ipv6`: it has an IPv6 address."""
    network = spec.network
    return resolver_config(
        _text(_RESOLV),
        dns=network.dns,
        dns_search=network.dns_search,
        dns_options=network.dns_options,
        ipv6=ipv6,
    )


def names_resolver(resolv_conf: Path) -> bool:
    """Whether the file has the internal resolver, which stays when a container leaves its last network of users."""
    return f"nameserver {ADDRESS}\n" in _text(resolv_conf)


def _check_nameserver(text: str) -> None:
    try:
        ip_address(text)
    except ValueError:
        raise bad_request(f'bad nameserver address {text}: ParseAddr("{text}"): unable to parse IP') from None


def _text(path: Path) -> str:
    try:
        return shared_files.read(path)
    except OSError:
        return ""
