"""Volumes: records, requests, events."""

from typing import Final

from pydantic import Field, field_validator

from seaway_contracts.base import Payload
from seaway_contracts.masking import masked

ANONYMOUS_LABEL: Final = "com.docker.volume.anonymous"
"""Docker's label of volumes that got a random name: prune removes those alone unless it is asked for all."""


class VolumeRecord(Payload):
    """A volume of the local driver: one thing in the cluster, on one node. `created_ns`: Unix ns.

    `id`: the name of an anonymous volume, else random. `node`: empty until it is used for the first time, unless its
    user chose one or there is only one. `options`: the driver's (`type`, `device`, `o`). `anonymous`: made for a
    container that named none. `made_for`: the id of the container whose registration made it; it goes with that
    registration, unless another container was registered with it since. Its own id while a create has not heard of its
    node yet. `bound_for`: the id of the container whose registration chose its node, by the same rule. `version` counts
    the record's changes. `removed`: it is to be removed from its node; nobody finds it any more.
    """

    id: str
    name: str
    created_ns: int
    node: str = ""
    driver: str = "local"
    labels: dict[str, str] = Field(default_factory=dict)
    options: dict[str, str] = Field(default_factory=dict)
    anonymous: bool = False
    made_for: str = ""
    bound_for: str = ""
    version: int = 1
    removed: bool = False


# --- metadata


class CreateVolume(Payload):
    """Make this volume; with the name of one that is there that one is returned, as in Docker.

    `node` in the record: the one on which it is to be; empty for the only one, or the one of its first container.
    """

    volume: VolumeRecord


class VolumeReply(Payload):
    """A volume."""

    volume: VolumeRecord


class VolumeRef(Payload):
    """A volume by its name.

    `basis`: the ids of volumes that the asker knows to be there (1), or to be removed (`records.GONE`). `containers`:
    the status numbers that the asker knows, by container; the reply must not be older.
    """

    name: str
    basis: dict[str, int] = Field(default_factory=dict)
    containers: dict[str, int] = Field(default_factory=dict)


class ListVolumes(Payload):
    """Page through the volumes: pass the `next` of the page before. `basis` and `containers` as in VolumeRef."""

    after: str = ""
    basis: dict[str, int] = Field(default_factory=dict)
    containers: dict[str, int] = Field(default_factory=dict)


class VolumeList(Payload):
    """Volumes, newest first; `next` continues the listing unless it is empty."""

    volumes: tuple[VolumeRecord, ...] = ()
    next: str = ""


class RemoveVolume(Payload):
    """Remove a volume that no container has. `force`: also where its node is down; that removes it when it is back.

    `id`: only if it is this volume that has the name, where one is given. `basis` and `containers` as in VolumeRef.
    """

    name: str
    id: str = ""
    force: bool = False
    basis: dict[str, int] = Field(default_factory=dict)
    containers: dict[str, int] = Field(default_factory=dict)


# --- agent


class MakeHeldVolume(Payload):
    """Make a volume on this node; the same id twice makes it once."""

    volume: VolumeRecord


class RemoveHeldVolume(Payload):
    """Remove a volume from this node, by id; its name is for errors. Later creates with that id are refused."""

    id: str
    name: str


class ListHeldVolumes(Payload):
    """Page through a node's volumes: pass the `next` of the page before. `ids`: only these, if there are any."""

    after: str = ""
    ids: tuple[str, ...] = ()


class VolumeInventory(Payload):
    """Volumes that a node has. `epoch` as in its beats; `next` continues unless it is empty."""

    node: str
    epoch: str
    volumes: tuple[VolumeRecord, ...] = ()
    next: str = ""


class MeasureVolumes(Payload):
    """How much space do these volumes take up, by id?"""

    ids: tuple[str, ...]


class VolumeSizes(Payload):
    """Bytes by volume id; -1 for one that can't be measured, such as one that is a mount of its own."""

    sizes: dict[str, int] = Field(default_factory=dict)


# --- events


class _VolumeEvent(Payload):
    """`id`: the record's. `anonymous`: as in VolumeRecord. `labels`: those of an anonymous one that was made."""

    name: str
    id: str = ""
    anonymous: bool = False
    labels: dict[str, str] = Field(default_factory=dict)
    attributes: dict[str, str] = Field(default_factory=dict)


class PublicVolumeEvent(_VolumeEvent):
    """The published part of a volume event: name, and Docker's actor attributes (`driver`; of `mount` also its own).

    The values of labels that are secret by their keys are masked.
    """

    @field_validator("labels")
    @classmethod
    def _without_secrets(cls, value: dict[str, str]) -> dict[str, str]:
        return masked(value)


class VolumeEvent(_VolumeEvent):
    """A volume event. `options`: those of an anonymous one that was made; there may be a password among them."""

    options: dict[str, str] = Field(default_factory=dict)
