"""Whether a container could go on on another node. Pure."""

from collections.abc import Iterator

from seaway_contracts.containers import ContainerSpec, Mount
from seaway_contracts.networks import network_id


def ties(spec: ContainerSpec) -> tuple[str, ...]:
    """What keeps a container on its node, as clauses for a user; empty if another node that fits could take it."""
    found = [*_mounts(spec), *_networks(spec), *_host(spec)]
    if spec.restart.name == "no":
        found.insert(0, "it has no restart policy")
    return tuple(dict.fromkeys(found))


def _mounts(spec: ContainerSpec) -> Iterator[str]:
    for mount in spec.mounts:
        if mount.type == "bind":
            yield f"it mounts {mount.source} of the host"
        elif mount.type == "volume":
            yield f"{_volume(mount)} is on this node"


def _volume(mount: Mount) -> str:
    return f"its volume at {mount.target}" if mount.anonymous else f"volume {mount.source}"


def _networks(spec: ContainerSpec) -> Iterator[str]:
    """Networks of users are each on one node (ADR 0047); each node has the default ones."""
    network = spec.network
    if network.partner:
        yield f"it shares the network of container {network.partner[:12]}"
    elif network.sandbox:
        yield "it uses the network of the host"
    for endpoint in network.endpoints:
        if endpoint.network_id != network_id(endpoint.network):
            yield f"network {endpoint.network} is on this node"
    for link in network.links:
        yield f"it is linked to container {link.name.removeprefix('/')}"


def _host(spec: ContainerSpec) -> Iterator[str]:
    for device in spec.resources.devices:
        yield f"it uses {device.host_path} of the host"
    if any(request.ids for request in spec.resources.device_requests):
        yield "it uses devices of the host"
    for kind in ("pid", "ipc", "uts", "cgroup"):
        mode: str = getattr(spec.namespaces, kind)
        if mode == "host":
            yield f"it shares the {kind} namespace of the host"
        elif mode.startswith("container:"):
            yield f"it shares the {kind} namespace of another container"
