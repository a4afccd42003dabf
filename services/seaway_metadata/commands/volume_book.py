"""Finds volumes by name, as they are stored now, and makes the one that isn't there."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable
from itertools import chain
from typing import Final

from seaway_contracts.containers import ContainerRecord
from seaway_contracts.docker_errors import no_such_volume
from seaway_contracts.errors import Code, SeawayError, unavailable
from seaway_contracts.ids import is_volume_id
from seaway_contracts.volumes import VolumeRecord
from seaway_metadata.kinds.anonymous_volumes import AnonymousVolumes
from seaway_metadata.kinds.containers import ContainerView
from seaway_metadata.kinds.volumes import VOLUME_NAMES, contested, mounts_volume, named, named_mounts
from seaway_metadata.store.written import WrittenTable

log = logging.getLogger(__name__)
_TRIES: Final = 20
_PAUSE_S: Final = 0.1


class VolumeBook:
    """One copy's. All methods raise TransportError."""

    def __init__(
        self,
        table: WrittenTable[VolumeRecord],
        anonymous: AnonymousVolumes,
        containers: ContainerView,
        told: Callable[[], Awaitable[bool]],
    ) -> None:
        """`told` waits, for a moment at most, until lost records are made again of what nodes have: False where none
        are lost.
        """
        self._table = table
        self._anonymous = anonymous
        self._containers = containers
        self._told = told

    async def get(self, name: str) -> VolumeRecord:
        """The volume of that name, from memory if it is there. Raises SeawayError: NOT_FOUND."""
        found = named(self._table.index, name)
        if found is None or _is_unsettled(found) or self._is_contested(name):
            found = await self.stored(name)
        if found is None:
            raise no_such_volume(name)
        return found

    async def stored(self, name: str) -> VolumeRecord | None:
        """The volume of that name as it is stored now; None where there is none, or it is being removed."""
        if not VOLUME_NAMES.fits(name):
            return None
        claim = VOLUME_NAMES.claim(name)
        known = named(self._table.index, name) or self._mounted(name)
        if known is not None:
            await self._table.write_now(known.id)
            if known.anonymous and (found := await self._table.read(known.id)) is not None:
                return found
        holder = await self._table.records.claims.holder(claim)
        if known is None and holder is None and is_volume_id(name):
            return await self._named(name, name)
        if holder is not None and (found := await self._named(holder, name)) is not None:
            return found
        found = await self._named(known.id, name) if known is not None and known.id != holder else None
        if found is not None and not await self._table.records.claims.claim(claim, found.id):
            return None  # somebody else is making a volume of that name, and this one has no claim to it
        return found

    async def _named(self, key: str, name: str) -> VolumeRecord | None:
        found = await self._table.read(key)
        return found if found is not None and found.name == name else None

    def _is_contested(self, name: str) -> bool:
        return len(self._table.index.bearers(VOLUME_NAMES.claim(name))) > 1

    async def drop_rivals(self) -> None:
        """Remove records whose name is another record's: nobody got such a volume, so no node has it."""
        for name in contested(self._table.index):
            claim = VOLUME_NAMES.claim(name)
            holder = await self._table.records.claims.holder(claim)
            if holder is None or await self._named(holder, name) is None:
                continue
            for key in self._table.index.bearers(claim):
                if key != holder:
                    log.warning("the name %s is volume %.12s's: the record %.12s is removed", name, holder, key)
                    self._table.drop(key, for_good=False)

    async def read_bound(self, containers: Iterable[ContainerRecord]) -> None:
        """Read those volumes of these containers of which another copy may know more."""
        unsettled = {one.name for one in self._table.index if _is_unsettled(one)}
        if unsettled:
            mounted = (named_mounts(container.spec) for container in containers if container.spec.mounts)
            for name in unsettled.intersection(chain.from_iterable(mounted)):
                await self.stored(name)

    async def read_new(self) -> None:
        """Read those volumes that go with a container, or a create, of which nothing may have come by now."""
        await asyncio.gather(*(self._table.read(one.id) for one in self._table.index if one.made_for))

    def _mounted(self, name: str) -> VolumeRecord | None:
        """An anonymous volume that a container mounts, and of which this copy has not heard yet."""
        if not is_volume_id(name):
            return None
        for container in self._containers.index:
            if mounts_volume(container.spec, name):
                self._anonymous.take_mounted(container)
        return named(self._table.index, name)

    async def find_or_make(self, name: str, wanted: Callable[[], VolumeRecord]) -> VolumeRecord:
        """The volume of that name as it is stored; where there is none, the one that is `wanted`.

        Raises SeawayError: UNAVAILABLE where the name is changing hands.
        """
        found = await self.stored(name)
        if found is None and await self._told():
            found = await self.stored(name)
        if found is not None:
            return found
        record = wanted()
        for _ in range(_TRIES):
            try:
                return await self._table.register(record)
            except SeawayError as error:
                if error.code not in (Code.CONFLICT, Code.UNAVAILABLE):
                    raise
            await asyncio.sleep(_PAUSE_S)
            if (found := await self.stored(name)) is not None:
                return found
        raise unavailable(f"volume {name} is being made, or removed, by somebody else; try again")


def _is_unsettled(volume: VolumeRecord) -> bool:
    """Whether another copy may have bound it to a node, freed it, or taken it back by now: no event tells of these."""
    return bool(not volume.node or volume.made_for or volume.bound_for)
