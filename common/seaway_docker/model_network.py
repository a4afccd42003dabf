"""Request bodies of the network endpoints (Docker Engine API 1.45 to 1.48)."""

from pydantic import Field

from seaway_docker.go_json import GoModel
from seaway_docker.model_container import EndpointSettings


class IPAMPool(GoModel):
    """Addresses in CIDR notation. `ip_range`: the part of the subnet that containers get without asking."""

    subnet: str = Field("", alias="Subnet")
    ip_range: str = Field("", alias="IPRange")
    gateway: str = Field("", alias="Gateway")
    auxiliary: dict[str, str] | None = Field(None, alias="AuxiliaryAddresses")


class IPAM(GoModel):
    """How a network gets its addresses."""

    driver: str = Field("", alias="Driver")
    options: dict[str, str] | None = Field(None, alias="Options")
    config: list[IPAMPool] | None = Field(None, alias="Config")


class ConfigReference(GoModel):
    """The network whose configuration another one takes."""

    network: str = Field("", alias="Network")


class NetworkCreate(GoModel):
    """`POST /networks/create`. Names are unique, whatever `CheckDuplicate` says, as in Docker since API 1.44."""

    name: str = Field("", alias="Name")
    check_duplicate: bool = Field(False, alias="CheckDuplicate")
    driver: str = Field("", alias="Driver")
    scope: str = Field("", alias="Scope")
    internal: bool = Field(False, alias="Internal")
    attachable: bool = Field(False, alias="Attachable")
    ingress: bool = Field(False, alias="Ingress")
    config_only: bool = Field(False, alias="ConfigOnly")
    config_from: ConfigReference | None = Field(None, alias="ConfigFrom")
    ipam: IPAM | None = Field(None, alias="IPAM")
    enable_ipv4: bool | None = Field(None, alias="EnableIPv4")
    enable_ipv6: bool = Field(False, alias="EnableIPv6")
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
