"""Answers Prometheus' scrapes: samples every running container of the node, in the event loop's thread."""

import asyncio
import logging
import time
from collections.abc import Collection, Iterable, Mapping
from typing import Final

from prometheus_client import Metric
from prometheus_client.registry import Collector

from seaway_agent.container.runner import ContainerRunner
from seaway_agent.core.phases import Phase
from seaway_agent.inventory.inventory import Inventory
from seaway_agent.metrics import host
from seaway_agent.metrics.container_families import HOST, OWN
from seaway_agent.metrics.exposition import label_name, labels_text, render
from seaway_agent.metrics.families import NodeReading, node_families
from seaway_agent.metrics.host import HostReader
from seaway_agent.metrics.layer_sizes import LayerSizes
from seaway_agent.metrics.node_reader import NodeReader
from seaway_agent.metrics.processes import open_file_limit, open_files
from seaway_agent.metrics.readings import Reading
from seaway_agent.metrics.sampler import BlockDevices, Run, Samplers
from seaway_agent.metrics.state_families import STATE
from seaway_agent.network.errors import NetworkError
from seaway_agent.network.networks import NodeNetworks
from seaway_agent.network.port import InterfaceCounters
from seaway_agent.runtime.container_cgroups import ContainerCgroups
from seaway_contracts.containers import ContainerSpec

log = logging.getLogger(__name__)
REFRESH_S: Final = 5.0
_HOST_LABELS: Final = labels_text(host.LABELS)
_LIVE: Final = frozenset({Phase.RUNNING, Phase.PAUSED})


class ContainerCollector(Collector):
    """The node's metrics, and as text its containers'; at most `limit` containers, first those that run.

    `labels`: the containers' labels that become labels of their metrics. `sizes`: of their writable layers. Network
    counters are those of the last `refresh`, at most five seconds old while `run` runs.
    """

    def __init__(
        self,
        inventory: Inventory,
        node: NodeReader,
        cgroups: ContainerCgroups,
        networks: NodeNetworks,
        sizes: LayerSizes,
        *,
        limit: int,
        labels: Collection[str] = (),
    ) -> None:
        self._inventory = inventory
        self._node = node
        self._cgroups = cgroups
        self._networks = networks
        self._sizes = sizes
        self._limit = limit
        self._labels = tuple(labels)
        self._samplers = Samplers(cgroups.host, details=True)
        self._host = HostReader(cgroups.host)
        self._devices = BlockDevices()
        self._counters: dict[Run, Mapping[str, InterfaceCounters]] = {}
        self._texts: dict[str, tuple[ContainerSpec, str]] = {}
        self._dropped = 0

    def describe(self) -> Iterable[Metric]:
        """The families without any samples of a node's."""
        return node_families(NodeReading(0, 0))

    def collect(self) -> Iterable[Metric]:
        """The node's families with their present samples."""
        return node_families(self._node.read(self._dropped))

    def text(self) -> str:
        """The containers' families with their present samples, in Prometheus' text format."""
        live = self._live()
        self._samplers.retain(live)
        others = (runner for runner in self._inventory.runners.values() if _run(runner) not in live)
        shown = [*live.values(), *others][: self._limit]
        self._dropped += len(self._inventory.runners) - len(shown)
        self._texts = {runner.spec.id: (runner.spec, self._labels_of(runner.spec)) for runner in shown}
        readings = []
        for runner in shown:
            run = _run(runner)
            if run in live and (reading := self._read(run, runner)) is not None:
                readings.append((reading, self._texts[run[0]][1]))
        known = [((runner.spec, runner.status), self._texts[runner.spec.id][1]) for runner in shown]
        of_host = [*self._read_host(), *readings]
        return "".join((*render(HOST, of_host), *render(OWN, readings), *render(STATE, known)))

    async def run(self) -> None:
        """Refresh every five seconds; never returns."""
        while True:
            await self.refresh()
            await asyncio.sleep(REFRESH_S)

    async def refresh(self) -> None:
        """Read the network's counters, and close the files of containers that have ended."""
        live = self._live()
        self._samplers.retain(live)
        self._sizes.retain(self._inventory.runners)
        await self._refresh_host()
        await self._node.refresh()
        try:
            found = await self._networks.counters()
        except (NetworkError, OSError) as error:
            log.warning("no network counters: %s", error)
        else:
            self._counters = {run: found[run[0]] for run in self._live() if run[0] in found}

    def close(self) -> None:
        """Close all containers' files."""
        self._samplers.close()
        self._host.close()

    def _live(self) -> dict[Run, ContainerRunner]:
        runners = self._inventory.runners.values()
        return {_run(runner): runner for runner in runners if runner.machine.phase in _LIVE}

    def _labels_of(self, spec: ContainerSpec) -> str:
        """The labels of all samples of a container, as text. A changed spec is another object."""
        held = self._texts.get(spec.id)
        if held is not None and held[0] is spec:
            return held[1]
        own = {f"container_label_{label_name(key)}": spec.labels.get(key, "") for key in self._labels}
        return labels_text({"id": self._cgroups.path(spec), "image": spec.image.ref, "name": spec.name, **own})

    async def _refresh_host(self) -> None:
        """In a thread: a file system of a broken disk may take long."""
        try:
            await asyncio.to_thread(self._host.refresh)
        except OSError as error:
            log.warning("the host's file systems can't be read: %s", error)

    def _read_host(self) -> list[tuple[Reading, str]]:
        try:
            return [(self._host.read(), _HOST_LABELS)]
        except OSError as error:
            log.debug("the host can't be sampled: %s", error)
            return []

    def _read(self, run: Run, runner: ContainerRunner) -> Reading | None:
        """One container; None, counted as dropped, where its files can't be opened (no descriptors are left)."""
        spec, status = runner.spec, runner.status
        try:
            sample = self._samplers.sample(run, self._cgroups.path(spec))
        except OSError as error:
            self._dropped += 1
            log.debug("container %s can't be sampled: %s", spec.id[:12], error)
            return None
        self._devices.learn(sample)
        return Reading(
            spec=spec,
            status=status,
            seen_ns=time.time_ns(),
            sample=sample,
            interfaces=self._counters.get(run, {}),
            devices=self._devices.names,
            open_files=open_files(sample.processes),
            open_file_limit=open_file_limit(status.pid) if status.pid else None,
            disks=self._sizes.of(spec.id),
        )


def _run(runner: ContainerRunner) -> Run:
    return runner.spec.id, runner.status.run
