"""Making a container on this node."""

import time
from collections.abc import Callable
from typing import Final

from seaway_agent.commands.blobs import BlobClient
from seaway_agent.commands.making import ContainerMaker
from seaway_agent.commands.spec_checks import SpecChecks
from seaway_agent.inventory.inventory import Inventory
from seaway_agent.kernel.attach_lock import AttachLock
from seaway_agent.node.checks import check_workdir
from seaway_agent.node.reservations import Reservations
from seaway_agent.rootfs.layers import LayerStore
from seaway_agent.state.journal import Journal
from seaway_bus.bus import Bus, Command
from seaway_contracts import catalogue
from seaway_contracts.commands import ContainerId, CreateContainer, CreateRejected, StatusReply
from seaway_contracts.containers import ContainerStatus
from seaway_contracts.errors import conflict
from seaway_kit import tracing

_REPEATED_S: Final = 20.0
"""After so long nobody repeats a command any more that an agent before this one was killed over."""


class CreateCommand:
    """`container.create`: the same id twice makes it once. `container.reject_create` rejects later creates."""

    def __init__(
        self,
        *,
        inventory: Inventory,
        checks: SpecChecks,
        reservations: Reservations,
        maker: ContainerMaker,
        layers: LayerStore,
        blobs: BlobClient,
        journal: Journal,
        attach_lock: AttachLock,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._inventory = inventory
        self._checks = checks
        self._reservations = reservations
        self._maker = maker
        self._layers = layers
        self._blobs = blobs
        self._journal = journal
        self._attach_lock = attach_lock
        self._now = now
        self._began = now()
        self._making: dict[str, str] = {}

    async def serve(self, bus: Bus) -> None:
        """Take the commands from the bus."""
        await bus.serve(catalogue.CREATE, self._create, node=self._inventory.node)
        await bus.serve(catalogue.REJECT_CREATE, self._reject_create, node=self._inventory.node)

    async def _reject_create(self, asked: ContainerId, command: Command) -> CreateRejected:
        wanted = asked.id in self._inventory.runners or asked.id in self._making
        if wanted or self._now() - self._began < _REPEATED_S:
            return CreateRejected()
        self._inventory.reject_create(asked.id)
        return CreateRejected(rejected=True)

    async def _create(self, asked: CreateContainer, command: Command) -> StatusReply:
        spec = asked.spec
        known = self._inventory.runners.get(spec.id)
        if known is not None:
            return StatusReply(status=known.status)
        if (done := self._inventory.answered(command)) is not None:  # made before, and removed since
            return StatusReply(status=done)
        if spec.id in self._making:
            raise conflict(f"container {spec.id[:12]} is being made; wait for the first command's answer")
        if asked.former is not None and self._journal.has_unstored(spec.id):
            raise conflict(f"container {spec.id[:12]} is not forgotten: events that tell of its end are on their way")
        self._inventory.check_room(command)
        self._making[spec.id] = command.id
        try:
            with self._reservations.taken(spec, again=asked.former is not None):
                status = await self._make(asked, command)
            return StatusReply(status=status, warnings=self._checks.warnings(spec))
        finally:
            del self._making[spec.id]

    async def _make(self, asked: CreateContainer, command: Command) -> ContainerStatus:
        self._checks.check(asked.spec)
        self._attach_lock.warm()  # as most are started at once
        spec = self._checks.completed(asked.spec)
        with self._layers.using(spec.image.layers):
            with tracing.span("ensure layers"):
                lowers = tuple(await self._layers.ensure(spec.image.layers, self._blobs.fetch))
            workdir = "" if check_workdir(spec.command.workdir, lowers) else spec.command.workdir
            with tracing.span("make container") as span:
                span.set("container.id", spec.id)
                return await self._maker.make(asked.model_copy(update={"spec": spec}), lowers, command, workdir=workdir)
