"""Request bodies of the network endpoints, and the endpoint settings of containers (API 1.45 to 1.47)."""

from pydantic import Field

from seaway_docker.go_json import GoModel, Int64


class EndpointIPAMConfig(GoModel):
    ipv4_address: str = Field("", alias="IPv4Address")
    ipv6_address: str = Field("", alias="IPv6Address")
    link_local_ips: list[str] | None = Field(None, alias="LinkLocalIPs")


class EndpointSettings(GoModel):
    """A container's place in one network: what the user asked for, and what came of it."""

    ipam_config: EndpointIPAMConfig | None = Field(None, alias="IPAMConfig")
    links: list[str] | None = Field(None, alias="Links")
    aliases: list[str] | None = Field(None, alias="Aliases")
    mac_address: str = Field("", alias="MacAddress")
    driver_opts: dict[str, str] | None = Field(None, alias="DriverOpts")
    network_id: str = Field("", alias="NetworkID")
    endpoint_id: str = Field("", alias="EndpointID")
    gateway: str = Field("", alias="Gateway")
    ip_address: str = Field("", alias="IPAddress")
    ip_prefix_len: Int64 = Field(0, alias="IPPrefixLen")
    ipv6_gateway: str = Field("", alias="IPv6Gateway")
    global_ipv6_address: str = Field("", alias="GlobalIPv6Address")
    global_ipv6_prefix_len: Int64 = Field(0, alias="GlobalIPv6PrefixLen")
    dns_names: list[str] | None = Field(None, alias="DNSNames")


class NetworkingConfig(GoModel):
    """`EndpointsConfig` maps network names or ids to settings; null settings are allowed."""

    endpoints_config: dict[str, EndpointSettings | None] | None = Field(None, alias="EndpointsConfig")


class IPAMConfig(GoModel):
    """`AuxAddress` in Docker's Go source, `AuxiliaryAddresses` on the wire."""

    subnet: str = Field("", alias="Subnet")
    ip_range: str = Field("", alias="IPRange")
    gateway: str = Field("", alias="Gateway")
    auxiliary_addresses: dict[str, str] | None = Field(None, alias="AuxiliaryAddresses")


class IPAM(GoModel):
    driver: str = Field("", alias="Driver")
    options: dict[str, str] | None = Field(None, alias="Options")
    config: list[IPAMConfig] | None = Field(None, alias="Config")


class ConfigReference(GoModel):
    network: str = Field("", alias="Network")


class NetworkCreate(GoModel):
    """`POST /networks/create`"""

    name: str = Field("", alias="Name")
    check_duplicate: bool = Field(False, alias="CheckDuplicate")
    driver: str = Field("", alias="Driver")
    scope: str = Field("", alias="Scope")
    enable_ipv4: bool | None = Field(None, alias="EnableIPv4")
    enable_ipv6: bool | None = Field(None, alias="EnableIPv6")
    ipam: IPAM | None = Field(None, alias="IPAM")
    internal: bool = Field(False, alias="Internal")
    attachable: bool = Field(False, alias="Attachable")
    ingress: bool = Field(False, alias="Ingress")
    config_only: bool = Field(False, alias="ConfigOnly")
    config_from: ConfigReference | None = Field(None, alias="ConfigFrom")
    options: dict[str, str] | None = Field(None, alias="Options")
    labels: dict[str, str] | None = Field(None, alias="Labels")


class NetworkConnect(GoModel):
    """`POST /networks/{id}/connect`"""

    container: str = Field("", alias="Container")
    endpoint_config: EndpointSettings | None = Field(None, alias="EndpointConfig")


class NetworkDisconnect(GoModel):
    """`POST /networks/{id}/disconnect`"""

    container: str = Field("", alias="Container")
    force: bool = Field(False, alias="Force")
