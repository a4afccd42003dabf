"""Request bodies of the container and exec endpoints (Docker Engine API 1.45 to 1.48).

Lists, maps and pointers that Go leaves nil are None: null and empty differ in what clients see. Durations are
nanoseconds, sizes bytes.
"""

from typing import Any, Final

from pydantic import Field

from seaway_docker.errors import EMPTY_CONFIG, InvalidParameter
from seaway_docker.go_json import GoModel, Int64, StrSlice, Uint64
from seaway_docker.model_host import HostConfig, Resources, RestartPolicy


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
    gateway_priority: Int64 = Field(0, alias="GwPriority")


class NetworkingConfig(GoModel):
    """`EndpointsConfig` maps network names or ids to settings; null settings can be read, and are refused later."""

    endpoints_config: dict[str, EndpointSettings | None] | None = Field(None, alias="EndpointsConfig")


class HealthConfig(GoModel):
    """`Test` is null or [] to inherit, ["NONE"], ["CMD", …] or ["CMD-SHELL", text]."""

    omit_empty = frozenset(
        (
            "Test",
            "Interval",
            "Timeout",
            "Retries",
            "StartPeriod",
            "StartInterval",
        )
    )

    test: list[str] | None = Field(None, alias="Test")
    interval: Int64 = Field(0, alias="Interval")
    timeout: Int64 = Field(0, alias="Timeout")
    retries: Int64 = Field(0, alias="Retries")
    start_period: Int64 = Field(0, alias="StartPeriod")
    start_interval: Int64 = Field(0, alias="StartInterval")


class ContainerConfig(GoModel):
    """What an image may also carry: command, environment, ports, labels."""

    omit_empty = frozenset(
        (
            "ExposedPorts",
            "Healthcheck",
            "ArgsEscaped",
            "NetworkDisabled",
            "MacAddress",
            "StopSignal",
            "StopTimeout",
            "Shell",
        )
    )

    hostname: str = Field("", alias="Hostname")
    domainname: str = Field("", alias="Domainname")
    user: str = Field("", alias="User")
    attach_stdin: bool = Field(False, alias="AttachStdin")
    attach_stdout: bool = Field(False, alias="AttachStdout")
    attach_stderr: bool = Field(False, alias="AttachStderr")
    exposed_ports: dict[str, dict[str, Any]] | None = Field(None, alias="ExposedPorts")
    tty: bool = Field(False, alias="Tty")
    open_stdin: bool = Field(False, alias="OpenStdin")
    stdin_once: bool = Field(False, alias="StdinOnce")
    env: list[str] | None = Field(None, alias="Env")
    cmd: StrSlice | None = Field(None, alias="Cmd")
    healthcheck: HealthConfig | None = Field(None, alias="Healthcheck")
    args_escaped: bool = Field(False, alias="ArgsEscaped")
    image: str = Field("", alias="Image")
    volumes: dict[str, dict[str, Any]] | None = Field(None, alias="Volumes")
    working_dir: str = Field("", alias="WorkingDir")
    entrypoint: StrSlice | None = Field(None, alias="Entrypoint")
    network_disabled: bool = Field(False, alias="NetworkDisabled")
    mac_address: str = Field("", alias="MacAddress")
    on_build: list[str] | None = Field(None, alias="OnBuild")
    labels: dict[str, str] | None = Field(None, alias="Labels")
    stop_signal: str = Field("", alias="StopSignal")
    stop_timeout: Int64 | None = Field(None, alias="StopTimeout")
    shell: StrSlice | None = Field(None, alias="Shell")


_HOST_FIELDS: Final = frozenset((field.alias or name).lower() for name, field in HostConfig.model_fields.items())
_TAKEN_ALONG: Final = ("Memory", "MemorySwap", "CpuShares", "CpusetCpus", "VolumeDriver")


class ContainerCreate(ContainerConfig):
    """`POST /containers/create`. Very old clients give HostConfig's fields beside those of Config."""

    host_config: HostConfig = Field(default_factory=HostConfig, alias="HostConfig")
    networking_config: NetworkingConfig = Field(default_factory=NetworkingConfig, alias="NetworkingConfig")

    @classmethod
    def arranged(cls, given: dict[str, Any]) -> dict[str, Any]:
        """All fields of HostConfig where there is none; else the five that moby 26.1 takes along, where it lacks them
        (runconfig/config_unix.go). See the base.
        """
        beside = {key.lower(): value for key, value in given.items() if value and key.lower() in _HOST_FIELDS}
        place = next((key for key in given if key.lower() == "hostconfig"), "HostConfig")
        host = given.get(place)
        if host is None:
            if not beside:
                return given
            host = beside
        elif isinstance(host, dict):
            theirs = {key.lower() for key, value in host.items() if value}
            host = host | {
                name: beside[name.lower()]
                for name in _TAKEN_ALONG
                if name.lower() in beside and name.lower() not in theirs
            }
        else:
            return given
        cpuset = next((value for key, value in given.items() if key.lower() == "cpuset"), None)
        if cpuset and not any(value for key, value in host.items() if key.lower() == "cpusetcpus"):
            host = host | {"CpusetCpus": cpuset}
        return given | {place: host}

    def config(self) -> ContainerConfig:
        """The part that inspect shows as `Config`. Raises InvalidParameter when no field of it was given."""
        given = {name: getattr(self, name) for name in self.model_fields_set if name in ContainerConfig.model_fields}
        if not given:
            raise InvalidParameter(EMPTY_CONFIG)
        return ContainerConfig.model_construct(**given)


class ContainerUpdate(Resources):
    """`POST /containers/{id}/update`; only the fields in `model_fields_set` change."""

    restart_policy: RestartPolicy | None = Field(None, alias="RestartPolicy")


class ExecCreate(GoModel):
    """`POST /containers/{id}/exec`"""

    attach_stdin: bool = Field(False, alias="AttachStdin")
    attach_stdout: bool = Field(False, alias="AttachStdout")
    attach_stderr: bool = Field(False, alias="AttachStderr")
    console_size: list[Uint64] | None = Field(None, alias="ConsoleSize", max_length=2)
    detach: bool = Field(False, alias="Detach")
    detach_keys: str = Field("", alias="DetachKeys")
    tty: bool = Field(False, alias="Tty")
    env: list[str] | None = Field(None, alias="Env")
    cmd: list[str] | None = Field(None, alias="Cmd")
    privileged: bool = Field(False, alias="Privileged")
    user: str = Field("", alias="User")
    working_dir: str = Field("", alias="WorkingDir")


class ExecStart(GoModel):
    """`POST /exec/{id}/start`; `ConsoleSize` is [height, width]."""

    detach: bool = Field(False, alias="Detach")
    tty: bool = Field(False, alias="Tty")
    console_size: list[Uint64] | None = Field(None, alias="ConsoleSize", max_length=2)
