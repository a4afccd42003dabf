"""What containers use of their nodes, sampled once a second: one byte stream for each node, while somebody looks."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncGenerator, Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Final

from pydantic import ValidationError

from seaway_bus.bus import Bus
from seaway_cluster.records import all_containers
from seaway_contracts.base import Empty
from seaway_contracts.catalogue import LIST_NODES, STATS
from seaway_contracts.containers import ContainerRecord
from seaway_contracts.errors import SeawayError
from seaway_contracts.nodes import NodeRecord
from seaway_contracts.stats import Sample, SampleBatch, WatchedContainers, WatchStats
from seaway_kit.tasks import Tasks

_LIST_EVERY: Final = 3
_STEP_S: Final = 1.0
_INACTIVE: Final = ("total_inactive_file", "inactive_file")
"""The page cache that the kernel can drop, on cgroup v1 and v2."""


@dataclass(frozen=True)
class Usage:
    """A container's use. `cpu`: cores, None before the second sample. `limit`: of its memory, in bytes, or its host's.

    Bytes of networks and disks are those since its start.
    """

    cpu: float | None
    memory: int
    limit: int
    received: int
    sent: int
    read: int
    written: int
    pids: int


@dataclass(frozen=True)
class Snapshot:
    """The nodes, the containers that run, and the use of those that were sampled. `whole`: all have their CPU use."""

    nodes: Sequence[NodeRecord]
    containers: Sequence[ContainerRecord]
    usage: dict[str, Usage]

    @property
    def whole(self) -> bool:
        """Whether nothing is missing but what nodes that are down could say."""
        up = {record.node for record in self.nodes if record.state == "up"}
        waited_for = (one.id for one in self.containers if one.node in up)
        return all((found := self.usage.get(one)) is not None and found.cpu is not None for one in waited_for)


def usage_of(sample: Sample, before: Sample | None, host_memory: int) -> Usage:
    """The use that one sample shows, and its rate since the one before. Pure."""
    cpu = None
    if before is not None and sample.time_ns > before.time_ns and sample.cpu_usage_ns >= before.cpu_usage_ns:
        cpu = (sample.cpu_usage_ns - before.cpu_usage_ns) / (sample.time_ns - before.time_ns)
    inactive = next((sample.memory_stat[name] for name in _INACTIVE if name in sample.memory_stat), 0)
    limit = sample.memory_limit if 0 < sample.memory_limit < host_memory else host_memory
    return Usage(
        cpu=cpu,
        memory=max(0, sample.memory_usage - inactive),
        limit=limit,
        received=sum(one.rx_bytes for one in sample.interfaces),
        sent=sum(one.tx_bytes for one in sample.interfaces),
        read=sum(one.read_bytes for one in sample.devices),
        written=sum(one.write_bytes for one in sample.devices),
        pids=sample.pids_current,
    )


async def snapshots(bus: Bus, tasks: Tasks, nodes: Collection[str] = ()) -> AsyncGenerator[Snapshot, None]:
    """A snapshot once a second, of these nodes alone if there are any. Raises SeawayError if records can't be read."""
    watch = UsageWatch(bus, tasks)
    turn = 0
    try:
        while True:
            if turn % _LIST_EVERY == 0:
                known = [one for one in (await bus.call(LIST_NODES, Empty())).nodes if not nodes or one.node in nodes]
                running = [one async for one in all_containers(bus, stopped=False) if not nodes or one.node in nodes]
                await watch.watch(known, running)
            yield Snapshot(known, running, dict(watch.usage))
            turn += 1
            await asyncio.sleep(_STEP_S)
    finally:
        await watch.close()


class UsageWatch:
    """The use of all containers that are watched, by id. What nodes don't report any more is left out."""

    def __init__(self, bus: Bus, tasks: Tasks) -> None:
        self.usage: dict[str, Usage] = {}
        self._bus = bus
        self._tasks = tasks
        self._samples: dict[str, Sample] = {}
        self._readers: dict[str, _NodeReader] = {}

    async def watch(self, nodes: Sequence[NodeRecord], containers: Sequence[ContainerRecord]) -> None:
        """Watch these containers, and no others, as far as their nodes are up."""
        wanted: defaultdict[str, set[str]] = defaultdict(set)
        up = {record.node for record in nodes if record.state == "up"}
        for record in containers:
            if record.node in up:
                wanted[record.node].add(record.id)
        for node in [node for node, reader in self._readers.items() if reader.ended or node not in wanted]:
            await self._readers.pop(node).close()
        for node, ids in wanted.items():
            if node not in self._readers:
                self._readers[node] = _NodeReader(self._bus, self._tasks, node, self._take)
            await self._readers[node].want(ids)
        all_ids = set().union(*wanted.values())
        for gone in self._samples.keys() - all_ids:
            del self._samples[gone]
            self.usage.pop(gone, None)

    async def close(self) -> None:
        """Close the streams: the nodes stop sampling."""
        for reader in self._readers.values():
            await reader.close()

    def _take(self, batch: SampleBatch) -> None:
        for sample in batch.samples:
            if sample.time_ns:
                before = self._samples.get(sample.id)
                self.usage[sample.id] = usage_of(sample, before, batch.host_memory)
                self._samples[sample.id] = sample


class _NodeReader:
    """Reads one node's samples. `ended`: the node's agent has gone, or can't be asked."""

    def __init__(self, bus: Bus, tasks: Tasks, node: str, take: Callable[[SampleBatch], None]) -> None:
        self.ended = False
        self._bus = bus
        self._node = node
        self._take = take
        self._stream = bus.new_stream(tasks, node)
        self._wanted: set[str] = set()
        self._asked: set[str] = set()
        self._is_open = False
        tasks.spawn(f"usage-{node}", self._run())

    async def want(self, ids: set[str]) -> None:
        """Have these containers sampled, and no others."""
        self._wanted = set(ids)
        if self._is_open:
            await self._ask()

    async def close(self) -> None:
        self.ended = True
        await self._stream.close()

    async def _run(self) -> None:
        try:
            await self._stream.open()
            await self._bus.call(STATS, WatchStats(stream=self._stream.id), node=self._node)
            self._is_open = True
            await self._ask()
            rest = b""
            while data := await self._stream.read():
                *lines, rest = (rest + data).split(b"\n")
                for line in lines:
                    self._take(SampleBatch.model_validate_json(line))
        except (SeawayError, ValidationError):
            pass  # the next `watch` begins anew
        finally:
            await self.close()

    async def _ask(self) -> None:
        add, drop = self._wanted - self._asked, self._asked - self._wanted
        if not add and not drop:
            return
        self._asked = set(self._wanted)
        change = WatchedContainers(add=tuple(sorted(add)), drop=tuple(sorted(drop)))
        try:
            await self._stream.write(change.model_dump_json(exclude_defaults=True).encode() + b"\n")
        except SeawayError:
            self.ended = True
