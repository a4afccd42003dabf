"""Answers Prometheus' scrapes: samples every running container of the node, in the event loop's thread."""

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Final

from prometheus_client import Metric
from prometheus_client.registry import Collector

from seaway_agent.container.runner import ContainerRunner
from seaway_agent.core.phases import Phase
from seaway_agent.inventory.inventory import Inventory
from seaway_agent.kernel.hostinfo import HostInfo
from seaway_agent.metrics.families import NodeReading, Reading, container_families, node_families
from seaway_agent.metrics.sampler import BlockDevices, Run, Samplers
from seaway_agent.network.errors import NetworkError
from seaway_agent.network.networks import NodeNetworks
from seaway_agent.network.port import InterfaceCounters
from seaway_agent.runtime.container_cgroups import ContainerCgroups

log = logging.getLogger(__name__)
REFRESH_S: Final = 5.0
_LIVE: Final = frozenset({Phase.RUNNING, Phase.PAUSED})
_MODES: Final = ("bridge", "none")


class ContainerCollector(Collector):
    """The node's containers as metrics; at most `limit` of them, the longest known first.

    Network counters are those of the last `refresh`, at most five seconds old while `run` runs.
    """

    def __init__(
        self, inventory: Inventory, info: HostInfo, cgroups: ContainerCgroups, networks: NodeNetworks, limit: int
    ) -> None:
        self._inventory = inventory
        self._info = info
        self._cgroups = cgroups
        self._networks = networks
        self._limit = limit
        self._samplers = Samplers(cgroups.host)
        self._devices = BlockDevices()
        self._counters: dict[Run, Mapping[str, InterfaceCounters]] = {}
        self._dropped = 0

    def describe(self) -> Iterable[Metric]:
        """The families without any container's samples."""
        yield from container_families(())
        yield from node_families(NodeReading(0, 0, {}, {}, 0))

    def collect(self) -> Iterable[Metric]:
        """All families with their present samples."""
        live = self._live()
        self._samplers.retain(live)
        shown = list(live.items())[: self._limit]
        self._dropped += len(live) - len(shown)
        readings = [reading for run, runner in shown if (reading := self._read(run, runner)) is not None]
        yield from container_families(readings)
        yield from node_families(self._read_node())

    async def run(self) -> None:
        """Refresh every five seconds; never returns."""
        while True:
            await self.refresh()
            await asyncio.sleep(REFRESH_S)

    async def refresh(self) -> None:
        """Read the network's counters, and close the files of containers that have ended."""
        self._samplers.retain(self._live())
        try:
            found = await self._networks.counters()
        except (NetworkError, OSError) as error:
            log.warning("no network counters: %s", error)
        else:
            self._counters = {run: found[run[0]] for run in self._live() if run[0] in found}

    def close(self) -> None:
        """Close all containers' files."""
        self._samplers.close()

    def _live(self) -> dict[Run, ContainerRunner]:
        runners = self._inventory.runners.values()
        return {(runner.spec.id, runner.status.run): runner for runner in runners if runner.machine.phase in _LIVE}

    def _read(self, run: Run, runner: ContainerRunner) -> Reading | None:
        """One container; None, counted as dropped, where its files can't be opened (no descriptors are left)."""
        spec, path = runner.spec, self._cgroups.path(runner.spec)
        try:
            sample = self._samplers.sample(run, path)
        except OSError as error:
            self._dropped += 1
            log.debug("container %s can't be sampled: %s", spec.id[:12], error)
            return None
        self._devices.learn(sample)
        return Reading(
            id=path,
            name=spec.name,
            image=spec.image.ref,
            started_ns=runner.status.started_ns,
            seen_ns=time.time_ns(),
            resources=spec.resources,
            sample=sample,
            interfaces=self._counters.get(run, {}),
            devices=self._devices.names,
        )

    def _read_node(self) -> NodeReading:
        info, runners = self._info, self._inventory.runners.values()
        states = Counter(runner.status.state for runner in runners)
        ready = {mode: self._networks.ready(mode) for mode in _MODES}
        return NodeReading(info.cpus, info.memory_total, states, ready, self._dropped)
