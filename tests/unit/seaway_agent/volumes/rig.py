"""Volumes of a node, and containers that have them."""

from collections.abc import Container, Iterable
from pathlib import Path

from seaway_agent.volumes.volumes import Volumes
from seaway_contracts.containers import ContainerSpec, Mount
from seaway_contracts.volumes import VolumeRecord
from seaway_testing import builders

ANONYMOUS = "a" * 64


def spec_with(*mounts: Mount, number: int = 1) -> ContainerSpec:
    return builders.spec(number, mounts=mounts)


def volume(name: str, target: str = "/v", **more: object) -> Mount:
    return Mount.model_validate({"type": "volume", "source": name, "target": target, **more})


def record(name: str, identifier: str = "", **more: object) -> VolumeRecord:
    found = {"id": identifier or f"id-of-{name}", "name": name, "created_ns": 7, "node": "n1", **more}
    return VolumeRecord.model_validate(found)


def opened(root: Path, removed: Container[str] = ()) -> Volumes:
    """The volumes of a node that has removed those."""
    return Volumes(root, "n1", removed.__contains__)


def there(root: Path) -> list[str]:
    return sorted(entry.name for entry in root.iterdir() if not entry.name.startswith(".trash-"))


def names(records: Iterable[VolumeRecord]) -> list[str]:
    return [record.name for record in records]


def made(volumes: Volumes, *mounts: Mount, number: int = 1) -> ContainerSpec:
    """A container that has been made."""
    spec = spec_with(*mounts, number=number)
    volumes.reserve(spec, records(spec))
    volumes.commit(spec)
    return spec


def records(spec: ContainerSpec) -> list[VolumeRecord]:
    """Those of its volumes with a name."""
    named = {mount.source for mount in spec.mounts if mount.type == "volume" and not mount.anonymous}
    return [record(name, name, anonymous=True) if name == ANONYMOUS else record(name) for name in sorted(named)]


def reserved(volumes: Volumes, *records: VolumeRecord, number: int = 1) -> ContainerSpec:
    spec = spec_with(*(volume(one.name) for one in records), number=number)
    volumes.reserve(spec, records)
    return spec
