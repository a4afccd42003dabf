"""Making a container on this node."""

import time
from collections.abc import Callable
from typing import Any, Final

from seaway_agent import joining
from seaway_agent.archive.view import Stack
from seaway_agent.commands.blobs import BlobClient
from seaway_agent.container.runner import ContainerRunner
from seaway_agent.core.restart import RAN, starts_with_node
from seaway_agent.inventory.inventory import Inventory
from seaway_agent.node import checks as nodecheck
from seaway_agent.oci import capabilities, devices
from seaway_agent.volumes import binds
from seaway_bus.bus import Bus, Command
from seaway_contracts import catalogue
from seaway_contracts.commands import ContainerId, CreateContainer, Renounced, StatusReply
from seaway_contracts.containers import ContainerSpec, ContainerStatus
from seaway_contracts.errors import bad_request, conflict, internal
from seaway_kit.failpoints import Failpoint, reach

_REPEATED_S: Final = 20.0
"""After so long nobody repeats a command any more that an agent before this one was killed over."""


class CreateCommand:
    """`container.create`: the same id twice makes it once. `container.reject_create`: it is not to be made any more."""

    def __init__(self, inventory: Inventory, blobs: BlobClient, now: Callable[[], float] = time.monotonic) -> None:
        self._inventory = inventory
        self._blobs = blobs
        self._now = now
        self._began = now()
        self._making: dict[str, str] = {}

    async def serve(self, bus: Bus) -> None:
        """Take the commands from the bus."""
        await bus.serve(catalogue.CREATE, self._create, node=self._inventory.plumbing.node)
        await bus.serve(catalogue.RENOUNCE, self._renounce, node=self._inventory.plumbing.node)

    async def _renounce(self, asked: ContainerId, command: Command) -> Renounced:
        wanted = asked.id in self._inventory.runners or asked.id in self._making
        if wanted or self._now() - self._began < _REPEATED_S:
            return Renounced()
        self._inventory.reject_create(asked.id)
        return Renounced(renounced=True)

    async def _create(self, asked: CreateContainer, command: Command) -> StatusReply:
        spec = asked.spec
        known = self._inventory.runners.get(spec.id)
        if known is not None:
            return StatusReply(status=known.status)
        if (done := self._inventory.answered(command)) is not None:  # made before, and removed since
            return StatusReply(status=done)
        if spec.id in self._making:
            raise conflict(f"container {spec.id[:12]} is being made; wait for the first command's answer")
        if asked.former is not None and self._inventory.plumbing.journal.waits(spec.id):
            raise conflict(f"container {spec.id[:12]} is not forgotten: events that tell of its end are on their way")
        self._inventory.check_room(command)
        self._making[spec.id] = command.id
        try:
            warnings = nodecheck.warnings(self._inventory.plumbing, spec)
            return StatusReply(status=await self._make(spec, asked.former, command), warnings=warnings)
        finally:
            del self._making[spec.id]

    async def _make(self, spec: ContainerSpec, former: ContainerStatus | None, command: Command) -> ContainerStatus:
        node = self._inventory.plumbing
        self._check(spec)
        node.attach_lock.warm()  # as most are started at once
        # By name from now on: the default may be another after the agent's next start.
        spec = spec.model_copy(update={"runtime": node.runtime(spec.runtime)[0], **self._told(spec)})
        with self._inventory.layers.using(spec.image.layers):
            lowers = tuple(await self._inventory.layers.ensure(spec.image.layers, self._blobs.fetch))
            nodecheck.check_workdir(spec.command.workdir, lowers)
            return await self._make_on(lowers, spec, former, command)

    async def _make_on(
        self, lowers: tuple[str, ...], spec: ContainerSpec, former: ContainerStatus | None, command: Command
    ) -> ContainerStatus:
        node = self._inventory.plumbing
        binds.check_binds(spec)
        node.volumes.hold(spec)
        try:
            reach(Failpoint.CREATE_VOLUMES)
            upper = node.uppers.acquire(spec.id)
            reach(Failpoint.CREATE_UPPER)
            layers = Stack(lowers, str(upper.upper), str(upper.work))
            await node.volumes.fill(spec, layers, node.layout.scratch)
            self._inventory.check_wanted(spec.id)
            place = {"log_path": str(node.layout.log(spec.id)), "exec_ids": ()}
            begins = (former or ContainerStatus()).model_copy(update=place)
            runner = ContainerRunner(node, spec, begins, lowers, self._inventory.forget)
            self._inventory.add(runner)
            status = await self._record(runner, former, command)
        except Exception as error:  # cancelled only when the agent ends: its successor sweeps what was begun
            self._inventory.runners.pop(spec.id, None)
            node.uppers.release(spec.id)
            reach(Failpoint.CREATE_UPPER_UNDONE)
            node.volumes.give_back(spec)
            reach(Failpoint.CREATE_VOLUMES_UNDONE)
            if isinstance(error, OSError):
                raise internal(f"container {spec.name} can't be made: {error}") from error
            raise
        node.volumes.keep(spec)
        return status

    async def _record(
        self, runner: ContainerRunner, former: ContainerStatus | None, command: Command
    ) -> ContainerStatus:
        if former is None:
            made = self._inventory.plumbing.volumes.made_for(runner.spec)
            return await runner.ask(command, lambda ask: runner.machine.create(ask, time.time_ns(), made))
        status = await runner.ask(command, lambda ask: runner.machine.restored(ask, time.time_ns()))
        if starts_with_node(runner.spec.restart, former.state in RAN, former.manually_stopped):
            await runner.at_rest()
            runner.do(runner.machine.start_again())
        return status

    def _told(self, spec: ContainerSpec) -> dict[str, Any]:
        """What inspect shows and only the node knows: where volumes are, the cgroup namespace, the hostname."""
        node = self._inventory.plumbing
        spaces = spec.namespaces
        private = node.cgroup_v2 and not spec.security.privileged
        return {
            "mounts": tuple(
                mount.model_copy(update={"host_path": str(node.volumes.path(mount.source))})
                if mount.type == "volume"
                else mount
                for mount in spec.mounts
            ),
            "network": joining.named(node, spec),
            "namespaces": spaces.model_copy(update={"cgroup": spaces.cgroup or ("private" if private else "host")}),
        }

    def _check(self, spec: ContainerSpec) -> None:
        """Refuse what could never start, before anything is made."""
        node = self._inventory.plumbing
        node.runtime(spec.runtime)
        if spec.command.init and not node.init_path:
            raise bad_request("--init needs tini or catatonit on the node: install the package tini")
        try:
            capabilities.effective(spec.security.cap_add, spec.security.cap_drop, spec.security.privileged)
            devices.rules(spec, ())
        except ValueError as error:
            raise bad_request(str(error)) from error
        node.seccomp.section(spec)
        nodecheck.check(spec.resources, node.cgroups)
