"""The networks of a create request: a container's endpoint settings (API 1.45 to 1.47)."""

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
