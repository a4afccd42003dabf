"""What Docker's daemon warns of (moby 26.1): beside a created container, and of where the API listens. Pure."""

from collections.abc import Iterable
from typing import Final

from seaway_api.translate.version import ApiVersion
from seaway_docker.model_container import ContainerCreate
from seaway_docker.model_host import Resources
from seaway_docker.mount_checks import IMAGE
from seaway_kit.addresses import TCP

_MAC_DEPRECATED_SINCE: ApiVersion = (1, 44)
_ROOT: Final = """
         Access to the remote API is equivalent to root access on the host. Refer
         to the 'Docker daemon attack surface' section in the documentation for
         more information: https://docs.docker.com/go/attack-surface/"""


def limit_warnings(limits: Resources) -> list[str]:
    """What is said of limits, at create and update."""
    said = []
    if limits.oom_kill_disable and not limits.memory:
        said.append(
            "OOM killer is disabled for the container, but no memory limit is set, "
            "this can result in the system running out of resources."
        )
    if limits.cpu_percent:
        said.append("linux does not support CPU percent. Percent discarded.")
    return said


def create_warnings(body: ContainerCreate, version: ApiVersion) -> list[str]:
    """The `Warnings` of a create's answer."""
    host = body.host_config
    said = limit_warnings(host)
    said += ["Image mount is an experimental feature" for mount in host.mounts or () if mount.type == IMAGE]
    if host.network_mode == "host" and host.port_bindings:
        said.append("Published ports are discarded when using host network mode")
    if body.mac_address and version >= _MAC_DEPRECATED_SINCE:
        said.append(
            "The container-wide MacAddress field is now deprecated. It should be specified in EndpointsConfig instead."
        )
    return said


def endpoint_warnings(hosts: Iterable[str], *, tls: bool, verified: bool) -> list[str]:
    """One for each TCP endpoint that lets in whoever reaches it (moby daemon/info.go, fillAPIInfo).

    `verified`: clients need a certificate.
    """
    if verified:
        return []
    scheme, lacks = ("https", "TLS client verification") if tls else ("http", "encryption")
    return [
        f"[DEPRECATION NOTICE]: API is accessible on {scheme}://{host.removeprefix(TCP)} without {lacks}.{_ROOT}"
        for host in hosts
        if host.startswith(TCP)
    ]
