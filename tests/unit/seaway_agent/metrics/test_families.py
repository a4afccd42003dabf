"""Samples to families: cAdvisor's and dockerd's names, labels, types; and what promtool says of them."""

import shutil
import subprocess
from typing import Any

import pytest
from prometheus_client import Histogram, Metric
from prometheus_client.exposition import generate_latest
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector, CollectorRegistry

from seaway_agent.kernel.cgroup_sample import CgroupSample, MemoryDetails, Pressure
from seaway_agent.kernel.cgroup_text import BlockIo
from seaway_agent.metrics.container_families import HOST, OWN
from seaway_agent.metrics.exposition import labels_text, render
from seaway_agent.metrics.families import ActionTimes, NodeReading, node_families
from seaway_agent.metrics.node_reader import action_times
from seaway_agent.metrics.readings import DiskUse, Reading, cpu_limits
from seaway_agent.metrics.state_families import STATE
from seaway_agent.network.port import InterfaceCounters
from seaway_bus.metrics import SERVED_SECONDS
from seaway_contracts.containers import ContainerStatus, Health, Resources, State
from seaway_contracts.nodes import Capacity, Reservation
from seaway_testing import builders

SAMPLE = CgroupSample(
    cpu_usage_ns=3_500_000_000,
    cpu_user_ns=2_000_000_000,
    cpu_system_ns=1_500_000_000,
    cpu_periods=40,
    cpu_throttled_periods=4,
    cpu_throttled_ns=250_000_000,
    cpu_burst_periods=3,
    cpu_burst_ns=125_000_000,
    memory_usage=5000,
    memory_max_usage=6000,
    memory_working_set=4000,
    memory_rss=3000,
    memory_cache=1000,
    memory_mapped=500,
    memory_inactive_file=400,
    memory_failcnt=7,
    memory_details=MemoryDetails(
        swap=20, kernel=21, active_file=22, dirty=23, writeback=24, faults=30, major_faults=31, own_faults=28,
        own_major_faults=29, scanned_pages=32, reclaimed_pages=33, refaults_anon=34, refaults_file=35, high_events=36,
        max_events=37,
    ),
    processes=("11", "12"),
    pids_current=5,
    oom_kills=1,
    block_io=(BlockIo(8, 0, read_bytes=10, write_bytes=20, read_ops=1, write_ops=2), BlockIo(7, 1, read_bytes=5)),
    pressure={
        "cpu.pressure": Pressure(1_000_000_000, 500_000_000),
        "memory.pressure": Pressure(2_000_000_000, 0),
        "io.pressure": Pressure(3_000_000_000, 1_500_000_000),
    },
)  # fmt: skip
COUNTERS = InterfaceCounters(1, 2, 3, 4, 5, 6, 7, 8)
SPEC = builders.spec(
    1,
    name="box",
    created_ns=1_400_000_000_000_000_000,
    resources=Resources(
        nano_cpus=500_000_000, memory=64 << 20, memory_swap=128 << 20, memory_reservation=32 << 20, pids_limit=100
    ),
)
STATUS = builders.status(
    State.RUNNING, started_ns=1_500_000_000_000_000_000, pid=11, restart_count=2, health=Health(status="healthy")
)
NODE = NodeReading(
    cpus=4,
    memory_total=8 << 30,
    swap_total=1 << 30,
    states={State.RUNNING: 2, State.PAUSED: 1, State.EXITED: 3, State.CREATED: 1},
    ready={"bridge": 8, "none": 4},
    dropped=3,
    capacity=Capacity(nano_cpus=4_000_000_000, memory=8 << 30, pids=1000, disk=100),
    free=Capacity(nano_cpus=3_500_000_000, memory=7 << 30, pids=900, disk=60),
    reserved=Reservation(nano_cpus=1_500_000_000, memory=1 << 30),
    volumes={"named": 2, "anonymous": 1},
    networks=3,
    endpoints={"bridge": 2},
    dns={"answered": 7, "failed": 1},
    engine={"architecture": "x86_64", "kernel": "6.1", "os": "Debian", "os_version": "13", "version": "0.2"},
    actions={"create": ActionTimes({0.005: 1, 0.01: 3, 10.0: 4, float("inf"): 5}, 2.5)},
)
LABELS = {"id": "/seaway/abc/1234", "image": "busybox:latest", "name": "box"}


