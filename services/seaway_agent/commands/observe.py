"""Commands that look at a container: top, health, stats."""

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from seaway_agent.commands.processes import list_processes
from seaway_agent.core.instructions import Waiter
from seaway_agent.inventory.inventory import Inventory
from seaway_agent.kernel import cgroups
from seaway_agent.layout import Layout
from seaway_agent.metrics.stats import StatsSampling
from seaway_agent.runtime import gvisor
from seaway_agent.runtime.container_cgroups import ContainerCgroups
from seaway_agent.runtime.runtimes import RUNSC, Runtimes
from seaway_bus.bus import Bus, Command
from seaway_contracts import catalogue
from seaway_contracts.base import Empty
from seaway_contracts.commands import ContainerId, HealthReply, ListProcesses, ProcessList
from seaway_contracts.containers import State
from seaway_contracts.docker_errors import container_not_running, container_restarting
from seaway_contracts.stats import WatchStats

_AT_ONCE: Final = 4


class ObserveCommands:
    """None of them changes anything."""

    def __init__(
        self,
        inventory: Inventory,
        bus: Bus,
        stats: StatsSampling,
        layout: Layout,
        runtimes: Runtimes,
        container_cgroups: ContainerCgroups,
    ) -> None:
        self._inventory = inventory
        self._bus = bus
        self._stats = stats
        self._layout = layout
        self._runtimes = runtimes
        self._cgroups = container_cgroups
        self._threads = ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="ps")

    async def serve(self) -> None:
        """Take the commands from the bus."""
        node = self._inventory.node
        await self._bus.serve(catalogue.TOP, self._top, node=node)
        await self._bus.serve(catalogue.HEALTH, self._health, node=node)
        await self._bus.serve(catalogue.STATS, self._watch, node=node)

    def close(self) -> None:
        """Take no new work."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def _top(self, asked: ListProcesses, command: Command) -> ProcessList:
        runner = self._inventory.runner(asked.id)
        if runner.status.state is State.RESTARTING:
            raise container_restarting(asked.id)
        if not runner.status.pid:
            raise container_not_running(asked.id)
        directory = self._cgroups.host.directory("pids", self._cgroups.path(runner.spec)) or ""
        name, program = self._runtimes.find(runner.spec.runtime)

        def look() -> ProcessList:
            if name == RUNSC:
                state = self._layout.state_root(name, asked.id)
                return gvisor.list_processes(program, state, asked.id, asked.ps_args)
            return list_processes(asked.ps_args, set(cgroups.procs(directory)))

        processes = await asyncio.get_running_loop().run_in_executor(self._threads, look)
        runner.do(runner.machine.note(Waiter(command.id, command.actor), time.time_ns(), "top"))
        return processes

    async def _health(self, asked: ContainerId, command: Command) -> HealthReply:
        return HealthReply(health=self._inventory.runner(asked.id).status.health)

    async def _watch(self, asked: WatchStats, command: Command) -> Empty:
        await self._stats.open(asked.stream)
        return Empty()
