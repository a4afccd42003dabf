"""The events of a container that the machine records, and the order of their times. Pure."""

from collections.abc import Iterable
from typing import Final

from seaway_agent.core.instructions import Emit
from seaway_contracts.containers import ContainerSpec, ContainerStatus, Mount
from seaway_contracts.networks import network_id
from seaway_contracts.volumes import VolumeRecord

_COARSE_NS: Final = 1_000_000_000
JOINED: Final = "container"
"""The name of an endpoint that is another container's. A network of users may have it too, but with another id."""
JOINED_ID: Final = network_id(JOINED)
_DRIVER: Final = {"driver": "local"}


def killed(signal: int) -> Emit:
    """A signal was sent."""
    return Emit("kill", attributes={"signal": str(int(signal))})


def network_events(action: str, status: ContainerStatus) -> list[Emit]:
    """It joins or leaves each network in which it has an endpoint of its own, not one of another container's."""
    return [Emit(action, "network", network=e) for e in status.endpoints if e.network_id != JOINED_ID]


def volume_events(action: str, volumes: Iterable[VolumeRecord]) -> list[Emit]:
    """Volumes were made, or are gone."""
    return [
        Emit(action, "volume", _DRIVER, volume=one.name, volume_id=one.id, anonymous=one.anonymous) for one in volumes
    ]


def mount_events(spec: ContainerSpec) -> list[Emit]:
    """Its volumes are being mounted."""
    return [
        Emit("mount", "volume", {**_held_by(spec), **_mounted(mount)}, volume=mount.source)
        for mount in spec.mounts
        if mount.type == "volume"
    ]


def unmount_events(spec: ContainerSpec) -> list[Emit]:
    """It has let go of its volumes."""
    names = [mount.source for mount in spec.mounts if mount.type == "volume"]
    return [Emit("unmount", "volume", _held_by(spec), volume=name) for name in names]


def _held_by(spec: ContainerSpec) -> dict[str, str]:
    return {**_DRIVER, "container": spec.id}


def _mounted(mount: Mount) -> dict[str, str]:
    writable = "false" if mount.read_only else "true"
    return {"destination": mount.target, "read/write": writable, "propagation": mount.propagation}


def not_before(time_ns: int, earlier_ns: int, now_ns: int) -> int:
    """The time of something that came after `earlier_ns`.

    A file's time is coarse, and may lie a little before. Where it lies more than a second before, the clock was set
    meanwhile: then the present one counts, as the order of events is that of their numbers.
    """
    if time_ns >= earlier_ns:
        return time_ns
    return earlier_ns if earlier_ns - time_ns < _COARSE_NS else now_ns
