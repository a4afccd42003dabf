"""What Docker's daemon says beside a created container, as far as the body alone tells (moby 26.1). Pure."""

from seaway_api.version import ApiVersion
from seaway_docker.model_container import ContainerCreate
from seaway_docker.model_host import Resources

_MAC_DEPRECATED_SINCE: ApiVersion = (1, 44)


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
    if host.network_mode == "host" and host.port_bindings:
        said.append("Published ports are discarded when using host network mode")
    if body.mac_address and version >= _MAC_DEPRECATED_SINCE:
        said.append(
            "The container-wide MacAddress field is now deprecated. It should be specified in EndpointsConfig instead."
        )
    return said
