"""Samples for `docker stats`: once a second of all containers that are watched, shared by their watchers.

A watcher is a byte stream: its other end writes which containers it wants (`WatchedContainers`, a line each) and reads
`SampleBatch`es. A slow reader gets only the newest batch. Sampling ends with the last watcher.
"""

import asyncio
import logging
import time
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Final

import orjson
from pydantic import ValidationError

from seaway_agent.container.runner import ContainerRunner
from seaway_agent.core.phases import Phase
from seaway_agent.inventory.inventory import Inventory
from seaway_agent.kernel.hostinfo import HostInfo
from seaway_agent.metrics.sampler import Run, Samplers
from seaway_agent.metrics.samples import host_cpu_ns, idle_sample, sample_json
from seaway_agent.network.errors import NetworkError
from seaway_agent.network.port import InterfaceCounters, Networks
from seaway_agent.runtime.container_cgroups import ContainerCgroups
from seaway_bus.streams import ByteStream
from seaway_bus.transport import Transport
from seaway_contracts.errors import SeawayError
from seaway_contracts.stats import WatchedContainers
from seaway_kit.tasks import Tasks

log = logging.getLogger(__name__)
TICK_S: Final = 1.0
_LIVE: Final = frozenset({Phase.RUNNING, Phase.PAUSED})
_PROC_STAT: Final = Path("/proc/stat")
Counters = Mapping[str, Mapping[str, InterfaceCounters]]
"""By container and interface."""


