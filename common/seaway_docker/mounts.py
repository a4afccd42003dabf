"""What a container mounts: Binds, Mounts, Tmpfs and VolumesFrom of a create request (moby volume/mounts)."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from seaway_docker.errors import InvalidParameter
from seaway_docker.model_host import BindOptions, ImageOptions, Mount, TmpfsOptions, VolumeOptions
from seaway_docker.mount_checks import (
    BIND,
    IMAGE,
    PROPAGATIONS,
    TMPFS,
    VOLUME,
    check_mount,
    check_options_fit,
    check_target,
    normal_path,
)
from seaway_docker.names import check_volume_name

_READ_MODES = frozenset(("rw", "ro"))
_LABEL_MODES = frozenset(("z", "Z"))
_CONSISTENCY_MODES = frozenset(("default", "consistent", "cached", "delegated"))
_MODE_GROUPS = (_READ_MODES, _LABEL_MODES, PROPAGATIONS, frozenset(("nocopy",)), _CONSISTENCY_MODES)


@dataclass(frozen=True, slots=True)
class MountSpec:
    """One mount. `source` is a host path (bind), a volume's or an image's name, or empty (tmpfs, anonymous volume)."""

    kind: str
    target: str
    source: str = ""
    read_only: bool = False
    mode: str = ""
    """The third part of a Binds string, shown by inspect."""
    create_source: bool = False
    """A Binds string makes a missing host path, an entry of Mounts fails (unless CreateMountpoint)."""
    relabel: str = ""
    bind: BindOptions = field(default_factory=BindOptions)
    volume: VolumeOptions = field(default_factory=VolumeOptions)
    image: ImageOptions = field(default_factory=ImageOptions)
    tmpfs: TmpfsOptions = field(default_factory=TmpfsOptions)
    tmpfs_data: str = ""
    """Options of HostConfig.Tmpfs as written; see `tmpfs.tmpfs_options`."""
    listed: bool = True
    """Inspect lists it; it doesn't what came from HostConfig.Tmpfs."""

    @property
    def anonymous(self) -> bool:
        return self.kind == VOLUME and not self.source


def parse_bind(text: str) -> MountSpec:
    """`/host:/ctr:ro,z`, `volume:/ctr:nocopy` or `/ctr` (anonymous). Raises InvalidParameter."""
    source, target, mode = _split_bind(text)
    words = frozenset(mode.split(","))
    mount = _bind_mount(source, target, words)
    try:
        check_mount(mount)
    except InvalidParameter as error:
        raise InvalidParameter(f"invalid volume specification: '{text}': {error}") from error
    relabel = next(iter(words & _LABEL_MODES), "")
    return replace(_spec(mount), mode=mode, create_source=mount.type == BIND, relabel=relabel)


def parse_mount(mount: Mount) -> MountSpec:
    """Validate an entry of HostConfig.Mounts. Raises InvalidParameter with Docker's texts."""
    check_options_fit(mount)
    check_mount(mount)
    return _spec(mount)


def parse_tmpfs(path: str, options: str) -> MountSpec:
    """An entry of HostConfig.Tmpfs. Raises InvalidParameter."""
    check_target(path)
    return MountSpec(kind=TMPFS, target=normal_path(path), tmpfs_data=options, listed=False)


def parse_volumes_from(text: str) -> tuple[str, bool]:
    """`container[:ro|rw]` -> (container, read-only). Raises InvalidParameter."""
    if not text:
        raise InvalidParameter("volumes-from specification cannot be an empty string")
    container, _, mode = text.partition(":")
    if not container:
        raise InvalidParameter(f"malformed volumes-from specification: {text}")
    words = frozenset(mode.split(",")) if mode else frozenset()
    if not _valid_mode(mode) or not words <= _READ_MODES | _LABEL_MODES | {"nocopy"}:
        raise InvalidParameter(f"invalid mode: {mode}")
    return container, "ro" in words


def collect_mounts(
    binds: Iterable[str] = (),
    mounts: Iterable[Mount] = (),
    tmpfs: Mapping[str, str] | None = None,
) -> tuple[MountSpec, ...]:
    """All that a create request mounts, but for its Config.Volumes, which yield to the others.

    Raises InvalidParameter for a bad entry or a target that is used twice.
    """
    asked = [*(parse_bind(text) for text in binds), *(parse_mount(mount) for mount in mounts)]
    asked += [parse_tmpfs(path, options) for path, options in (tmpfs or {}).items()]
    specs: dict[str, MountSpec] = {}
    for spec in asked:
        if spec.target in specs:
            raise InvalidParameter(f"Duplicate mount point: {spec.target}")
        specs[spec.target] = spec
    return tuple(specs.values())


def _split_bind(text: str) -> tuple[str, str, str]:
    parts = text.split(":")
    mode = parts[2] if len(parts) == 3 else ""
    # `/ctr:ro` is refused: a volume without a source has no mode.
    if not parts[0] or len(parts) > 3 or (len(parts) == 2 and _valid_mode(parts[1])):
        raise InvalidParameter(f"invalid volume specification: '{text}'")
    if not _valid_mode(mode):
        raise InvalidParameter(f"invalid mode: {mode}")
    return ("", parts[0], "") if len(parts) == 1 else (parts[0], parts[1], mode)


def _bind_mount(source: str, target: str, words: frozenset[str]) -> Mount:
    propagation = next(iter(words & PROPAGATIONS), "")
    return Mount(
        type=BIND if source.startswith("/") else VOLUME,
        source=source,
        target=target,
        read_only="ro" in words,
        bind_options=BindOptions(propagation=propagation) if propagation else None,
        volume_options=VolumeOptions(no_copy=True) if "nocopy" in words else None,
    )


def _spec(mount: Mount) -> MountSpec:
    if mount.type == VOLUME and mount.source:
        check_volume_name(mount.source)
    return MountSpec(
        kind=mount.type,
        target=normal_path(mount.target),
        source=normal_path(mount.source) if mount.type == BIND else mount.source,
        read_only=mount.read_only or mount.type == IMAGE,
        create_source=mount.bind_options is not None and mount.bind_options.create_mountpoint,
        bind=mount.bind_options or BindOptions(),
        volume=mount.volume_options or VolumeOptions(),
        image=mount.image_options or ImageOptions(),
        tmpfs=mount.tmpfs_options or TmpfsOptions(),
    )


def _valid_mode(mode: str) -> bool:
    """Each word known, none of a group twice."""
    if not mode:
        return True
    words = mode.split(",")
    known = all(any(word in group for group in _MODE_GROUPS) for word in words)
    return known and all(sum(word in group for word in words) <= 1 for group in _MODE_GROUPS)
