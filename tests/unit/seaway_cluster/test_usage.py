"""What containers use: rates from samples, and samples of nodes that come and go."""

import asyncio
import json

from seaway_bus.bus import Bus, Command
from seaway_bus.streams import ByteStream
from seaway_cluster.usage import Snapshot, UsageWatch, usage_of
from seaway_contracts import catalogue as cat
from seaway_contracts.base import Empty
from seaway_contracts.containers import State
from seaway_contracts.stats import DeviceTraffic, InterfaceTraffic, Sample, SampleBatch, WatchStats
from seaway_kit.tasks import Tasks
from seaway_testing.builders import container_id, node_record, record
from seaway_testing.fake_transport import FakeServer, FakeTransport
from seaway_testing.waiting import GUARD_S, until

S = 10**9


def sample(time_s: int, cpu_s: float, seed: int = 1) -> Sample:
    return Sample(
        id=container_id(seed),
        time_ns=time_s * S,
        cpu_usage_ns=int(cpu_s * S),
        memory_usage=100,
        memory_limit=500,
        memory_stat={"inactive_file": 30},
        pids_current=3,
        devices=(DeviceTraffic(major=8, minor=0, read_bytes=1, write_bytes=2),) * 2,
        interfaces=(InterfaceTraffic(name="eth0", rx_bytes=3, tx_bytes=4), InterfaceTraffic(name="eth1", rx_bytes=5)),
    )


def test_sums_and_rates() -> None:
    first = usage_of(sample(1, 10), None, host_memory=1000)
    assert first.cpu is None
    found = usage_of(sample(3, 11), sample(1, 10), host_memory=1000)
    assert (found.cpu, found.memory, found.limit, found.pids) == (0.5, 70, 500, 3)
    assert (found.received, found.sent, found.read, found.written) == (8, 4, 2, 4)
    assert usage_of(sample(3, 11), None, host_memory=400).limit == 400, "more than the host has is no limit"


def test_a_container_that_has_begun_anew_has_no_rate() -> None:
    assert usage_of(sample(3, 1), sample(1, 10), host_memory=1000).cpu is None
    assert usage_of(sample(1, 10), sample(1, 10), host_memory=1000).cpu is None


class Agent:
    """Answers as a node's agent does. `asked`: what it was asked to sample and to stop sampling."""

    def __init__(self, bus: Bus, tasks: Tasks) -> None:
        self.asked: list[dict[str, list[str]]] = []
        self._bus, self._tasks = bus, tasks
        self.streams: list[ByteStream] = []

    async def serve(self) -> None:
        await self._bus.serve(cat.STATS, self._watch, node="n1")

    async def _watch(self, request: WatchStats, command: Command) -> Empty:
        stream = self._bus.serve_stream(request.stream, self._tasks)
        await stream.open()
        self.streams.append(stream)
        self._tasks.spawn("read", self._read(stream))
        return Empty()

    async def _read(self, stream: ByteStream) -> None:
        while data := await stream.read():
            self.asked += [json.loads(line) for line in data.splitlines()]

    async def send(self, *samples: Sample) -> None:
        line = SampleBatch(samples=samples, host_memory=1000).model_dump_json().encode() + b"\n"
        await self.streams[-1].write(line[:20])  # lines may come in pieces
        await self.streams[-1].write(line[20:])


async def test_containers_are_watched_on_their_nodes() -> None:
    server, tasks = FakeServer(), Tasks("test")
    agent = Agent(Bus(FakeTransport(server)), tasks)
    await agent.serve()
    watch = UsageWatch(Bus(FakeTransport(server)), tasks)
    nodes = [node_record("n1"), node_record("n2", up=False)]
    one, two, away = (record(seed, state=State.RUNNING) for seed in (1, 2, 3))
    away = away.model_copy(update={"node": "n2"})

    def snapshot() -> Snapshot:
        return Snapshot(nodes, [one, two, away], watch.usage)

    await watch.watch(nodes, [one, two, away])
    await until(lambda: agent.asked)
    assert agent.asked == [{"add": sorted([one.id, two.id])}]
    await agent.send(sample(1, 1), sample(1, 2, seed=2))
    await until(lambda: len(watch.usage) == 2)
    assert not snapshot().whole
    await agent.send(sample(2, 2), sample(2, 2, seed=2))
    await until(lambda: snapshot().whole)
    assert {key: usage.cpu for key, usage in watch.usage.items()} == {one.id: 1.0, two.id: 0.0}

    await watch.watch(nodes, [two])
    await until(lambda: len(agent.asked) == 2)
    assert agent.asked[1] == {"drop": [one.id]} and set(watch.usage) == {two.id}

    await agent.streams[-1].close()  # its agent is replaced

    async with asyncio.timeout(GUARD_S):
        while len(agent.streams) < 2:
            await watch.watch(nodes, [two])
            await asyncio.sleep(0.002)
    await watch.close()
    await tasks.close()
