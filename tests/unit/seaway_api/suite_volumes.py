"""The parts of metadata and of a node that keep volumes, as far as the API asks them."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from seaway_bus.bus import Bus
from seaway_contracts import catalogue as cat
from seaway_contracts.containers import ContainerRecord
from seaway_contracts.docker_errors import no_such_volume
from seaway_contracts.errors import conflict
from seaway_contracts.volumes import (
    CreateVolume,
    ListVolumes,
    MeasureVolumes,
    RemoveVolume,
    VolumeList,
    VolumeRecord,
    VolumeRef,
    VolumeReply,
    VolumeSizes,
)

Handlers = Callable[[str, Callable[[Any], Awaitable[Any]]], Any]


@dataclass
class SuiteVolumes:
    """`records` are the containers; `sizes` are in bytes, by id."""

    records: dict[str, ContainerRecord]
    volumes: dict[str, VolumeRecord] = field(default_factory=dict)
    sizes: dict[str, int] = field(default_factory=dict)

    async def serve(self, bus: Bus, handler: Handlers) -> None:
        await bus.serve(cat.CREATE_VOLUME, handler("volume.create", self._create))
        await bus.serve(cat.GET_VOLUME, handler("volume.get", self._get))
        await bus.serve(cat.LIST_VOLUMES, handler("volume.list", self._list))
        await bus.serve(cat.REMOVE_VOLUME, handler("volume.remove", self._remove))
        await bus.serve(cat.MEASURE_VOLUMES, handler("volume.measure", self._measure), node="n1")

    def add(self, volume: VolumeRecord) -> VolumeRecord:
        self.volumes[volume.name] = volume
        return volume

    def _find(self, name: str) -> VolumeRecord:
        if name not in self.volumes:
            raise no_such_volume(name)
        return self.volumes[name]

    async def _create(self, request: CreateVolume) -> VolumeReply:
        asked = request.volume
        if asked.name not in self.volumes:
            self.add(asked.model_copy(update={"node": asked.node or "n1"}))
        return VolumeReply(volume=self.volumes[asked.name])

    async def _get(self, request: VolumeRef) -> VolumeReply:
        return VolumeReply(volume=self._find(request.name))

    async def _list(self, request: ListVolumes) -> VolumeList:
        """Two at a time, the last first."""
        start = int(request.after or 0)
        volumes = [*self.volumes.values()][::-1]
        following = str(start + 2) if start + 2 < len(volumes) else ""
        return VolumeList(volumes=tuple(volumes[start : start + 2]), next=following)

    async def _remove(self, request: RemoveVolume) -> VolumeReply:
        found = self._find(request.name)
        if request.id not in ("", found.id):
            raise no_such_volume(request.name)
        users = [one.id for one in self.records.values() if found.name in {each.source for each in one.spec.mounts}]
        if users:
            raise conflict(f"remove {found.name}: volume is in use - [{', '.join(users)}]")
        return VolumeReply(volume=self.volumes.pop(found.name))

    async def _measure(self, request: MeasureVolumes) -> VolumeSizes:
        return VolumeSizes(sizes={one: self.sizes[one] for one in request.ids if one in self.sizes})
