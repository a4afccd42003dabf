"""What Docker refuses in the ports and endpoint settings of a create body, in its words (moby 26.1). Pure.

Docker itself takes a wrong port or host address and publishes nothing, or at all addresses; here it is a 400.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Final

from seaway_api.translate.version import NEWEST, ApiVersion
from seaway_docker.errors import InvalidParameter
from seaway_docker.links import parse_link
from seaway_docker.model_container import ContainerConfig, EndpointIPAMConfig, EndpointSettings, NetworkingConfig
from seaway_docker.model_host import HostConfig
from seaway_docker.networks import PREDEFINED, network_mode
from seaway_docker.ports import HostBinding, Port, exposed_ports, host_bindings, is_ip_address

HOST_NETWORK: Final = "container cannot be disconnected from host network or connected to host network"
NONE_NETWORK: Final = (
    "container cannot be connected to multiple networks with one of the networks in private (none) mode"
)
_SHARED_SANDBOX: Final = (
    "container sharing network namespace with another container or host cannot be connected to any other network"
)
_SEVERAL_NETWORKS_SINCE: Final[ApiVersion] = (1, 44)
_MAC_OF_ENDPOINT_SINCE: Final[ApiVersion] = (1, 44)
_PRIORITY_SINCE: Final[ApiVersion] = (1, 48)
_JOINED: Final = "container:"
_WITHOUT_ENDPOINTS: Final = ("host", "none")
_SYSCTLS: Final = "com.docker.network.endpoint.sysctls"
_MAC: Final = re.compile(r"[0-9A-Fa-f]{2}(?:([:-])[0-9A-Fa-f]{2})(?:\1[0-9A-Fa-f]{2}){4}")
_NO_ADDRESS: Final = "user specified IP address is supported on user defined networks only"
_NO_ALIAS: Final = "network-scoped alias is supported only for containers in user defined networks"
_NO_SUBNET: Final = (
    "user specified IP address is supported only when connecting to networks with user configured subnets"
)


def check_ports(config: ContainerConfig, host: HostConfig) -> tuple[tuple[HostBinding, ...], tuple[Port, ...]]:
    """The ports to publish, and those exposed. Raises InvalidParameter for a port or a host address that is none."""
    return host_bindings(host.port_bindings or {}), exposed_ports(config.exposed_ports or ())


@dataclass(frozen=True)
class AskedNetworking:
    """The network mode, with the default one's name where none is given; settings by network, the mode's first.

    Without settings there is no endpoint: the mode is `none`, `host` or `container:…`.
    """

    mode: str
    endpoints: dict[str, EndpointSettings]


def check_endpoints(
    config: ContainerConfig, host: HostConfig, networking: NetworkingConfig, version: ApiVersion = NEWEST
) -> AskedNetworking:
    """What a body asks for. As in Docker the mode's network is not joined if there are settings, but none for it.

    Raises InvalidParameter for what the predefined networks can't give, and for broken MAC and IP addresses.
    """
    given = {network_mode(name): settings for name, settings in (networking.endpoints_config or {}).items()}
    if len(given) > 1 and version < _SEVERAL_NETWORKS_SINCE:
        named = ", ".join(sorted(given))
        raise InvalidParameter(f"Container cannot be created with multiple network endpoints: {named}")
    mode = network_mode(host.network_mode)
    asked = {name: settings_since(version, settings) for name, settings in _checked(given).items()}
    try:
        _check_mac_address(config.mac_address)
    except InvalidParameter as error:
        raise InvalidParameter(f"invalid config for network {mode}: {error}") from error
    if version < _MAC_OF_ENDPOINT_SINCE:  # the container's is that of its endpoint
        if config.mac_address and mode in _WITHOUT_ENDPOINTS:
            raise InvalidParameter("conflicting options: mac-address and the network mode")
        asked = {name: one.model_copy(update={"mac_address": config.mac_address}) for name, one in asked.items()}
    else:
        _check_mac(config.mac_address, mode, asked)
    if mode.startswith(_JOINED):
        return AskedNetworking(mode, {})
    _check_together(mode, asked)
    if not asked and mode not in _WITHOUT_ENDPOINTS:
        asked = {mode: EndpointSettings()}
    first = {mode: asked[mode]} if mode in asked else {}
    if config.mac_address and first:
        first = {mode: first[mode].model_copy(update={"mac_address": config.mac_address})}
    endpoints = {**first, **{name: one for name, one in asked.items() if name not in first}}
    return AskedNetworking(mode, {name: one for name, one in endpoints.items() if name not in _WITHOUT_ENDPOINTS})


def settings_since(version: ApiVersion, settings: EndpointSettings) -> EndpointSettings:
    """The settings without what clients of this API version can't mean."""
    return settings if version >= _PRIORITY_SINCE else settings.model_copy(update={"gateway_priority": 0})


