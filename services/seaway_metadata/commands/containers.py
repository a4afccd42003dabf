"""Serves what is asked about containers: their registration, and the records of those that are there."""

import contextlib
from collections.abc import Callable, Sequence
from typing import Final

from seaway_bus.bus import Bus, Command, Encoded
from seaway_contracts import catalogue
from seaway_contracts.base import Empty
from seaway_contracts.containers import ContainerRecord, ContainerSpec, State
from seaway_contracts.errors import Code, SeawayError, unavailable
from seaway_contracts.records import (
    ContainerList,
    ContainerLocation,
    ForgetContainer,
    ListContainers,
    RegisterContainer,
    RegisteredContainer,
    ResolveContainer,
)
from seaway_contracts.volumes import VolumeRecord
from seaway_metadata.commands.endpoints import Endpoints, ResolvedEndpoint, with_endpoints, without_taken
from seaway_metadata.commands.mounts import Mounts
from seaway_metadata.commands.reachable import reachable
from seaway_metadata.kinds.container_inventories import ContainerTable
from seaway_metadata.kinds.container_registering import ContainerRegistering
from seaway_metadata.kinds.containers import NAMES, address_claims, runs, spec_json
from seaway_metadata.kinds.registrations import Registrations
from seaway_metadata.store.records import Stored

_REPLY_FRAME: Final = 4096
_PAGE: Final = 1 << 20
"""Bytes of a page at most: to make one of eight MiB, or to read it, would block everything else for half a second."""
_SPARE: Final = 256 << 10
"""What a record may become larger than at its registration: by its status, a longer name, other limits."""
_TRIES: Final = 64


