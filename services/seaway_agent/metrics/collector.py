"""Answers Prometheus' scrapes: samples every running container of the node, in the event loop's thread."""

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Final

from prometheus_client import Metric
from prometheus_client.registry import Collector

from seaway_agent.cell import Cell
from seaway_agent.core.steps import Phase
from seaway_agent.kernel.hostinfo import HostInfo
from seaway_agent.metrics.families import NodeReading, Reading, container_families, node_families
from seaway_agent.metrics.sampler import BlockDevices, Run, Samplers
from seaway_agent.network.errors import NetworkError
from seaway_agent.network.names import IFNAME
from seaway_agent.network.rtnl import InterfaceCounters
from seaway_agent.node import Node

log = logging.getLogger(__name__)
REFRESH_S: Final = 5.0
_LIVE: Final = frozenset({Phase.RUNNING, Phase.PAUSED})
_MODES: Final = ("bridge", "none")


class ContainerCollector(Collector):
    """The node's containers as metrics; at most `limit` of them, the longest known first.

    Network counters are those of the last `refresh`, at most five seconds old while `run` runs.
    """

    def __init__(self, node: Node, info: HostInfo, limit: int) -> None:
        self._node = node
        self._info = info
        self._limit = limit
        self._samplers = Samplers(node.plumbing.cgroups)
        self._devices = BlockDevices()
        self._counters: Mapping[str, InterfaceCounters] = {}
        self._dropped = 0

    def describe(self) -> Iterable[Metric]:
        """The names, without looking at any container."""
        yield from container_families(())
        yield from node_families(NodeReading(0, 0, {}, {}, 0))

    def collect(self) -> Iterable[Metric]:
        """Everything, as of now."""
        live = self._live()
        self._samplers.retain(live)
        shown = list(live.items())[: self._limit]
        self._dropped += len(live) - len(shown)
        readings = [reading for run, cell in shown if (reading := self._read(run, cell)) is not None]
        yield from container_families(readings)
        yield from node_families(self._read_node())

    async def run(self) -> None:
        """For ever: keep the network's counters fresh, and let go of containers that have ended."""
        while True:
            await self.refresh()
            await asyncio.sleep(REFRESH_S)

    async def refresh(self) -> None:
        """Do so once."""
        self._samplers.retain(self._live())
        try:
            self._counters = await self._node.plumbing.network.counters()
        except (NetworkError, OSError) as error:
            log.warning("no network counters: %s", error)

    def close(self) -> None:
        """Let go of all containers' files."""
        self._samplers.close()

    def _live(self) -> dict[Run, Cell]:
        cells = self._node.cells.values()
        return {(cell.spec.id, cell.status.run): cell for cell in cells if cell.machine.phase in _LIVE}

    def _read(self, run: Run, cell: Cell) -> Reading | None:
        """One container; None, counted as dropped, where its files can't be had (no descriptors are left)."""
        spec, path, veth = cell.spec, self._node.plumbing.cgroups_path(cell.spec), cell.host_veth
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
            started_ns=cell.status.started_ns,
            seen_ns=time.time_ns(),
            resources=spec.resources,
            sample=sample,
            interface=IFNAME if veth else "",
            counters=self._counters.get(veth),
            devices=self._devices.names,
        )

    def _read_node(self) -> NodeReading:
        node, info = self._node, self._info
        states = Counter(cell.status.state for cell in node.cells.values())
        ready = {mode: node.plumbing.network.ready(mode) for mode in _MODES}
        return NodeReading(info.cpus, info.memory_total, states, ready, self._dropped)
