"""Volumes: records that metadata makes and changes; of anonymous ones their nodes report. Pure."""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Final

from seaway_contracts.catalogue import VOLUME_NAMES_BUCKET, VOLUMES_BUCKET
from seaway_contracts.containers import ContainerRecord, ContainerSpec, Mount
from seaway_contracts.docker_errors import no_such_volume, no_such_volume_driver
from seaway_contracts.errors import Code, SeawayError, bad_request, conflict
from seaway_contracts.ids import is_volume_id
from seaway_contracts.volumes import VolumeRecord
from seaway_docker.errors import InvalidParameter
from seaway_docker.names import check_volume_name
from seaway_metadata.store.index import Index
from seaway_metadata.store.kind import Claim, ClaimHolder, ClaimSpace, Kind

_MOST_BYTES: Final = 56 << 10
"""As for the labels of a container, so that many records fit in a message."""
_MOST_NUMBER: Final = 1 << 63
_MOST_VERSION: Final = 1 << 31


class VolumeNameHolder(ClaimHolder):
    """The volume that has a name."""


def _taken(name: str, holder: str) -> SeawayError:
    return conflict(f"another volume is called {name}")


VOLUME_NAMES: Final = ClaimSpace(VOLUME_NAMES_BUCKET, VolumeNameHolder, _taken, lambda name, key: is_volume_id(key))


class Volumes(Kind[VolumeRecord]):
    """A volume's key is its id. It claims its name, unless that is its id as well, or was freed for its removal."""

    noun = "volume"
    bucket = VOLUMES_BUCKET
    model = VolumeRecord
    claim_spaces = (VOLUME_NAMES,)
    unstored_is_gone = False  # a node is told to remove what is gone, with all its data
    claims_first = True
    page_head = b'{"volumes":[\n'

    def key(self, record: VolumeRecord) -> str:
        return record.id

    def claims(self, record: VolumeRecord) -> tuple[Claim, ...]:
        return (VOLUME_NAMES.claim(record.name),) if record.name and not record.anonymous else ()

    def place(self, record: VolumeRecord) -> int:
        return record.created_ns

    def missing(self, ref: str) -> SeawayError:
        return no_such_volume(ref)

    def same_request(self, known: VolumeRecord, record: VolumeRecord) -> bool:
        return known.name == record.name

    def newer(self, one: VolumeRecord, other: VolumeRecord) -> bool:
        return one.version > other.version

    def given_up(self, record: VolumeRecord) -> bool:
        return record.removed


VOLUMES: Final = Volumes()


def named(index: Index[VolumeRecord], name: str) -> VolumeRecord | None:
    """The volume of that name. Ids and prefixes don't find a volume, as in Docker."""
    bearers = index.bearers(VOLUME_NAMES.claim(name))
    record = index.get(bearers[0] if bearers else name)
    return record if record is not None and record.name == name else None


def contested(index: Index[VolumeRecord]) -> set[str]:
    """The names that several records have. Who holds the claim is the volume of that name."""
    counted = Counter(one.name for one in index if one.name and not one.anonymous)
    return {name for name, number in counted.items() if number > 1}


def changed(volume: VolumeRecord, **changes: object) -> VolumeRecord:
    """The record with these fields, and the next version."""
    return volume.model_copy(update={"version": volume.version + 1, **changes})


def used(volume: VolumeRecord, node: str, container: str) -> VolumeRecord:
    """The record after a container on that node is registered with the volume; itself where nothing changes.

    A volume of another node stays there, unless it was made, or bound to that node, for this very container.
    """
    if volume.removed:
        return volume
    if container in (volume.made_for, volume.bound_for):
        return volume if volume.node == node else changed(volume, node=node)
    if not volume.node:
        return changed(volume, node=node, made_for="", bound_for=container)
    return kept(volume) if volume.node == node else volume


def chosen(volume: VolumeRecord, node: str) -> VolumeRecord:
    """The record after a user has named it in a create, on that node (if any); itself where nothing changes.

    A volume of another node stays as it is.
    """
    if volume.removed or (node and volume.node not in ("", node)):
        return volume
    if not node:
        return volume if not volume.made_for else changed(volume, made_for="")
    return kept(volume) if volume.node else changed(volume, node=node, made_for="")


def kept(volume: VolumeRecord) -> VolumeRecord:
    """The record of a volume that stays where it is, whatever becomes of what made it; itself where nothing changes."""
    if volume.removed or not (volume.made_for or volume.bound_for):
        return volume
    return changed(volume, made_for="", bound_for="")


def freed(volume: VolumeRecord, container: str) -> VolumeRecord:
    """The record after nothing came of the container that chose its node; itself where others use it since."""
    if volume.removed or volume.bound_for != container:
        return volume
    return changed(volume, node="", bound_for="")


def anonymous_volume(
    name: str, node: str, created_ns: int, labels: Mapping[str, str], options: Mapping[str, str]
) -> VolumeRecord:
    """The record of a volume that a node has made for a container that named none."""
    return VolumeRecord(
        id=name,
        name=name,
        created_ns=created_ns,
        node=node,
        labels=dict(labels),
        options=dict(options),
        anonymous=True,
    )


# --- mounts


def named_mounts(spec: ContainerSpec) -> dict[str, Mount]:
    """The container's mounts of volumes with a name, by name; the first where there are several."""
    found: dict[str, Mount] = {}
    for mount in spec.mounts:
        if mount.type == "volume" and mount.source and not mount.anonymous:
            found.setdefault(mount.source, mount)
    return found


def volumes_of(index: Index[VolumeRecord], spec: ContainerSpec) -> list[VolumeRecord]:
    """The volumes that a container mounts by name, as far as there are records."""
    found = (named(index, name) for name in named_mounts(spec))
    return [volume for volume in found if volume is not None]


def mounts_volume(spec: ContainerSpec, name: str) -> bool:
    """Whether a container mounts the volume of that name, anonymous or not."""
    return any(mount.type == "volume" and mount.source == name for mount in spec.mounts)


def users(name: str, containers: Iterable[ContainerRecord]) -> list[str]:
    """The ids of the containers that mount the volume of that name."""
    return [record.id for record in containers if record.spec.mounts and mounts_volume(record.spec, name)]


# --- what a record may say


def check_volume(volume: VolumeRecord) -> None:
    """Raise SeawayError for an id, name, driver or time that no volume can have, and for a record that is too large."""
    if not is_volume_id(volume.id):
        raise bad_request(f"{volume.id!r} is no volume id: use 64 hex digits")
    try:
        check_volume_name(volume.name)
    except InvalidParameter as error:
        raise bad_request(str(error)) from None
    if volume.driver != "local":
        raise no_such_volume_driver(volume.name, volume.driver)
    if not 0 <= volume.created_ns < _MOST_NUMBER:
        raise bad_request(f"{volume.created_ns} is no time of creation in Unix ns")
    size = len(VOLUMES.json(volume, b""))
    if size > _MOST_BYTES:
        raise SeawayError(
            Code.TOO_LARGE,
            f"volume {volume.name} is described by {size} bytes and may be by {_MOST_BYTES} at most: "
            "make its labels or options smaller",
        )


def check_held(volume: VolumeRecord) -> None:
    """Raise SeawayError for what a node says that it has and that no volume can be."""
    check_volume(volume)
    if not 0 < volume.version < _MOST_VERSION:
        raise bad_request(f"{volume.version} is no version of a volume's record")
    if volume.anonymous and volume.id != volume.name:
        raise bad_request("the id of an anonymous volume is its name")
