"""Validation of one entry of HostConfig.Mounts with Docker's texts (moby volume/mounts, linux_parser.go)."""

import posixpath

from seaway_docker.errors import InvalidParameter
from seaway_docker.model_host import Mount

BIND, VOLUME, TMPFS = "bind", "volume", "tmpfs"
PROPAGATIONS = frozenset(["private", "rprivate", "shared", "rshared", "slave", "rslave"])
_OPTIONS_OF = {BIND: "BindOptions", VOLUME: "VolumeOptions", TMPFS: "TmpfsOptions"}

_OTHERS = {BIND: "VolumeOptions", VOLUME: "BindOptions", TMPFS: "BindOptions"}
"""The options of another type that moby's parser of mounts refuses; its router refuses the others since API 1.42."""


def check_options_fit(mount: Mount) -> None:
    """Options of another mount type are refused before anything else."""
    for field_name in _foreign_options(mount):
        raise InvalidParameter(f'{field_name} must not be specified on mount type "{mount.type}"')


def check_mount(mount: Mount) -> None:
    """Raise InvalidParameter for what is wrong with a mount, except for what only the node can see."""
    try:
        _check_fields(mount)
    except InvalidParameter as error:
        raise InvalidParameter(f'invalid mount config for type "{mount.type}": {error}') from error


def check_target(path: str) -> None:
    """A place in the container: absolute and not the root."""
    if normal_path(path) == "/":
        raise InvalidParameter("invalid specification: destination can't be '/'")
    _check_absolute(path)


def normal_path(path: str) -> str:
    """Without `.`, `..`, double and trailing slashes (POSIX lets two leading slashes stand, Go does not)."""
    normal = posixpath.normpath(path)
    return "/" + normal.lstrip("/") if normal.startswith("/") else normal


def _check_fields(mount: Mount) -> None:
    if mount.type not in _OPTIONS_OF:
        raise InvalidParameter("mount type unknown")
    if not mount.target:
        raise InvalidParameter("field Target must not be empty")
    check_target(mount.target)
    if (field_name := _OTHERS.get(mount.type, "")) in _foreign_options(mount):
        raise InvalidParameter(f"field {field_name} must not be specified")
    if mount.type == BIND:
        _check_bind(mount)
    elif mount.type == VOLUME:
        _check_volume(mount)
    elif mount.source:
        raise InvalidParameter("field Source must not be specified")


def _check_bind(mount: Mount) -> None:
    if not mount.source:
        raise InvalidParameter("field Source must not be empty")
    propagation = mount.bind_options.propagation if mount.bind_options else ""
    if propagation and propagation not in PROPAGATIONS:
        raise InvalidParameter(f"invalid propagation mode: {propagation}")
    _check_absolute(mount.source)


def _check_volume(mount: Mount) -> None:
    subpath = mount.volume_options.subpath if mount.volume_options else ""
    if not mount.source and subpath:
        raise InvalidParameter("must not set Subpath when using anonymous volumes")
    if not mount.source and mount.read_only:
        raise InvalidParameter("must not set ReadOnly mode when using anonymous volumes")
    normal = posixpath.normpath(subpath)
    if normal.startswith(("/", "../")) or normal == "..":
        raise InvalidParameter("subpath must be a relative path within the volume")


def _check_absolute(path: str) -> None:
    if "\0" in path:
        raise InvalidParameter("invalid mount path: it contains a NUL character")
    if not path.startswith("/"):
        raise InvalidParameter(f"invalid mount path: '{path}' mount path must be absolute")


def _foreign_options(mount: Mount) -> list[str]:
    given = {
        BIND: mount.bind_options is not None,
        VOLUME: mount.volume_options is not None,
        TMPFS: mount.tmpfs_options is not None,
    }
    return [_OPTIONS_OF[kind] for kind, present in given.items() if present and kind != mount.type]
