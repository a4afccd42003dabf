"""A container's mounts as inspect and list show them (Docker API: MountPoint). Pure."""

from typing import Any

from seaway_contracts.containers import ContainerSpec, Mount


def mount_points(spec: ContainerSpec) -> list[dict[str, Any]]:
    """The `Mounts` of inspect. Tmpfs mounts of `--tmpfs` aren't there, as in Docker."""
    modes = _bind_modes(spec)
    return [_point(mount, modes.get(mount.target, "")) for mount in spec.mounts if not is_tmpfs_option(mount)]


def is_tmpfs_option(mount: Mount) -> bool:
    """Whether it came from HostConfig.Tmpfs, or would have come out the same from there."""
    return mount.type == "tmpfs" and not (mount.size or mount.mode != 0o1777 or mount.read_only)


def _bind_modes(spec: ContainerSpec) -> dict[str, str]:
    """Target -> the third part of its Binds text."""
    parts = [text.split(":") for text in spec.binds]
    return {part[1].rstrip("/") or "/": part[2] for part in parts if len(part) == 3}


def _point(mount: Mount, mode: str) -> dict[str, Any]:
    point: dict[str, Any] = {"Type": mount.type}
    if mount.type == "volume":
        point |= {"Name": mount.source, "Source": "", "Destination": mount.target, "Driver": "local"}
    else:
        point |= {"Source": mount.source, "Destination": mount.target}
    return point | {
        "Mode": mode or ("z" if mount.type == "volume" and mount.source and not mount.anonymous else ""),
        "RW": not mount.read_only,
        "Propagation": mount.propagation if mount.type == "bind" else "",
    }


def asked_mounts(spec: ContainerSpec) -> list[dict[str, Any]]:
    """HostConfig.Mounts: what was asked for neither by Binds, nor by Tmpfs, nor by the image's volumes."""
    bound = {text.split(":")[1 if ":" in text else 0].rstrip("/") or "/" for text in spec.binds}
    return [
        _asked(mount)
        for mount in spec.mounts
        if mount.target not in bound and not is_tmpfs_option(mount) and not mount.anonymous
    ]


def _asked(mount: Mount) -> dict[str, Any]:
    asked: dict[str, Any] = {"Type": mount.type}
    if mount.source:
        asked["Source"] = mount.source
    asked["Target"] = mount.target
    if mount.read_only:
        asked["ReadOnly"] = True
    if mount.type == "bind" and (mount.propagation != "rprivate" or mount.create_source):
        options: dict[str, Any] = {"Propagation": mount.propagation} if mount.propagation != "rprivate" else {}
        asked["BindOptions"] = options | ({"CreateMountpoint": True} if mount.create_source else {})
    if mount.type == "volume" and mount.no_copy:
        asked["VolumeOptions"] = {"NoCopy": True}
    if mount.type == "tmpfs":
        size = {"SizeBytes": mount.size} if mount.size else {}
        asked["TmpfsOptions"] = size | ({"Mode": mount.mode} if mount.mode != 0o1777 else {})
    return asked


def tmpfs_map(spec: ContainerSpec) -> dict[str, str]:
    """HostConfig.Tmpfs."""
    return {mount.target: ",".join(mount.options) for mount in spec.mounts if is_tmpfs_option(mount)}
