"""A container's networks as inspect and list show them. Pure."""

from collections.abc import Iterator
from enum import Enum
from typing import Any, Final

from seaway_api.translate.asked import asked_config, asked_host
from seaway_api.translate.nodes import shown_host_ip
from seaway_api.translate.version import ApiVersion
from seaway_contracts.containers import ContainerSpec, ContainerStatus, Endpoint, EndpointSpec, Link
from seaway_contracts.ids import short_id
from seaway_contracts.networks import network_id
from seaway_docker.networks import PREDEFINED, network_mode

_WITH_DNS_NAMES: Final[ApiVersion] = (1, 45)
_WITH_ANNOTATIONS: Final[ApiVersion] = (1, 46)
_WITH_PRIORITY: Final[ApiVersion] = (1, 48)


class EndpointForm(Enum):
    """How an endpoint is shown, and what else of networks and lists changes with the API version."""

    BEFORE_1_45 = "the aliases include the container's short id and host name"
    SINCE_1_45 = "the aliases are those that the user gave"
    SINCE_1_46 = "lists have annotations, too"
    SINCE_1_48 = "with GwPriority"

    @property
    def with_annotations(self) -> bool:
        """Whether lists show annotations."""
        return self in (EndpointForm.SINCE_1_46, EndpointForm.SINCE_1_48)


def endpoint_form(version: ApiVersion) -> EndpointForm:
    """The form for a client of this version."""
    if version >= _WITH_PRIORITY:
        return EndpointForm.SINCE_1_48
    if version >= _WITH_ANNOTATIONS:
        return EndpointForm.SINCE_1_46
    return EndpointForm.SINCE_1_45 if version >= _WITH_DNS_NAMES else EndpointForm.BEFORE_1_45


def shown_mode(spec: ContainerSpec) -> str:
    """`HostConfig.NetworkMode`: as asked for, with `default` and other containers' names resolved."""
    if spec.network.sandbox:
        return spec.network.sandbox
    asked = asked_host(spec)["NetworkMode"]
    if not asked and not _is_disabled(spec):
        return next(iter(spec.network.networks), "bridge")
    return network_mode(asked)


def _is_disabled(spec: ContainerSpec) -> bool:
    """Whether it has no network because of `NetworkDisabled`, whatever its mode; only the client's words tell that."""
    network = spec.network
    return not network.endpoints and not network.sandbox and bool(asked_config(spec).get("NetworkDisabled"))


def endpoint_maps(
    spec: ContainerSpec, status: ContainerStatus, form: EndpointForm = EndpointForm.SINCE_1_45
) -> dict[str, dict[str, Any]]:
    """`NetworkSettings.Networks` of inspect; nothing where the sandbox is another container's."""
    return {
        asked.network: _listed(asked, held, form) | _asked(spec, status, asked, form)
        for asked, held in _endpoints(spec, status)
    }


def listed_endpoints(
    spec: ContainerSpec, status: ContainerStatus, form: EndpointForm = EndpointForm.SINCE_1_45
) -> dict[str, dict[str, Any]]:
    """The same in lists, where Docker leaves names and options out."""
    return {asked.network: _listed(asked, held, form) for asked, held in _endpoints(spec, status)}


def _endpoints(spec: ContainerSpec, status: ContainerStatus) -> Iterator[tuple[EndpointSpec, Endpoint]]:
    """Each endpoint, as asked for and as it is. Before the first start nothing is shown of it but what was asked."""
    if spec.network.partner:
        return
    asked = {one.network: one for one in spec.network.endpoints}
    held = {one.network: one for one in status.endpoints}
    names = () if _is_disabled(spec) else spec.network.networks
    for name in dict.fromkeys((*names, *held)):
        wanted = asked.get(name) or EndpointSpec(network=name)
        yield wanted, held.get(name) or _unused(wanted, started=status.run > 0)


def _unused(asked: EndpointSpec, *, started: bool) -> Endpoint:
    identifier = network_id(asked.network) if asked.network in PREDEFINED else asked.network_id
    return Endpoint(
        network=asked.network,
        network_id=identifier if started else "",
        mac_address="" if started else asked.mac_address,
    )


