"""Commands that look at a container: top, health, stats."""

import asyncio
import time

from seaway_agent.core.instructions import Ask
from seaway_agent.kernel import cgroups
from seaway_agent.kernel.hostinfo import HostInfo
from seaway_agent.metrics.stats import StatsSampling
from seaway_agent.node import Node
from seaway_agent.processes import list_processes
from seaway_bus.bus import Bus, Command
from seaway_contracts import catalogue
from seaway_contracts.base import Empty
from seaway_contracts.commands import ContainerId, HealthReply, ListProcesses, ProcessList
from seaway_contracts.containers import State
from seaway_contracts.errors import conflict
from seaway_contracts.stats import WatchStats
from seaway_docker.errors import container_not_running, container_restarting


class ObserveCommands:
    """None of them changes anything."""

    def __init__(self, node: Node, bus: Bus, info: HostInfo) -> None:
        self._node = node
        self._bus = bus
        self._stats = StatsSampling(node, info, bus.transport)

    async def serve(self) -> None:
        """Take the commands from the bus."""
        node = self._node.plumbing.node
        await self._bus.serve(catalogue.TOP, self._top, node=node)
        await self._bus.serve(catalogue.HEALTH, self._health, node=node)
        await self._bus.serve(catalogue.STATS, self._watch, node=node)

    async def _top(self, asked: ListProcesses, command: Command) -> ProcessList:
        cell, plumbing = self._node.cell(asked.id), self._node.plumbing
        if cell.status.state is State.RESTARTING:
            raise conflict(container_restarting(asked.id))
        if not cell.status.pid:
            raise conflict(container_not_running(asked.id))
        directory = plumbing.cgroups.directory("pids", plumbing.cgroups_path(cell.spec)) or ""
        pids = await asyncio.get_running_loop().run_in_executor(plumbing.workers, cgroups.procs, directory)
        work = asyncio.get_running_loop().run_in_executor(plumbing.workers, list_processes, asked.ps_args, set(pids))
        processes = await work
        cell.do(cell.machine.tell(Ask(command.id, command.actor), time.time_ns(), "top"))
        return processes

    async def _health(self, asked: ContainerId, command: Command) -> HealthReply:
        return HealthReply(health=self._node.cell(asked.id).status.health)

    async def _watch(self, asked: WatchStats, command: Command) -> Empty:
        await self._stats.open(asked.stream)
        return Empty()