def _checked(given: dict[str, EndpointSettings | None]) -> dict[str, EndpointSettings]:
    wrong, asked = [], {}
    for network, settings in given.items():
        if settings is None:
            wrong.append(f"invalid config for network {network}: EndpointsConfig is nil")
            continue
        asked[network] = settings
        try:
            check_settings(network, settings)
        except InvalidParameter as error:
            wrong.append(f"invalid config for network {network}: {error}")
    if wrong:
        raise InvalidParameter(_joined(wrong))
    return asked


def _check_mac(mac: str, mode: str, asked: dict[str, EndpointSettings]) -> None:
    """The container-wide MAC address, which is that of the mode's network."""
    own = asked[mode].mac_address if mode in asked else ""
    if own and mac and own != mac:
        raise InvalidParameter(
            "the container-wide MAC address must match the endpoint-specific MAC address for the main network, "
            "or be left empty"
        )
    if mac and asked and mode not in asked and mode not in _WITHOUT_ENDPOINTS and not mode.startswith(_JOINED):
        raise InvalidParameter(
            "if a container-wide MAC address is supplied, HostConfig.NetworkMode must match the identity of a network "
            "in NetworkSettings.Networks"
        )


def _check_together(mode: str, asked: dict[str, EndpointSettings]) -> None:
    """The host's network goes with no other one, nor does `none`. Docker says so at the start."""
    others = {name for name in asked if name != mode}
    if mode == "host" and others:
        raise InvalidParameter(_SHARED_SANDBOX)
    if "host" in others:
        raise InvalidParameter(HOST_NETWORK)
    if "none" in asked and len(asked) > 1:
        raise InvalidParameter(NONE_NETWORK)


def check_settings(network: str, asked: EndpointSettings) -> None:
    """Raise InvalidParameter for settings that no endpoint in this network can have."""
    _check_mac_address(asked.mac_address)
    if wrong := _wrong_settings(network, asked):
        raise InvalidParameter(f"invalid endpoint settings:\n{_joined(wrong)}")
    if asked.ipam_config is not None and asked.ipam_config.link_local_ips:
        raise InvalidParameter("LinkLocalIPs are not supported")
    if _SYSCTLS in (asked.driver_opts or {}):
        raise InvalidParameter(f"the driver option {_SYSCTLS} is not supported: use HostConfig.Sysctls")
    for text in asked.links or ():
        parse_link(text)


def _check_mac_address(text: str) -> None:
    """Empty is none. What no interface can have, Docker takes at create, and the start fails."""
    if text and not _MAC.fullmatch(text):
        raise InvalidParameter(f"invalid MAC address {text}")
    if text and int(text[:2], 16) & 1:
        raise InvalidParameter(f"invalid MAC address {text}: it is a multicast address")
    if text and not set(text) - set("0:-"):
        raise InvalidParameter(f"invalid MAC address {text}: it is all zeros")


def _joined(lines: list[str]) -> str:
    return lines[0] if len(lines) == 1 else "\n".join(f"* {line}" for line in lines)


def _wrong_settings(network: str, asked: EndpointSettings) -> list[str]:
    ipam = asked.ipam_config or EndpointIPAMConfig()
    chosen = [address for address in (ipam.ipv4_address, ipam.ipv6_address) if address]
    wrong = []
    if network in PREDEFINED or network.startswith(_JOINED):
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