def _listed(asked: EndpointSpec, held: Endpoint, form: EndpointForm) -> dict[str, Any]:
    addresses = {"IPv4Address": asked.ipv4_address, "IPv6Address": asked.ipv6_address}
    shown: dict[str, Any] = {
        "IPAMConfig": {key: value for key, value in addresses.items() if value} or None,
        "Links": None,
        "Aliases": None,
        "MacAddress": held.mac_address,
        "DriverOpts": None,
        "NetworkID": held.network_id,
        "EndpointID": held.endpoint_id,
        "Gateway": held.gateway,
        "IPAddress": held.address,
        "IPPrefixLen": held.prefix_len,
        "IPv6Gateway": held.ipv6_gateway,
        "GlobalIPv6Address": held.ipv6_address,
        "GlobalIPv6PrefixLen": held.ipv6_prefix_len,
        "DNSNames": None,
    }
    if form is EndpointForm.SINCE_1_48:
        shown["GwPriority"] = asked.gateway_priority
    return shown


def _asked(spec: ContainerSpec, status: ContainerStatus, asked: EndpointSpec, form: EndpointForm) -> dict[str, Any]:
    """Driver options, links, aliases and DNS names. The links of the default bridge are in HostConfig."""
    options = {"DriverOpts": asked.driver_options or None}
    if asked.network in PREDEFINED:
        return options
    own = (short_id(spec.id), *([spec.network.hostname] if spec.network.hostname else ()))
    aliases = list(dict.fromkeys((*asked.aliases, *own))) if form is EndpointForm.BEFORE_1_45 else list(asked.aliases)
    started = status.run > 0 and asked.network_id != ""
    return options | {
        "Links": [link.name if link.name == link.alias else f"{link.name}:{link.alias}" for link in asked.links]
        or None,
        "Aliases": aliases or None,
        "DNSNames": list(dict.fromkeys((spec.name, *asked.aliases, *own))) if started else None,
    }


def _link(link: Link) -> str:
    return link.name if link.name == link.alias else f"{link.name}:{link.alias}"


def port_map(
    spec: ContainerSpec, status: ContainerStatus, ports_address: str = ""
) -> dict[str, list[dict[str, str]] | None]:
    """`NetworkSettings.Ports`: empty until the container runs with endpoints; then the exposed ports too, with null.

    For `ports_address` see `shown_host_ip`, here and below.
    """
    if status.pid == 0 or not spec.network.endpoints:
        return {}
    table: dict[str, list[dict[str, str]] | None] = dict.fromkeys(spec.network.exposed_ports)
    for port in status.ports:
        key = f"{port.container_port}/{port.protocol}"
        bindings = table.get(key) or []
        bindings.append({"HostIp": shown_host_ip(port.host_ip, ports_address), "HostPort": str(port.host_port)})
        table[key] = bindings
    return table


def network_settings(
    spec: ContainerSpec,
    status: ContainerStatus,
    form: EndpointForm = EndpointForm.SINCE_1_45,
    ports_address: str = "",
) -> dict[str, Any]:
    """The whole `NetworkSettings`; the old fields repeat those of the default bridge."""
    networks = endpoint_maps(spec, status, form)
    bridge = networks.get("bridge", {})
    own = status.pid and not spec.network.partner
    return {
        "Bridge": "",
        "SandboxID": spec.id if own else "",
        "SandboxKey": f"/proc/{status.pid}/ns/net" if own else "",
        "Ports": port_map(spec, status, ports_address),
        "HairpinMode": False,
        "LinkLocalIPv6Address": "",
        "LinkLocalIPv6PrefixLen": 0,
        "SecondaryIPAddresses": None,
        "SecondaryIPv6Addresses": None,
        "EndpointID": bridge.get("EndpointID", ""),
        "Gateway": bridge.get("Gateway", ""),
        "GlobalIPv6Address": bridge.get("GlobalIPv6Address", ""),
        "GlobalIPv6PrefixLen": bridge.get("GlobalIPv6PrefixLen", 0),
        "IPAddress": bridge.get("IPAddress", ""),
        "IPPrefixLen": bridge.get("IPPrefixLen", 0),
        "IPv6Gateway": bridge.get("IPv6Gateway", ""),
        "MacAddress": bridge.get("MacAddress", ""),
        "Networks": networks,
    }


def list_ports(spec: ContainerSpec, status: ContainerStatus, ports_address: str = "") -> list[dict[str, Any]]:
    """The `Ports` of the list."""
    if status.pid == 0 or not spec.network.endpoints:
        return []
    shown: list[dict[str, Any]] = [
        {
            "IP": shown_host_ip(port.host_ip, ports_address),
            "PrivatePort": port.container_port,
            "PublicPort": port.host_port,
            "Type": port.protocol,
        }
        for port in status.ports
    ]
    published = {(entry["PrivatePort"], entry["Type"]) for entry in shown}
    for text in spec.network.exposed_ports:
        number, _, protocol = text.partition("/")
        if (int(number), protocol or "tcp") not in published:
            shown.append({"PrivatePort": int(number), "Type": protocol or "tcp"})
    return shown