def reading(**changes: Any) -> Reading:
    plain: dict[str, Any] = {
        "spec": SPEC,
        "status": STATUS,
        "seen_ns": 1_500_000_001_700_000_000,
        "sample": SAMPLE,
        "interfaces": {"eth0": COUNTERS},
        "devices": {"8:0": "/dev/sda"},
        "open_files": 9,
        "open_file_limit": 1024,
        "disks": (DiskUse("/dev/sda1", 11, 12, 13, 14),),
    }
    return Reading(**(plain | changes))


class Fixed(Collector):
    def __init__(self, *families: Metric) -> None:
        self.families = families

    def collect(self) -> tuple[Metric, ...]:
        return self.families


def text_of(*readings: Reading, node: NodeReading = NODE, labels: dict[str, str] | None = None) -> str:
    registry = CollectorRegistry()
    registry.register(Fixed(*node_families(node)))
    own = labels_text(labels or LABELS)
    known = [((reading.spec, reading.status), own) for reading in readings]
    containers = (*render((*HOST, *OWN), [(reading, own) for reading in readings]), *render(STATE, known))
    return generate_latest(registry).decode() + "".join(containers)


def samples(text: str) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    """All samples as prometheus_client's parser reads them, without a container's own labels."""
    return {
        (sample.name, frozenset(sample.labels.items() - LABELS.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def of(found: dict[tuple[str, frozenset[tuple[str, str]]], float], name: str) -> dict[str, float]:
    """The samples of a name, by the values of their own labels in the order of the labels' names."""
    return {
        ",".join(value for _, value in sorted(labels)): number for (one, labels), number in found.items() if one == name
    }


def test_every_family_has_the_value_of_its_field_in_base_units() -> None:
    text = text_of(reading(), node=NodeReading(0, 0))
    assert "\ncontainer_memory_failcnt{" in text
    found = samples(text)
    plain = {name: value for (name, labels), value in found.items() if name.startswith("container_") and not labels}
    assert plain == {
        "container_cpu_user_seconds_total": 2.0,
        "container_cpu_system_seconds_total": 1.5,
        "container_cpu_cfs_periods_total": 40,
        "container_cpu_cfs_throttled_periods_total": 4,
        "container_cpu_cfs_throttled_seconds_total": 0.25,
        "container_cpu_cfs_burst_periods_total": 3,
        "container_cpu_cfs_burst_seconds_total": 0.125,
        "container_memory_usage_bytes": 5000,
        "container_memory_working_set_bytes": 4000,
        "container_memory_rss": 3000,
        "container_memory_cache": 1000,
        "container_memory_mapped_file": 500,
        "container_memory_max_usage_bytes": 6000,
        "container_memory_failcnt_total": 7,  # so the parser reads any counter
        "container_memory_total_inactive_file_bytes": 400,
        "container_memory_total_active_file_bytes": 22,
        "container_memory_swap": 20,
        "container_memory_kernel_usage": 21,
        "container_memory_file_dirty_bytes": 23,
        "container_memory_file_writeback_bytes": 24,
        "container_memory_events_high_total": 36,
        "container_memory_events_max_total": 37,
        "container_memory_pgscan_total": 32,
        "container_memory_pgsteal_total": 33,
        "container_memory_workingset_refault_anon_total": 34,
        "container_memory_workingset_refault_file_total": 35,
        "container_oom_events_total": 1,
        "container_pressure_cpu_waiting_seconds_total": 1.0,
        "container_pressure_cpu_stalled_seconds_total": 0.5,
        "container_pressure_memory_waiting_seconds_total": 2.0,
        "container_pressure_memory_stalled_seconds_total": 0.0,
        "container_pressure_io_waiting_seconds_total": 3.0,
        "container_pressure_io_stalled_seconds_total": 1.5,
        "container_processes": 2,
        "container_threads": 5,
        "container_threads_max": 100,
        "container_file_descriptors": 9,
        "container_spec_cpu_quota": 50_000,
        "container_spec_cpu_period": 100_000,
        "container_spec_cpu_shares": 1024,
        "container_spec_memory_limit_bytes": 64 << 20,
        "container_spec_memory_swap_limit_bytes": 128 << 20,
        "container_spec_memory_reservation_limit_bytes": 32 << 20,
        "container_creation_time_seconds": 1_400_000_000,
        "container_start_time_seconds": 1_500_000_000,
        "container_health_state": 1,
        "container_last_seen": 1_500_000_001,
    }


def test_families_with_labels_of_their_own() -> None:
    found = samples(text_of(reading()))
    assert of(found, "container_cpu_usage_seconds_total") == {"total": 3.5}
    assert of(found, "container_memory_failures_total") == {
        "pgfault,container": 28,
        "pgmajfault,container": 29,
        "pgfault,hierarchy": 30,
        "pgmajfault,hierarchy": 31,
    }
    assert of(found, "container_ulimits_soft") == {"max_open_files": 1024}
    names = ("usage_bytes", "limit_bytes", "inodes_total", "inodes_free")
    assert [of(found, f"container_fs_{name}") for name in names] == [{"/dev/sda1": n} for n in (11, 12, 13, 14)]


def test_network_counters_carry_their_interface() -> None:
    found = samples(text_of(reading(interfaces={"eth0": COUNTERS, "eth1": InterfaceCounters(rx_bytes=9)})))
    names = ("bytes", "packets", "errors", "packets_dropped")
    received = [of(found, f"container_network_receive_{name}_total")["eth0"] for name in names]
    sent = [of(found, f"container_network_transmit_{name}_total")["eth0"] for name in names]
    assert (received, sent) == ([1, 2, 3, 4], [5, 6, 7, 8])
    assert of(found, "container_network_receive_bytes_total")["eth1"] == 9
    assert 'interface="a\\"b"' in text_of(reading(interfaces={'a"b': COUNTERS}))


def test_disk_counters_carry_the_device_or_its_number_where_the_name_is_not_known() -> None:
    found = samples(text_of(reading()))
    names = ("reads", "reads_bytes", "writes", "writes_bytes")
    known = [of(found, f"container_fs_{name}_total")["/dev/sda"] for name in names]
    unknown = [of(found, f"container_fs_{name}_total")["7:1"] for name in names]
    assert (known, unknown) == ([1, 10, 2, 20], [0, 5, 0, 0])
    assert of(found, "container_blkio_device_usage_total") == {
        "/dev/sda,8,0,Read": 10,
        "/dev/sda,8,0,Write": 20,
        "7:1,7,1,Read": 5,
        "7:1,7,1,Write": 0,
    }


def test_what_is_not_known_has_no_samples() -> None:
    spec = SPEC.model_copy(update={"resources": Resources()})
    status = builders.status(State.RUNNING, started_ns=1)
    found = samples(text_of(Reading(spec, status, 1, CgroupSample())))
    lacking = ("container_network_", "container_fs_", "container_pressure_", "container_ulimits", "container_blkio_")
    assert not [name for name, _ in found if name.startswith(lacking)]
    optional = ("container_spec_cpu_quota", "container_file_descriptors", "container_memory_kernel_usage")
    assert not [name for name, _ in found if name in optional]
    assert of(found, "container_spec_memory_limit_bytes") == {"": 0}
    assert of(found, "container_health_state") == {"": -1}


@pytest.mark.parametrize(("status", "state"), [("healthy", 1), ("starting", 0), ("unhealthy", 0)])
def test_health(status: Any, state: int) -> None:
    known = STATUS.model_copy(update={"health": Health(status=status)})
    assert of(samples(text_of(reading(status=known))), "container_health_state") == {"": state}


def test_the_state_of_containers_whether_they_run_or_not() -> None:
    def found(status: ContainerStatus) -> dict[str, dict[str, float]]:
        known = samples("".join(render(STATE, [((SPEC, status), labels_text(LABELS))])))
        return {name.removeprefix("seaway_container_"): of(known, name) for name, _ in known}

    assert found(STATUS) == {"state": {"running": 1}, "oom_killed": {"": 0}, "restarts_total": {"": 2}}
    ended = builders.status(State.EXITED, exit_code=137, finished_ns=2_500_000_000, oom_killed=True)
    assert found(ended) == {
        "state": {"exited": 1},
        "finish_time_seconds": {"": 2.5},
        "exit_code": {"": 137},
        "oom_killed": {"": 1},
        "restarts_total": {"": 0},
    }


def test_of_the_node() -> None:
    found = samples(text_of())
    assert of(found, "machine_cpu_cores") == {"": 4}
    assert of(found, "machine_memory_bytes") == {"": 8 << 30}
    assert of(found, "machine_swap_bytes") == {"": 1 << 30}
    states = of(found, "seaway_agent_containers")
    assert (states["running"], states["exited"], states["dead"]) == (2, 3, 0)
    assert of(found, "seaway_agent_pool_ready") == {"bridge": 8, "none": 4}
    assert of(found, "seaway_agent_metrics_dropped_total") == {"": 3}
    assert of(found, "seaway_agent_volumes") == {"named": 2, "anonymous": 1}
    assert of(found, "seaway_agent_networks") == {"": 3}
    assert of(found, "seaway_agent_network_endpoints") == {"bridge": 2}
    assert of(found, "seaway_agent_dns_queries_total") == {"answered": 7, "failed": 1}
    assert of(found, "seaway_node_cpu_cores") == {"capacity": 4, "free": 3.5, "reserved": 1.5}
    assert of(found, "seaway_node_memory_bytes") == {"capacity": 8 << 30, "free": 7 << 30, "reserved": 1 << 30}
    assert of(found, "seaway_node_disk_bytes") == {"capacity": 100, "free": 60}
    assert of(found, "seaway_node_pids") == {"capacity": 1000, "free": 900}


def test_as_dockerd() -> None:
    found = samples(text_of())
    assert of(found, "engine_daemon_container_states_containers") == {"running": 2, "paused": 1, "stopped": 4}
    assert of(found, "engine_daemon_engine_cpus_cpus") == {"": 4}
    assert of(found, "engine_daemon_engine_memory_bytes") == {"": 8 << 30}
    assert ("engine_daemon_engine_info", frozenset(NODE.engine.items())) in found
    buckets = of(found, "engine_daemon_container_actions_seconds_bucket")
    assert [buckets[f"create,{bound}"] for bound in ("0.005", "0.01", "10", "+Inf")] == [1, 3, 4, 5]
    assert of(found, "engine_daemon_container_actions_seconds_sum")["create"] == 2.5
    actions = {"create", "start", "delete", "commit", "changes"}
    assert set(of(found, "engine_daemon_container_actions_seconds_count")) == actions


def test_actions_are_those_of_the_bus_by_dockerd_s_words() -> None:
    bounds = [float(bound) for bound in SERVED_SECONDS._upper_bounds]
    served = Histogram("served", "Served.", ("call",), buckets=bounds, registry=None)
    for call, seconds in (("container.create", 0.004), ("container.create", 0.3), ("container.stop", 1.0)):
        served.labels(call).observe(seconds)
    (times,) = [node for node in [action_times(served.collect())] if set(node) == {"create"}]
    assert (times["create"].below[0.005], times["create"].below[0.25], times["create"].below[0.5]) == (1, 1, 2)
    assert times["create"].seconds == pytest.approx(0.304)
    text = text_of(node=NodeReading(0, 0, actions=times))
    buckets = of(samples(text), "engine_daemon_container_actions_seconds_bucket")
    assert [buckets[f"create,{bound}"] for bound in ("0.005", "0.5", "10", "+Inf")] == [1, 2, 2, 2]


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


KNOWN_LINTS = {
    'container_memory_failcnt counter metrics should have "_total" suffix',
    'container_fs_inodes_total non-counter metrics should not have "_total" suffix',
    "cadvisor_version_info label names should be written in 'snake_case' not 'camelCase'",
}
"""Of names that are cAdvisor's."""


@pytest.mark.skipif(shutil.which("promtool") is None, reason="needs promtool (package prometheus)")
def test_promtool_has_nothing_to_say_but_of_cadvisor_s_own_names() -> None:
    for text in (text_of(), text_of(reading(), labels={"id": "/a", "name": 'odd"\n\\'})):
        checked = subprocess.run(
            ["promtool", "check", "metrics"], input=text, capture_output=True, text=True, check=False
        )
        assert set((checked.stdout + checked.stderr).splitlines()) <= KNOWN_LINTS