class ContainerCommands:
    """Serves `container.register`, `forget`, `resolve`, `get` and `list`."""

    def __init__(
        self,
        bus: Bus,
        table: ContainerTable,
        registering: ContainerRegistering,
        registrations: Registrations,
        endpoints: Endpoints,
        mounts: Mounts,
        missing: Callable[[], None],
    ) -> None:
        """`missing` is called when the buckets are not there."""
        self._bus = bus
        self._table = table
        self._view = table.view
        self._registering = registering
        self._registrations = registrations
        self._endpoints = endpoints
        self._mounts = mounts
        self._missing = missing

    async def serve(self) -> None:
        """Begin to answer."""
        serve = self._bus.serve
        await serve(catalogue.REGISTER, self.register)
        await serve(catalogue.FORGET, self.forget)
        await serve(catalogue.RESOLVE, self.resolve)
        await serve(catalogue.GET_CONTAINER, self.get)
        await serve(catalogue.LIST_CONTAINERS, self.list_containers)

    async def register(self, request: RegisterContainer, command: Command) -> RegisteredContainer:
        """Reserve volumes, name, addresses and record; the same again does nothing."""
        await self._table.freshness.caught_up()
        self._check_size(request.spec)
        try:
            with self._reachable():
                found = await self._mounts.find(request.spec, request.node)
                await self._table.kept.keep(NAMES.claim(request.spec.name), request.spec.id)
                resolved = await self._endpoints.resolve(
                    request.spec.network.endpoints, request.node, of_new=request.spec.id
                )
                volumes = await self._mounts.take(found, request.spec, request.node)
                stored = await self._register_with(request, resolved, volumes)
                self._view.load(stored.record)
        except SeawayError as error:
            if error.retryable:
                self._registrations.add(request.spec.id, request.node)
            raise
        if self._view.index.get(request.spec.id) is None:
            self._table.behind.known(request.spec.id, stored.revision)
            self._registrations.add(request.spec.id, request.node)
        networks = tuple(one.network for one in resolved if one.network is not None)
        return RegisteredContainer(spec=stored.record.spec, networks=networks, volumes=volumes)

    async def _register_with(
        self,
        request: RegisterContainer,
        resolved: Sequence[ResolvedEndpoint],
        volumes: Sequence[VolumeRecord],
    ) -> Stored[ContainerRecord]:
        """If it is refused, and no earlier try has succeeded, its new volumes are removed, and what it bound freed."""
        try:
            return await self._register(request, resolved)
        except SeawayError as error:
            identifier = request.spec.id
            is_new = any(identifier in (volume.made_for, volume.bound_for) for volume in volumes)
            is_new = is_new or any(one.network is not None and one.network.bound_for == identifier for one in resolved)
            if is_new and not error.retryable and await self._table.records.stored(identifier) is None:
                await self._mounts.undo(request.spec)
                await self._endpoints.release(with_endpoints(request.spec, [one.spec for one in resolved]))
            raise

    async def _register(
        self, request: RegisterContainer, resolved: Sequence[ResolvedEndpoint]
    ) -> Stored[ContainerRecord]:
        """With other addresses where those that were free here have just been taken, or none for now."""
        refused: set[str] = set()
        for _ in range(_TRIES):
            endpoints = self._endpoints.choose(resolved, refused)
            spec = with_endpoints(request.spec, endpoints)
            try:
                for claim in address_claims(spec):
                    await self._table.kept.keep(claim, spec.id)
                return await self._registering.register(spec, request.node)
            except SeawayError as error:
                resolved = without_taken(error, resolved)
                refused.add(error.facts.get("claim", ""))
            finally:
                self._endpoints.settled(endpoints)
        raise unavailable("the addresses of the network are being taken at the same time; try again")

    def _check_size(self, spec: ContainerSpec) -> None:
        """Raise SeawayError for a container whose record would be larger than a message."""
        size, limit = len(spec_json(spec)), self._bus.transport.max_payload - _SPARE
        if size > limit:
            raise SeawayError(
                Code.TOO_LARGE,
                f"container {spec.name} is described by {size} bytes and may be by {limit} at most: "
                "make its labels, environment or command smaller",
            )

    async def forget(self, request: ForgetContainer, command: Command) -> Empty:
        """Take a registration back; gone already is no error."""
        await self._table.freshness.caught_up()
        made = self._view.index.get(request.id)
        if made is not None and request.unheard and made.status.state is State.CREATED:
            with self._reachable():
                await self._registering.discard(made)
            self._registrations.discard(made.id, made.node)
            return Empty()
        if made is not None:
            raise SeawayError(Code.CONFLICT, f"Container {request.id} was made; remove it on its node instead")
        with self._reachable():
            stored = await self._table.records.stored(request.id)
            node = await self._registering.forget(request.id, request.name, unheard=request.unheard)
            if stored is not None:
                await self._mounts.undo(stored.record.spec, unheard=request.unheard)
                if not request.unheard:  # else its node may have made it
                    await self._endpoints.release(stored.record.spec)
        self._registrations.done(request.id)
        self._view.unregister(request.id)
        if node:
            self._registrations.discard(request.id, node)
        return Empty()

    async def resolve(self, request: ResolveContainer, command: Command) -> ContainerLocation:
        """Which container, and where."""
        await self._table.freshness.current(request.basis)
        record = await self._find(request.ref)
        return ContainerLocation(id=record.id, node=record.node, name=record.spec.name)

    async def get(self, request: ResolveContainer, command: Command) -> ContainerRecord | Encoded[ContainerRecord]:
        """One record."""
        await self._table.freshness.current(request.basis)
        record = await self._find(request.ref)
        if self._view.index.get(record.id) is record:
            return Encoded(self._view.index.json(record.id))
        return record

    async def list_containers(self, request: ListContainers, command: Command) -> Encoded[ContainerList]:
        """A page of all records."""
        await self._table.freshness.current(request.basis)
        room = min(_PAGE, self._bus.transport.max_payload - _REPLY_FRAME)
        return Encoded(self._view.index.page(request.after, room, None if request.all else runs))

    async def find_current(self, ref: str) -> ContainerRecord:
        """The record of a container, with all that has come applied. Raises SeawayError."""
        await self._table.freshness.caught_up()
        return await self._find(ref)

    async def _find(self, ref: str) -> ContainerRecord:
        """From memory; a registration whose container isn't made yet stands only in the bucket."""
        try:
            return self._view.index.find(ref)
        except SeawayError as error:
            if error.code != Code.NOT_FOUND:
                raise
            with self._reachable():
                found = await self._table.records.find(ref)
            if found is None:
                raise
        # The bucket comes after the index: what is known here is not called so (any more), or is by now.
        return self._view.index.find(ref) if self._view.index.get(found.id) is not None else found

    def _reachable(self) -> contextlib.AbstractContextManager[None]:
        return reachable(self._missing)
