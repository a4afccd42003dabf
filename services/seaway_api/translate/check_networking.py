"""What Docker refuses in the ports and endpoint settings of a create body, in its words (moby 26.1). Pure.

Docker itself takes a wrong port or host address and publishes nothing, or at all addresses; here it is a 400.
"""

import re
from collections.abc import Iterable
from ipaddress import ip_address
from typing import Final

from seaway_docker.errors import InvalidParameter
from seaway_docker.model_container import ContainerConfig, EndpointIPAMConfig, EndpointSettings, NetworkingConfig
from seaway_docker.model_host import HostConfig
from seaway_docker.networks import PREDEFINED, network_mode
from seaway_docker.ports import HostBinding, Port, exposed_ports, host_bindings, is_ip_address

_MAC: Final = re.compile(r"[0-9A-Fa-f]{2}(?:([:-])[0-9A-Fa-f]{2})(?:\1[0-9A-Fa-f]{2}){4}")
_NO_ADDRESS: Final = "user specified IP address is supported on user defined networks only"
_NO_ALIAS: Final = "network-scoped alias is supported only for containers in user defined networks"
_NO_SUBNET: Final = (
    "user specified IP address is supported only when connecting to networks with user configured subnets"
)


def check_ports(config: ContainerConfig, host: HostConfig) -> tuple[tuple[HostBinding, ...], tuple[Port, ...]]:
    """The ports to publish, and those exposed. Raises InvalidParameter for a port or a host address that is none."""
    return host_bindings(host.port_bindings or {}), exposed_ports(config.exposed_ports or ())


def check_endpoints(config: ContainerConfig, host: HostConfig, networking: NetworkingConfig) -> str:
    """The network mode, with the default one's name where none is given.

    Raises InvalidParameter for what the predefined networks can't give, and for broken MAC and IP addresses.
    """
    endpoints = networking.endpoints_config or {}
    mode = network_mode(host.network_mode)
    asked = endpoints.get(mode) or (endpoints.get("default") if mode == "bridge" else None)
    own = asked.mac_address if asked else ""
    if own and config.mac_address and own != config.mac_address:
        raise InvalidParameter(
            "the container-wide MAC address must match the endpoint-specific MAC address for the main network, "
            "or be left empty"
        )
    for mac in (own, config.mac_address):
        if mac and not _MAC.fullmatch(mac):
            raise InvalidParameter(f"invalid config for network {mode}: invalid MAC address {mac}")
    if mode == "bridge" and mode in endpoints and asked is None:
        raise InvalidParameter("invalid config for network bridge: EndpointsConfig is nil")
    for name, settings in endpoints.items():
        if settings is not None:
            _check_settings(network_mode(name), settings)
    return mode


def _check_settings(network: str, asked: EndpointSettings) -> None:
    if wrong := _wrong_settings(network, asked):
        text = wrong[0] if len(wrong) == 1 else "\n".join(f"* {line}" for line in wrong)
        raise InvalidParameter(f"invalid config for network {network}: invalid endpoint settings:\n{text}")


def _wrong_settings(network: str, asked: EndpointSettings) -> list[str]:
    ipam = asked.ipam_config or EndpointIPAMConfig()
    chosen = [address for address in (ipam.ipv4_address, ipam.ipv6_address) if address]
    wrong = []
    if network in PREDEFINED or network.startswith("container:"):
        wrong += [_NO_ADDRESS] if chosen else []
        wrong += [_NO_ALIAS] if asked.aliases else []
    wrong += _wrong_addresses(ipam)
    if network in PREDEFINED:
        wrong += [_NO_SUBNET] * len(chosen)
    return wrong


def _wrong_addresses(ipam: EndpointIPAMConfig) -> Iterable[str]:
    for address, family, version in ((ipam.ipv4_address, "IPv4", 4), (ipam.ipv6_address, "IPv6", 6)):
        if address and not (_is_host_address(address) and ip_address(address).version == version):
            yield f"invalid {family} address: {address}"
    for address in ipam.link_local_ips or ():
        if not _is_host_address(address):
            yield f"invalid link-local IP address: {address}"


def _is_host_address(text: str) -> bool:
    return is_ip_address(text) and not ip_address(text).is_unspecified
