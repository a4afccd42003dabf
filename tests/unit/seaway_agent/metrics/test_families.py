"""Samples to families: cAdvisor's names, labels, types; and what promtool says of them."""

import shutil
import subprocess

import pytest
from prometheus_client import Metric
from prometheus_client.exposition import generate_latest
from prometheus_client.registry import Collector, CollectorRegistry

from seaway_agent.kernel.cgroup_sample import CgroupSample
from seaway_agent.kernel.cgroup_text import BlockIo
from seaway_agent.metrics.families import NodeReading, Reading, container_families, cpu_limits, node_families
from seaway_agent.network.port import InterfaceCounters
from seaway_contracts.containers import Resources, State

SAMPLE = CgroupSample(
    cpu_usage_ns=3_500_000_000,
    cpu_user_ns=2_000_000_000,
    cpu_system_ns=1_500_000_000,
    cpu_periods=40,
    cpu_throttled_periods=4,
    cpu_throttled_ns=250_000_000,
    memory_usage=5000,
    memory_limit=64 << 20,
    memory_working_set=4000,
    memory_rss=3000,
    memory_cache=1000,
    memory_mapped=500,
    memory_failcnt=7,
    processes=2,
    pids_current=5,
    oom_kills=1,
    block_io=(BlockIo(8, 0, read_bytes=10, write_bytes=20, read_ops=1, write_ops=2), BlockIo(7, 1, read_bytes=5)),
)
COUNTERS = InterfaceCounters(1, 2, 3, 4, 5, 6, 7, 8)
NODE = NodeReading(4, 8 << 30, {State.RUNNING: 2}, {"bridge": 8, "none": 4}, 3)


def reading(**changes: object) -> Reading:
    plain: dict[str, object] = {
        "id": "/seaway/abc/1234",
        "name": "box",
        "image": "busybox:latest",
        "started_ns": 1_500_000_000_000_000_000,
        "seen_ns": 1_500_000_001_700_000_000,
        "resources": Resources(nano_cpus=500_000_000),
        "sample": SAMPLE,
        "interfaces": {"eth0": COUNTERS},
        "devices": {"8:0": "/dev/sda"},
    }
    return Reading(**(plain | changes))  # type: ignore[arg-type]


class Fixed(Collector):
    def __init__(self, *families: Metric) -> None:
        self.families = families

    def collect(self) -> tuple[Metric, ...]:
        return self.families


def text_of(*readings: Reading) -> str:
    registry = CollectorRegistry()
    registry.register(Fixed(*container_families(readings), *node_families(NODE)))
    return generate_latest(registry).decode()


def samples(text: str) -> dict[str, float]:
    lines = (line.rpartition(" ") for line in text.splitlines() if not line.startswith("#"))
    return {name: float(value) for name, _, value in lines}


OWN = 'id="/seaway/abc/1234",image="busybox:latest",name="box"'
NET = 'id="/seaway/abc/1234",image="busybox:latest",interface="eth0",name="box"'


def test_every_family_has_the_value_of_its_field_in_base_units() -> None:
    found = samples(text_of(reading()))
    assert {name: value for name, value in found.items() if name.endswith(f"{{{OWN}}}")} == {
        f"container_cpu_user_seconds_total{{{OWN}}}": 2.0,
        f"container_cpu_system_seconds_total{{{OWN}}}": 1.5,
        f"container_cpu_cfs_periods_total{{{OWN}}}": 40,
        f"container_cpu_cfs_throttled_periods_total{{{OWN}}}": 4,
        f"container_cpu_cfs_throttled_seconds_total{{{OWN}}}": 0.25,
        f"container_memory_usage_bytes{{{OWN}}}": 5000,
        f"container_memory_working_set_bytes{{{OWN}}}": 4000,
        f"container_memory_rss{{{OWN}}}": 3000,
        f"container_memory_cache{{{OWN}}}": 1000,
        f"container_memory_mapped_file{{{OWN}}}": 500,
        f"container_memory_failcnt{{{OWN}}}": 7,
        f"container_spec_memory_limit_bytes{{{OWN}}}": 64 << 20,
        f"container_spec_cpu_quota{{{OWN}}}": 50_000,
        f"container_spec_cpu_period{{{OWN}}}": 100_000,
        f"container_spec_cpu_shares{{{OWN}}}": 1024,
        f"container_processes{{{OWN}}}": 2,
        f"container_threads{{{OWN}}}": 5,
        f"container_start_time_seconds{{{OWN}}}": 1_500_000_000,
        f"container_last_seen{{{OWN}}}": 1_500_000_001,
        f"container_oom_events_total{{{OWN}}}": 1,
    }
    assert found[f'container_cpu_usage_seconds_total{{cpu="total",{OWN}}}'] == 3.5