class Watcher:
    """A stream, the containers that its reader wants, and the newest batch for it."""

    def __init__(self, stream: ByteStream) -> None:
        self.stream = stream
        self.wanted: set[str] = set()
        self._batch = b""
        self._wake = asyncio.Event()

    def offer(self, batch: bytes) -> None:
        """Take the newest batch, instead of one that is still unsent."""
        self._batch = batch
        self._wake.set()

    async def send(self) -> None:
        """Write what is offered. Raises SeawayError once the reader has left."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            batch, self._batch = self._batch, b""
            await self.stream.write(batch)


class StatsSampling:
    """All watchers of a node. Belongs to the event loop's thread."""

    def __init__(
        self,
        inventory: Inventory,
        info: HostInfo,
        transport: Transport,
        tasks: Tasks,
        cgroups: ContainerCgroups,
        networks: Networks,
    ) -> None:
        self._inventory = inventory
        self._info = info
        self._transport = transport
        self._tasks = tasks
        self._cgroups = cgroups
        self._networks = networks
        self._samplers = Samplers(cgroups.host)
        self._watchers: set[Watcher] = set()
        self._ticking = False

    async def open(self, stream_id: str) -> None:
        """Add a watcher, until its stream ends."""
        stream = await ByteStream(self._transport, stream_id, "serving", self._tasks).open()
        self._tasks.spawn(f"stats-{stream_id}", self._serve(Watcher(stream)))

    async def _serve(self, watcher: Watcher) -> None:
        sending = self._tasks.spawn(f"stats-out-{watcher.stream.id}", _until_gone(watcher))
        self._watchers.add(watcher)
        try:
            await self._obey(watcher)
        except SeawayError as error:
            log.debug("a watcher of stats has left: %s", error)
        finally:
            self._watchers.discard(watcher)
            sending.cancel()
            await watcher.stream.close()

    async def _obey(self, watcher: Watcher) -> None:
        """Read what is wanted, to the stream's end. Sample what is newly wanted at once."""
        rest = b""
        while data := await watcher.stream.read():
            *lines, rest = (rest + data).split(b"\n")
            added: set[str] = set()
            for line in lines:
                change = _parsed(line)
                watcher.wanted.update(change.add)
                watcher.wanted.difference_update(change.drop)
                added = (added | set(change.add)) & watcher.wanted
            if added:
                watcher.offer(await self._batch(added))
            if watcher.wanted and not self._ticking:
                self._ticking = True
                self._tasks.spawn("stats-tick", self._tick())

    async def _tick(self) -> None:
        """Sample while something is watched, at whole seconds after the beginning however long the work takes."""
        due = time.monotonic()
        try:
            while True:
                due = max(due + TICK_S, time.monotonic())
                await asyncio.sleep(due - time.monotonic())
                wanted = set().union(*(watcher.wanted for watcher in self._watchers))
                if not wanted:
                    return
                await self._sample_all(wanted)
        finally:
            self._ticking = False
            self._samplers.close()

    async def _sample_all(self, wanted: Collection[str]) -> None:
        counters = await self._counters(wanted)
        known, gone = self._sample(wanted, counters)
        self._samplers.retain(self._runs(wanted))
        head = self._head()
        for watcher in self._watchers:
            if watcher.wanted:
                watcher.offer(_joined(head, known, gone, watcher.wanted))

    async def _batch(self, wanted: Collection[str]) -> bytes:
        known, gone = self._sample(wanted, await self._counters(wanted))
        return _joined(self._head(), known, gone, wanted)

    def _sample(self, wanted: Iterable[str], counters: Counters) -> tuple[dict[str, bytes], set[str]]:
        """The samples as JSON, and the ids that aren't here."""
        runners = self._inventory.runners
        known = {container: self._one(runners[container], counters) for container in wanted if container in runners}
        return known, {container for container in wanted if container not in runners}

    def _one(self, runner: ContainerRunner, counters: Counters) -> bytes:
        if runner.machine.phase not in _LIVE:
            return idle_sample(runner.spec)
        try:
            sample = self._samplers.sample(_run(runner), self._cgroups.path(runner.spec))
        except OSError as error:
            log.debug("container %s can't be sampled: %s", runner.spec.id[:12], error)
            return idle_sample(runner.spec)
        return sample_json(runner.spec, sample, counters.get(_connected(runner), {}), time.time_ns())

    async def _counters(self, wanted: Iterable[str]) -> Counters:
        runners, networks = self._inventory.runners, self._networks
        if not any(networks.endpoints(_connected(runners[one])) for one in wanted if one in runners):
            return {}
        try:
            return await networks.counters()
        except (NetworkError, OSError) as error:
            log.warning("no network counters: %s", error)
            return {}

    def _runs(self, wanted: Iterable[str]) -> set[Run]:
        runners = self._inventory.runners
        return {_run(runners[container]) for container in wanted if container in runners}

    def _head(self) -> bytes:
        """The host's fields of a batch, as the beginning of its JSON."""
        fields = {
            "host_cpu_ns": host_cpu_ns(_PROC_STAT.read_text()),
            "host_cpus": self._info.cpus,
            "host_memory": self._info.memory_total,
            "cgroup_v2": self._cgroups.v2,
        }
        return orjson.dumps(fields)[:-1]


def _connected(runner: ContainerRunner) -> str:
    """The container whose interfaces it has: itself, or another one whose sandbox it has joined."""
    return runner.spec.network.partner or runner.spec.id


def _run(runner: ContainerRunner) -> Run:
    return runner.spec.id, runner.status.run


def _parsed(line: bytes) -> WatchedContainers:
    try:
        return WatchedContainers.model_validate_json(line)
    except ValidationError as error:
        log.warning("a watcher of stats sent a line that can't be read: %s", error)
        return WatchedContainers()


def _joined(head: bytes, known: dict[str, bytes], gone: set[str], wanted: Collection[str]) -> bytes:
    samples = b",".join(sample for container, sample in known.items() if container in wanted)
    lost = orjson.dumps([container for container in gone if container in wanted])
    return b"".join((head, b',"gone":', lost, b',"samples":[', samples, b"]}\n"))


async def _until_gone(watcher: Watcher) -> None:
    try:
        await watcher.send()
    except SeawayError as error:
        log.debug("a watcher of stats has stopped reading: %s", error)
