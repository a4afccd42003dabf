"""A container's networks as inspect and list show them, and the networks that are always there. Pure."""

from typing import Any

from seaway_api.translate.asked import asked_config, asked_host
from seaway_contracts.containers import ContainerSpec, ContainerStatus, Endpoint
from seaway_contracts.networks import network_id
from seaway_docker.networks import network_mode


def shown_mode(spec: ContainerSpec) -> str:
    """`HostConfig.NetworkMode`: as asked for, with `default` and other containers' names resolved."""
    if _is_disabled(spec):
        return network_mode(asked_host(spec)["NetworkMode"])
    return spec.network.sandbox or spec.network.networks[0]


def has_no_networks(spec: ContainerSpec) -> bool:
    """Whether the container was made for the network `none`, or without any."""
    return shown_mode(spec) == "none" or _is_disabled(spec)


def _is_disabled(spec: ContainerSpec) -> bool:
    """Whether it has no network because of `NetworkDisabled`, whatever its mode; only the client's words tell that."""
    network = spec.network
    return not network.endpoints and not network.sandbox and bool(asked_config(spec).get("NetworkDisabled"))


def endpoint_maps(spec: ContainerSpec, status: ContainerStatus) -> dict[str, dict[str, Any]]:
    """`NetworkSettings.Networks`; nothing where the sandbox is another container's."""
    if spec.network.partner:
        return {}
    held = {endpoint.network: endpoint for endpoint in status.endpoints}
    names = () if _is_disabled(spec) else spec.network.networks
    absent = {name: Endpoint(network=name, network_id=network_id(name) if status.run else "") for name in names}
    return {name: _endpoint(endpoint) for name, endpoint in (absent | held).items()}


def _endpoint(endpoint: Endpoint) -> dict[str, Any]:
    return {
        "IPAMConfig": None,
        "Links": None,
        "Aliases": None,
        "MacAddress": endpoint.mac_address,
        "DriverOpts": None,
        "NetworkID": endpoint.network_id,
        "EndpointID": endpoint.endpoint_id,
        "Gateway": endpoint.gateway,
        "IPAddress": endpoint.address,
        "IPPrefixLen": endpoint.prefix_len,
        "IPv6Gateway": endpoint.ipv6_gateway,
        "GlobalIPv6Address": endpoint.ipv6_address,
        "GlobalIPv6PrefixLen": endpoint.ipv6_prefix_len,
        "DNSNames": None,
    }


def port_map(spec: ContainerSpec, status: ContainerStatus) -> dict[str, list[dict[str, str]] | None]:
    """`NetworkSettings.Ports`: empty until the container runs with endpoints; then the exposed ports too, with null."""
    if status.pid == 0 or not spec.network.endpoints:
        return {}
    table: dict[str, list[dict[str, str]] | None] = dict.fromkeys(spec.network.exposed_ports)
    for port in status.ports:
        key = f"{port.container_port}/{port.protocol}"
        bindings = table.get(key) or []
        bindings.append({"HostIp": port.host_ip, "HostPort": str(port.host_port)})
        table[key] = bindings
    return table


def network_settings(spec: ContainerSpec, status: ContainerStatus) -> dict[str, Any]:
    """The whole `NetworkSettings`; the old fields repeat those of the default bridge."""
    networks = endpoint_maps(spec, status)
    bridge = networks.get("bridge", {})
    own = status.pid and not spec.network.partner
    return {
        "Bridge": "",
        "SandboxID": spec.id if own else "",
        "SandboxKey": f"/proc/{status.pid}/ns/net" if own else "",
        "Ports": port_map(spec, status),
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


def list_ports(spec: ContainerSpec, status: ContainerStatus) -> list[dict[str, Any]]:
    """The `Ports` of the list."""
    if status.pid == 0 or not spec.network.endpoints:
        return []
    shown: list[dict[str, Any]] = [
        {
            "IP": port.host_ip,
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
