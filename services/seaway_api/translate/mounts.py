"""A container's mounts as inspect and list show them (Docker API: MountPoint). Pure."""

from typing import Any

from seaway_contracts.containers import ContainerSpec, Mount


def mount_points(spec: ContainerSpec) -> list[dict[str, Any]]:
    """The `Mounts` of inspect. Tmpfs mounts of `--tmpfs` aren't there, as in Docker."""
    return [_point(mount) for mount in spec.mounts if mount.listed]


def _point(mount: Mount) -> dict[str, Any]:
    point: dict[str, Any] = {"Type": mount.type}
    if mount.type == "volume":
        point |= {"Name": mount.source, "Source": mount.host_path, "Destination": mount.target, "Driver": "local"}
    else:
        point |= {"Source": mount.source, "Destination": mount.target}
    return point | {
        "Mode": mount.shown_mode,
        "RW": not mount.read_only,
        "Propagation": (mount.propagation or "rprivate") if mount.type == "bind" else "",
    }
