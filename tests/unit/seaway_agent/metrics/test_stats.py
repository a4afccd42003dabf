"""Sampling for those who watch: over runners on plain files, and a byte stream on the in-memory bus."""

from pathlib import Path
from typing import Any, cast

import pytest
from tests.unit.seaway_agent.metrics.test_collector import StandInNode, stand_in

from seaway_agent.core.phases import Phase
from seaway_agent.kernel.cgroup_sample import CgroupSample
from seaway_agent.kernel.cgroup_text import BlockIo, CgroupMode
from seaway_agent.kernel.hostinfo import HostInfo
from seaway_agent.metrics import stats
from seaway_agent.metrics.samples import host_cpu_ns, idle_sample, sample_json
from seaway_agent.metrics.stats import StatsSampling
from seaway_agent.network.port import InterfaceCounters
from seaway_bus.bus import Bus
from seaway_bus.streams import ByteStream, new_stream_id
from seaway_contracts.stats import DeviceTraffic, InterfaceTraffic, Sample, SampleBatch, WatchedContainers
from seaway_kit.tasks import Tasks
from seaway_testing import builders
from seaway_testing.waiting import until

HOST = HostInfo("h", "6", "os", "1", "x86_64", "amd64", 4, 8 << 30, 0, "extfs", CgroupMode.V2, ())
ONE, TWO = builders.container_id(1), builders.container_id(2)


class Client:
    """The API's end of a stream."""

    def __init__(self, stream: ByteStream) -> None:
        self.stream = stream
        self._rest = b""

    async def want(self, add: tuple[str, ...] = (), drop: tuple[str, ...] = ()) -> None:
        await self.stream.write(WatchedContainers(add=add, drop=drop).model_dump_json().encode() + b"\n")

    async def next(self) -> SampleBatch:
        while b"\n" not in self._rest:
            self._rest += await self.stream.read()
        line, _, self._rest = self._rest.partition(b"\n")
        return SampleBatch.model_validate_json(line)


class Rig:
    def __init__(self, node: StandInNode, bus: Bus, tasks: Tasks) -> None:
        self.node, self.bus, self.tasks = node, bus, tasks
        inventory, network = cast(Any, node), cast(Any, node.network)
        self.sampling = StatsSampling(inventory, HOST, bus.transport, tasks, node.cgroups, network)

    async def client(self) -> Client:
        stream = await ByteStream(self.bus.transport, new_stream_id(), "opening", self.tasks).open()
        await self.sampling.open(stream.id)
        return Client(stream)


@pytest.fixture
def rig(tmp_path: Path, fake_bus: Bus, tasks: Tasks, monkeypatch: pytest.MonkeyPatch) -> Rig:
    monkeypatch.setattr(stats, "TICK_S", 0.01)
    return Rig(stand_in(tmp_path), fake_bus, tasks)


async def test_what_is_wanted_is_sampled_at_once_and_again(rig: Rig) -> None:
    rig.node.add(1)
    client = await rig.client()
    await client.want(add=(ONE,))
    batches = [await client.next() for _ in range(3)]
    assert [batch.samples[0].cpu_usage_ns for batch in batches] == [10**9] * 3
    times = [batch.samples[0].time_ns for batch in batches]
    assert times == sorted(set(times))
    assert (batches[0].host_cpus, batches[0].host_memory, batches[0].cgroup_v2) == (4, 8 << 30, True)
    assert batches[0].host_cpu_ns > 0
    await client.stream.close()


async def test_each_gets_what_it_wants_and_what_is_gone_is_told(rig: Rig) -> None:
    rig.node.add(1)
    rig.node.add(2, Phase.IDLE)
    first, second = await rig.client(), await rig.client()
    await first.want(add=(ONE,))
    await second.want(add=(ONE, TWO, "f" * 64))
    assert [sample.id for sample in (await first.next()).samples] == [ONE]
    batch = await second.next()
    assert {sample.id: sample.time_ns > 0 for sample in batch.samples} == {ONE: True, TWO: False}
    assert batch.gone == ("f" * 64,)
    await second.want(drop=(ONE, "f" * 64))
    while len(batch.samples) > 1:
        batch = await second.next()
    assert ([sample.id for sample in batch.samples], batch.gone) == ([TWO], ())
    await first.stream.close()
    await second.stream.close()


