"""The files over /etc that go with a container's network: hosts, hostname, resolv.conf."""

from collections.abc import Iterable
from ipaddress import ip_address
from pathlib import Path
from typing import Final

from seaway_agent.container.hook import Peers, RunRequest
from seaway_agent.container.hooks.shared_namespaces import hostname, network_pid
from seaway_agent.layout import Layout
from seaway_agent.network import hosts, resolvconf
from seaway_agent.network.errors import NetworkError
from seaway_agent.network.port import DEFAULT_NAME
from seaway_agent.runtime.contribution import Contribution
from seaway_contracts.containers import ContainerSpec, Endpoint
from seaway_contracts.errors import bad_request

_FILES: Final = ("hosts", "hostname", "resolv.conf")
_RESOLV: Final = Path("/etc/resolv.conf")


class EtcFilesHook:
    """Comes behind the hooks that contribute endpoints and names. Files come with another container's network."""

    def __init__(self, peers: Peers, layout: Layout) -> None:
        self._peers = peers
        self._layout = layout

    def prepare(self, request: RunRequest, before: Contribution) -> Contribution:
        """See `Hook.prepare`. Raises SeawayError for a bad extra host or nameserver."""
        if partner := request.spec.network.partner:
            network_pid(self._peers, partner)
            bundle = self._layout.bundle(partner)
            return Contribution(files={name: _text(bundle / name) for name in _FILES})
        return Contribution(files=etc_files(request.spec, before.endpoints, before.host_names))


def etc_files(
    spec: ContainerSpec, endpoints: Iterable[Endpoint], host_names: Iterable[tuple[str, str]] = ()
) -> dict[str, str]:
    """Name → content; `host_names` are further addresses and names. Raises SeawayError."""
    network, places = spec.network, list(endpoints)
    try:
        table = hosts.hosts_file(
            hostname=hostname(spec),
            domainname=network.domainname,
            addresses=[endpoint.address for endpoint in places if endpoint.address],
            extra_hosts=network.extra_hosts,
            gateway=_host_gateway(places),
            links=host_names,
        )
    except NetworkError as error:
        raise bad_request(str(error)) from error
    return {"hosts": table, "hostname": hosts.hostname_file(hostname(spec)), "resolv.conf": _resolv_conf(spec)}


def _host_gateway(endpoints: Iterable[Endpoint]) -> str:
    """What `host-gateway` stands for: the host on the default network, else on the first one with a gateway."""
    gateways = {endpoint.network: endpoint.gateway for endpoint in endpoints if endpoint.gateway}
    return gateways.get(DEFAULT_NAME) or next(iter(gateways.values()), "")


def _resolv_conf(spec: ContainerSpec) -> str:
    network = spec.network
    for server in network.dns:
        _check_nameserver(server)
    own = _text(_RESOLV)
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


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""
