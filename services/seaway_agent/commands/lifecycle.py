"""Commands that change a container's state, from start to remove, or its spec: rename, update."""

import signal as signals
import time

from seaway_agent.container.runner import ContainerRunner
from seaway_agent.inventory.inventory import Inventory
from seaway_agent.kernel import cgroups
from seaway_agent.kernel.cgroup_text import CgroupLayout
from seaway_agent.node import checks
from seaway_agent.node.config import ReceivedConfig
from seaway_agent.node.reservations import Reservations
from seaway_bus.bus import Bus, Command
from seaway_contracts import catalogue
from seaway_contracts.commands import (
    ContainerId,
    KillContainer,
    RemoveContainer,
    RenameContainer,
    StatusReply,
    StopContainer,
    UpdateContainer,
)
from seaway_contracts.containers import ContainerStatus
from seaway_contracts.errors import bad_request
from seaway_docker.signals import parse_signal


class LifecycleCommands:
    """Gives each command once to the container's state machine."""

    def __init__(self, inventory: Inventory, config: ReceivedConfig) -> None:
        self._inventory = inventory
        self._config = config

    async def serve(self, bus: Bus) -> None:
        """Take the commands from the bus."""
        node = self._inventory.node
        await bus.serve(catalogue.START, self._start, node=node)
        await bus.serve(catalogue.STOP, self._stop, node=node)
        await bus.serve(catalogue.RESTART, self._restart, node=node)
        await bus.serve(catalogue.KILL, self._kill, node=node)
        await bus.serve(catalogue.PAUSE, self._pause, node=node)
        await bus.serve(catalogue.UNPAUSE, self._unpause, node=node)
        await bus.serve(catalogue.REMOVE, self._remove, node=node)

    async def _start(self, asked: ContainerId, command: Command) -> StatusReply:
        self._inventory.check_room(command)
        runner = self._inventory.runners.get(asked.id)
        if runner is not None and not runner.status.run:
            self._config.check_starts_new()
        return await self._inventory.once(asked.id, command, lambda machine, waiter: machine.start(waiter))

    async def _stop(self, asked: StopContainer, command: Command) -> StatusReply:
        signal = _signal(asked.signal)
        return await self._inventory.once(
            asked.id, command, lambda machine, waiter: machine.stop(waiter, asked.timeout_s, signal, time.time_ns())
        )

    async def _restart(self, asked: StopContainer, command: Command) -> StatusReply:
        signal = _signal(asked.signal)
        self._inventory.check_room(command)
        return await self._inventory.once(
            asked.id, command, lambda machine, waiter: machine.restart(waiter, asked.timeout_s, signal, time.time_ns())
        )

    async def _kill(self, asked: KillContainer, command: Command) -> StatusReply:
        signal = _signal(asked.signal) or signals.SIGKILL
        return await self._inventory.once(
            asked.id, command, lambda machine, waiter: machine.kill(waiter, signal, time.time_ns())
        )

    async def _pause(self, asked: ContainerId, command: Command) -> StatusReply:
        return await self._inventory.first(asked.id, command, lambda runner: runner.pause(command))

    async def _unpause(self, asked: ContainerId, command: Command) -> StatusReply:
        return await self._inventory.once(
            asked.id, command, lambda machine, waiter: machine.unpause(waiter, time.time_ns())
        )

    async def _remove(self, asked: RemoveContainer, command: Command) -> StatusReply:
        self._inventory.reject_create(asked.id)
        return await self._inventory.once(
            asked.id,
            command,
            lambda machine, waiter: machine.remove(waiter, asked.force, asked.volumes, time.time_ns()),
        )


def _signal(name: str) -> int | None:
    if not name:
        return None
    try:
        return parse_signal(name)
    except ValueError as error:
        raise bad_request(str(error)) from error


class UpdateCommands:
    """Stores the new spec with its event, in one transaction; a repeat of the command changes nothing.

    `host`: how its cgroup hierarchies are mounted.
    """

    def __init__(self, inventory: Inventory, host: CgroupLayout, reservations: Reservations) -> None:
        self._inventory = inventory
        self._host = host
        self._reservations = reservations

    async def serve(self, bus: Bus) -> None:
        """Take the commands from the bus."""
        node = self._inventory.node
        await bus.serve(catalogue.RENAME_HELD, self._rename, node=node)
        await bus.serve(catalogue.UPDATE, self._update, node=node)

    async def _rename(self, asked: RenameContainer, command: Command) -> StatusReply:
        return await self._inventory.first(asked.id, command, lambda runner: runner.rename(command, asked.name))

    async def _update(self, asked: UpdateContainer, command: Command) -> StatusReply:
        limits = asked.limits
        checks.check(limits, self._host)
        warnings = checks.warnings(limits, self._host)
        if not cgroups.has_weights(self._host):
            limits = limits.model_copy(update={"blkio_weight": 0})

        async def work(runner: ContainerRunner) -> ContainerStatus:
            with self._reservations.raised(asked.id, limits):
                return await runner.update(command, limits, asked.restart)

        done = await self._inventory.first(asked.id, command, work)
        return done.model_copy(update={"warnings": warnings})