def test_network_counters_carry_their_interface() -> None:
    found = samples(text_of(reading()))
    names = ("bytes", "packets", "errors", "packets_dropped")
    received = [found[f"container_network_receive_{name}_total{{{NET}}}"] for name in names]
    sent = [found[f"container_network_transmit_{name}_total{{{NET}}}"] for name in names]
    assert (received, sent) == ([1, 2, 3, 4], [5, 6, 7, 8])


def test_disk_counters_carry_the_device_or_its_number_where_the_name_is_not_known() -> None:
    found = samples(text_of(reading()))
    names = ("reads", "reads_bytes", "writes", "writes_bytes")
    known = [found[f'container_fs_{name}_total{{device="/dev/sda",{OWN}}}'] for name in names]
    unknown = [found[f'container_fs_{name}_total{{device="7:1",{OWN}}}'] for name in names]
    assert (known, unknown) == ([1, 10, 2, 20], [0, 5, 0, 0])


def test_a_container_without_network_or_quota_has_no_samples_of_them() -> None:
    text = text_of(reading(interfaces={}, resources=Resources()))
    assert not [name for name in samples(text) if name.startswith(("container_network_", "container_spec_cpu_quota"))]


def test_no_memory_limit_is_zero() -> None:
    found = samples(text_of(reading(sample=CgroupSample(memory_limit=None))))
    assert found[f"container_spec_memory_limit_bytes{{{OWN}}}"] == 0


def test_of_the_node() -> None:
    found = samples(text_of())
    assert found["machine_cpu_cores"] == 4
    assert found["machine_memory_bytes"] == 8 << 30
    assert found['seaway_agent_containers{state="running"}'] == 2
    assert found['seaway_agent_containers{state="exited"}'] == 0
    assert found['seaway_agent_pool_ready{mode="none"}'] == 4
    assert found["seaway_agent_metrics_dropped_total"] == 3


@pytest.mark.parametrize(
    ("resources", "limits"),
    [
        (Resources(), (0, 100_000, 1024)),
        (Resources(nano_cpus=1_500_000_000), (150_000, 100_000, 1024)),
        (Resources(cpu_quota=20_000, cpu_period=50_000, cpu_shares=512), (20_000, 50_000, 512)),
        (Resources(cpu_quota=-1), (0, 100_000, 1024)),
    ],
)
def test_cpu_limits(resources: Resources, limits: tuple[int, int, int]) -> None:
    assert cpu_limits(resources) == limits


def test_quotes_backslashes_and_newlines_are_escaped() -> None:
    text = text_of(reading(name='a"b\\c\nd', image="x"))
    assert 'name="a\\"b\\\\c\\nd"' in text
    assert all(line.startswith(("container_", "machine_", "seaway_", "# ")) for line in text.splitlines())


@pytest.mark.skipif(shutil.which("promtool") is None, reason="needs promtool (package prometheus)")
@pytest.mark.parametrize("readings", [(), (reading(), reading(id="/seaway/abc/5", name='odd"\n\\', interfaces={}))])
def test_promtool_has_nothing_to_say(readings: tuple[Reading, ...]) -> None:
    checked = subprocess.run(
        ["promtool", "check", "metrics"], input=text_of(*readings), capture_output=True, text=True, check=False
    )
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, "", "")


def test_the_label_set_is_fixed() -> None:
    names = {
        label for family in container_families([reading()]) for sample in family.samples for label in sample.labels
    }
    assert names == {"id", "image", "name", "cpu", "interface", "device"}
