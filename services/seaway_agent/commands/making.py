"""Makes a container on this node: its volumes, its writable layer, its runner; or leaves nothing."""

import asyncio
import os
import time
from pathlib import Path

from seaway_agent.archive.view import Stack, view_of_stopped
from seaway_agent.container.factory import RunnerFactory
from seaway_agent.container.runner import ContainerRunner
from seaway_agent.core.restart import RAN, starts_with_node
from seaway_agent.inventory.inventory import Inventory
from seaway_agent.kernel import paths
from seaway_agent.layout import Layout
from seaway_agent.rootfs.upper import UpperStore
from seaway_agent.volumes import binds
from seaway_agent.volumes.filler import VolumeFiller
from seaway_agent.volumes.volumes import Volumes, volume_mounts
from seaway_bus.bus import Command
from seaway_contracts.commands import CreateContainer
from seaway_contracts.containers import ContainerSpec, ContainerStatus
from seaway_contracts.errors import internal
from seaway_kit.failpoints import Failpoint, reach


class ContainerMaker:
    """Puts new containers into the inventory."""

    def __init__(
        self,
        inventory: Inventory,
        factory: RunnerFactory,
        uppers: UpperStore,
        volumes: Volumes,
        filler: VolumeFiller,
        layout: Layout,
    ) -> None:
        self._inventory = inventory
        self._factory = factory
        self._uppers = uppers
        self._volumes = volumes
        self._filler = filler
        self._layout = layout

    async def make(
        self, asked: CreateContainer, lowers: tuple[str, ...], command: Command, *, workdir: str = ""
    ) -> ContainerStatus:
        """A container's first status. `lowers` are its image's layers, topmost first. Raises SeawayError.

        `workdir`: the working directory, where the image may not have it.
        """
        spec = asked.spec
        binds.check_binds(spec)
        self._volumes.reserve(spec, asked.volumes)
        try:
            status = await self._made(asked, lowers, command, workdir)
        except Exception as error:  # cancelled only when the agent ends: its successor sweeps what was begun
            self._undo(spec)
            if isinstance(error, OSError):
                raise internal(f"container {spec.name} can't be made: {error}") from error
            raise
        self._volumes.commit(spec)
        return status

    async def _made(
        self, asked: CreateContainer, lowers: tuple[str, ...], command: Command, workdir: str
    ) -> ContainerStatus:
        spec = asked.spec
        reach(Failpoint.CREATE_VOLUMES)
        await self._volumes.sync(mount.source for mount in volume_mounts(spec))
        upper = self._uppers.acquire(spec.id)
        reach(Failpoint.CREATE_UPPER)
        layers = Stack(lowers, str(upper.upper), str(upper.work))
        await self._filler.fill(spec, layers)
        if workdir:
            await asyncio.to_thread(_make_workdir, workdir, layers, self._layout.scratch)
        self._inventory.check_wanted(spec.id)
        place = {"log_path": str(self._layout.log(spec.id)), "exec_ids": ()}
        begins = (asked.former or ContainerStatus()).model_copy(update=place)
        runner = self._factory.make(spec, begins, lowers)
        self._inventory.add(runner)
        return await self._record(runner, asked, command)

    def _undo(self, spec: ContainerSpec) -> None:
        self._inventory.runners.pop(spec.id, None)
        self._uppers.release(spec.id)
        reach(Failpoint.CREATE_UPPER_UNDONE)
        self._volumes.rollback(spec)
        reach(Failpoint.CREATE_VOLUMES_UNDONE)

    async def _record(self, runner: ContainerRunner, asked: CreateContainer, command: Command) -> ContainerStatus:
        former, networks, now_ns = asked.former, asked.networks, time.time_ns()
        if former is None:
            made = self._volumes.created_with(runner.spec)
            return await runner.submit(command, lambda waiter: runner.machine.create(waiter, now_ns, made, networks))
        status = await runner.submit(command, lambda waiter: runner.machine.restored(waiter, now_ns, networks))
        if starts_with_node(runner.spec.restart, former.state in RAN, former.manually_stopped):
            await runner.at_rest()
            runner.do(runner.machine.start_again())
        return status


def _make_workdir(workdir: str, layers: Stack, scratch: Path) -> None:
    """Make it in the writable layer, where copies into the new container find it. Raises SeawayError, OSError."""
    with view_of_stopped(layers, (), scratch, writable=True) as view:
        try:
            os.close(paths.mkdir_all_in_root(view.root, workdir))
        except NotADirectoryError as error:
            raise internal(f"Cannot mkdir: {workdir} is not a directory") from error
