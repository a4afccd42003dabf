"""Namespaces of another container (`--network container:X`, `--pid container:X`, `--ipc container:X`)."""

import socket
from functools import partial
from typing import Final

from seaway_agent.container.hook import Peers, RunRequest
from seaway_agent.kernel.clones import clone_in_namespace_of
from seaway_agent.runtime.contribution import SHARED_MEMORY, Attachment, Contribution
from seaway_contracts.containers import ContainerNetworking, ContainerSpec
from seaway_contracts.docker_errors import container_not_running, no_such_container
from seaway_contracts.errors import Code, SeawayError, conflict

_JOINED: Final = "container:"


class SharedNamespacesHook:
    """Joins them; with the ipc namespace goes the other's /dev/shm, which only its own mount namespace shows."""

    def __init__(self, peers: Peers) -> None:
        self._peers = peers

    def prepare(self, request: RunRequest, before: Contribution) -> Contribution:
        """See `Hook.prepare`. Raises SeawayError where the other container doesn't run."""
        spec, found = request.spec, {}
        if partner := spec.network.partner:
            found["network"] = network_path(self._peers, partner)
        if partner := partner_of(spec.namespaces.pid):
            found["pid"] = f"/proc/{_pid(self._peers, partner, 'PID')}/ns/pid"
        attachments: tuple[Attachment, ...] = ()
        if partner := partner_of(spec.namespaces.ipc):
            pid = _ipc_pid(self._peers, partner)
            found["ipc"] = f"/proc/{pid}/ns/ipc"
            attachments = (Attachment(SHARED_MEMORY, partial(clone_in_namespace_of, pid, "/dev/shm")),)
        return Contribution(namespaces=found, attachments=attachments)


def partner_of(mode: str) -> str:
    """The id of the container to join; empty for any other mode."""
    return mode.removeprefix(_JOINED) if mode.startswith(_JOINED) else ""


def needed(spec: ContainerSpec) -> set[str]:
    """The containers that have to run when this one is started: it joins their namespaces, or is linked to them."""
    joined = (spec.network.partner, partner_of(spec.namespaces.pid), partner_of(spec.namespaces.ipc))
    return {*filter(None, joined), *(link.container for link in spec.network.links)}


def hostname(spec: ContainerSpec) -> str:
    """The container's hostname: its own, the host's where it shares that, else its short id."""
    if spec.network.sandbox == "host" and not spec.network.hostname:
        return socket.gethostname()
    return spec.network.hostname or spec.id[:12]


def named(peers: Peers, spec: ContainerSpec) -> ContainerNetworking:
    """The network settings, with the names that go with the host's network or another container's."""
    network, peer = spec.network, peers(spec.network.partner)
    if peer is not None:
        theirs = peer.spec.network
        return network.model_copy(update={"hostname": theirs.hostname, "domainname": theirs.domainname})
    return network.model_copy(update={"hostname": hostname(spec)})


def network_pid(peers: Peers, partner: str) -> int:
    """The first process of a container whose network is shared. Raises SeawayError where that doesn't run."""
    peer = peers(partner)
    if peer is None:
        raise no_such_container(partner)
    if not peer.status.pid:
        raise conflict(f"cannot join network of a non running container: {partner}")
    return peer.status.pid


def network_path(peers: Peers, partner: str) -> str:
    """The network namespace of a running container. Raises SeawayError."""
    return f"/proc/{network_pid(peers, partner)}/ns/net"


def _ipc_pid(peers: Peers, partner: str) -> int:
    pid, peer = _pid(peers, partner, "IPC"), peers(partner)
    if peer is None or peer.spec.namespaces.ipc != "shareable":
        raise conflict(
            f"failed to join IPC namespace: container {partner}: non-shareable IPC "
            "(hint: use IpcMode:shareable for the donor container)"
        )
    return pid


def _pid(peers: Peers, partner: str, kind: str) -> int:
    peer = peers(partner)
    if peer is not None and peer.status.pid:
        return peer.status.pid
    error = container_not_running(partner) if peer is not None else no_such_container(partner)
    code = Code.INTERNAL if kind == "PID" and peer is not None else error.code  # as dockerd has it
    raise SeawayError(code, f"failed to join {kind} namespace: {error.message}")
