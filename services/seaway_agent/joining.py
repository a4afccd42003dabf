"""Containers that join another's namespaces (`--network container:X`, `--pid container:X`, `--ipc container:X`)."""

from pathlib import Path
from typing import Final

from seaway_agent import endpoints
from seaway_agent.plumbing import Plumbing
from seaway_contracts.containers import ContainerNetworking, ContainerSpec
from seaway_contracts.errors import conflict
from seaway_docker.errors import container_not_running

_JOINED: Final = "container:"
_ETC: Final = ("hosts", "hostname", "resolv.conf")


def namespaces(node: Plumbing, spec: ContainerSpec) -> dict[str, str]:
    """OCI namespace type → path, for what is another container's. Raises SeawayError where that doesn't run."""
    found = {}
    if partner := spec.network.partner:
        found["network"] = f"/proc/{_network_pid(node, partner)}/ns/net"
    if partner := partner_of(spec.namespaces.pid):
        found["pid"] = f"/proc/{_pid(node, partner, 'PID')}/ns/pid"
    if pid := shared_memory_pid(node, spec):
        found["ipc"] = f"/proc/{pid}/ns/ipc"
    return found


def shared_memory_pid(node: Plumbing, spec: ContainerSpec) -> int:
    """The process whose ipc namespace and /dev/shm are shared; 0 for none. Raises SeawayError where that can't be."""
    partner = partner_of(spec.namespaces.ipc)
    if not partner:
        return 0
    pid, peer = _pid(node, partner, "IPC"), node.peer(partner)
    if peer is None or peer.spec.namespaces.ipc != "shareable":
        raise conflict(
            f"failed to join IPC namespace: container {partner}: non-shareable IPC "
            "(hint: use IpcMode:shareable for the donor container)"
        )
    return pid


def etc_files(node: Plumbing, spec: ContainerSpec) -> dict[str, str] | None:
    """The files over /etc, which go with the network; None where the container has a network of its own."""
    partner = spec.network.partner
    if not partner:
        return None
    _network_pid(node, partner)
    bundle = node.layout.bundle(partner)
    return {name: _text(bundle / name) for name in _ETC}


def named(node: Plumbing, spec: ContainerSpec) -> ContainerNetworking:
    """The network settings, with the names that go with the host's network or another container's."""
    network = spec.network
    peer = node.peer(network.partner)
    if peer is not None:
        theirs = peer.spec.network
        return network.model_copy(update={"hostname": theirs.hostname, "domainname": theirs.domainname})
    return network.model_copy(update={"hostname": endpoints.hostname(spec)})


def needed(spec: ContainerSpec) -> set[str]:
    """The containers that have to run when this one is started: it joins their namespaces, or is linked to them."""
    joined = (spec.network.partner, partner_of(spec.namespaces.pid), partner_of(spec.namespaces.ipc))
    return {*filter(None, joined), *(link.container for link in spec.network.links)}


def partner_of(mode: str) -> str:
    """The id of the container to join; empty for any other mode."""
    return mode.removeprefix(_JOINED) if mode.startswith(_JOINED) else ""


def _network_pid(node: Plumbing, partner: str) -> int:
    if pid := node.pid_of(partner):
        return pid
    raise conflict(f"cannot join network of a non running container: {partner}")


def _pid(node: Plumbing, partner: str, kind: str) -> int:
    if pid := node.pid_of(partner):
        return pid
    raise conflict(f"failed to join {kind} namespace: {container_not_running(partner)}")


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except FileNotFoundError:
        return ""