async def test_with_the_last_watcher_all_ends(rig: Rig) -> None:
    rig.node.add(1)
    client = await rig.client()
    await client.want(add=(ONE,))
    await client.next()
    assert len(rig.sampling._samplers) == 1
    await client.stream.close()
    await until(lambda: not rig.sampling._watchers and not rig.sampling._ticking)
    assert len(rig.sampling._samplers) == 0
    again = await rig.client()
    await again.want(add=(ONE,))
    assert (await again.next()).samples[0].id == ONE
    await again.stream.close()


async def test_network_counters_of_the_own_or_the_joined_interface(rig: Rig) -> None:
    rig.node.add(1)
    joined = rig.node.add(2)
    joined.spec = joined.spec.model_copy(
        update={"network": joined.spec.network.model_copy(update={"sandbox": f"container:{ONE}"})}
    )
    rig.node.network.found = {ONE: {"eth0": InterfaceCounters(rx_bytes=7)}}
    client = await rig.client()
    await client.want(add=(ONE, TWO))
    batch = await client.next()
    assert [sample.interfaces[0].rx_bytes for sample in batch.samples] == [7, 7]
    rig.node.network.fails = True
    while (await client.next()).samples[0].interfaces:
        pass
    await client.stream.close()


async def test_nonsense_is_passed_over(rig: Rig) -> None:
    rig.node.add(1)
    client = await rig.client()
    await client.stream.write(b"nonsense\n")
    await client.want(add=(ONE,))
    assert (await client.next()).samples[0].id == ONE
    await client.stream.close()


# --- what travels


def test_a_sample_is_what_the_contract_says() -> None:
    of = CgroupSample(
        cpu_usage_ns=1, cpu_user_ns=2, cpu_system_ns=3, cpu_each_ns=(4, 5), cpu_periods=6, cpu_throttled_periods=7,
        cpu_throttled_ns=8, memory_usage=9, memory_max_usage=10, memory_limit=11, memory_failcnt=12,
        memory_stat={"cache": 13}, pids_current=14, pids_limit=15, block_io=(BlockIo(8, 1, 16, 17, 18, 19),),
    )  # fmt: skip
    spec = builders.spec(1)
    found = Sample.model_validate_json(sample_json(spec, of, {"eth0": InterfaceCounters(1, 2, 3, 4, 5, 6, 7, 8)}, 99))
    assert found.model_fields_set == set(Sample.model_fields)
    assert (found.id, found.name, found.time_ns, found.memory_limit, found.cpu_each_ns) == (ONE, "box1", 99, 11, (4, 5))
    assert found.devices == (DeviceTraffic(major=8, minor=1, read_bytes=16, write_bytes=17, read_ops=18, write_ops=19),)
    assert found.interfaces == (
        InterfaceTraffic(
            name="eth0", rx_bytes=1, rx_packets=2, rx_errors=3, rx_dropped=4, tx_bytes=5, tx_packets=6, tx_errors=7,
            tx_dropped=8,
        ),
    )  # fmt: skip


def test_no_limit_is_zero_and_idle_has_no_time() -> None:
    found = Sample.model_validate_json(sample_json(builders.spec(1), CgroupSample(), {}, 99))
    assert (found.memory_limit, found.pids_limit, found.interfaces, found.memory_stat) == (0, 0, (), {})
    assert Sample.model_validate_json(idle_sample(builders.spec(1))) == Sample(id=ONE, name="box1")


def test_the_host_s_time() -> None:
    assert host_cpu_ns("cpu  1 2 3 4 5 6 7 100 100\ncpu0 9 9 9\n") == 280_000_000
