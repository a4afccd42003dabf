"""Commands that change what a container does: start to remove."""

import signal as signals
import time

from seaway_agent.inventory.inventory import Inventory
from seaway_bus.bus import Bus, Command
from seaway_contracts import catalogue
from seaway_contracts.commands import (
    ContainerId,
    KillContainer,
    RemoveContainer,
    StatusReply,
    StopContainer,
)
from seaway_contracts.errors import bad_request
from seaway_docker.signals import parse_signal


class LifecycleCommands:
    """Each is put to the container's state machine, once."""

    def __init__(self, inventory: Inventory) -> None:
        self._inventory = inventory

    async def serve(self, bus: Bus) -> None:
        """Take the commands from the bus."""
        node = self._inventory.plumbing.node
        await bus.serve(catalogue.START, self._start, node=node)
        await bus.serve(catalogue.STOP, self._stop, node=node)
        await bus.serve(catalogue.RESTART, self._restart, node=node)
        await bus.serve(catalogue.KILL, self._kill, node=node)
        await bus.serve(catalogue.PAUSE, self._pause, node=node)
        await bus.serve(catalogue.UNPAUSE, self._unpause, node=node)
        await bus.serve(catalogue.REMOVE, self._remove, node=node)

    async def _start(self, asked: ContainerId, command: Command) -> StatusReply:
        self._inventory.check_room(command)
        return await self._inventory.once(asked.id, command, lambda machine, ask: machine.start(ask))

    async def _stop(self, asked: StopContainer, command: Command) -> StatusReply:
        signal = _signal(asked.signal)
        return await self._inventory.once(
            asked.id, command, lambda machine, ask: machine.stop(ask, asked.timeout_s, signal, time.time_ns())
        )

    async def _restart(self, asked: StopContainer, command: Command) -> StatusReply:
        signal = _signal(asked.signal)
        self._inventory.check_room(command)
        return await self._inventory.once(
            asked.id, command, lambda machine, ask: machine.restart(ask, asked.timeout_s, signal, time.time_ns())
        )

    async def _kill(self, asked: KillContainer, command: Command) -> StatusReply:
        signal = _signal(asked.signal) or signals.SIGKILL
        return await self._inventory.once(
            asked.id, command, lambda machine, ask: machine.kill(ask, signal, time.time_ns())
        )

    async def _pause(self, asked: ContainerId, command: Command) -> StatusReply:
        return await self._inventory.first(asked.id, command, lambda runner: runner.pause(command))

    async def _unpause(self, asked: ContainerId, command: Command) -> StatusReply:
        return await self._inventory.once(asked.id, command, lambda machine, ask: machine.unpause(ask, time.time_ns()))

    async def _remove(self, asked: RemoveContainer, command: Command) -> StatusReply:
        self._inventory.reject_create(asked.id)
        return await self._inventory.once(
            asked.id,
            command,
            lambda machine, ask: machine.remove(ask, asked.force, asked.volumes, time.time_ns()),
        )


def _signal(name: str) -> int | None:
    if not name:
        return None
    try:
        return parse_signal(name)
    except ValueError as error:
        raise bad_request(str(error)) from error
