"""Containers that join another's namespaces (`--network container:X`, `--pid container:X`)."""

from pathlib import Path
from typing import Final

from seaway_agent.plumbing import Plumbing
from seaway_contracts.containers import ContainerSpec
from seaway_contracts.errors import bad_request, conflict

_JOINED: Final = "container:"
_ETC: Final = ("hosts", "hostname", "resolv.conf")


def check(spec: ContainerSpec) -> None:
    """Refuse what can't be joined: another's shared memory can't be mounted from its mount namespace."""
    if spec.namespaces.ipc.startswith(_JOINED):
        raise bad_request("--ipc container:… is not supported yet: use --ipc host, or a shared volume")


def namespaces(node: Plumbing, spec: ContainerSpec) -> dict[str, str]:
    """OCI namespace type → path, for what is another container's. Raises SeawayError where that doesn't run."""
    modes = {"network": spec.network.mode, "pid": spec.namespaces.pid}
    files = {"network": "net", "pid": "pid"}
    return {
        kind: f"/proc/{_pid(node, partner, kind)}/ns/{files[kind]}"
        for kind, mode in modes.items()
        if (partner := partner_of(mode))
    }


def etc_files(node: Plumbing, spec: ContainerSpec) -> dict[str, str] | None:
    """The files over /etc, which go with the network; None where the container has a network of its own."""
    partner = partner_of(spec.network.mode)
    if not partner:
        return None
    _pid(node, partner, "network")
    bundle = node.layout.bundle(partner)
    return {name: _text(bundle / name) for name in _ETC}


def partner_of(mode: str) -> str:
    """The id of the container to join; empty for any other mode."""
    return mode.removeprefix(_JOINED) if mode.startswith(_JOINED) else ""


def _pid(node: Plumbing, partner: str, kind: str) -> int:
    pid = node.pid_of(partner)
    if not pid:
        raise conflict(f"cannot join {kind} namespace of a non running container: {partner}")
    return pid


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except FileNotFoundError:
        return ""
