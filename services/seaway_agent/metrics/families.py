"""Makes metric families of samples. Pure.

Names, labels, types and units of `container_*` and `machine_*` are cAdvisor's (`metrics/prometheus.go`), so that its
dashboards and alerts work. The label set is fixed: a container's own labels never become labels of a metric.
One type is not cAdvisor's: `container_memory_failcnt` has none, as a counter's name has to end in `_total`.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from prometheus_client import Metric
from prometheus_client.samples import Sample

from seaway_agent.kernel.cgroup_sample import CgroupSample
from seaway_agent.network.port import InterfaceCounters
from seaway_contracts.containers import Resources, State

_SECOND_NS: Final = 1_000_000_000
_CORE: Final = 1_000_000_000
_PERIOD_US: Final = 100_000
_SHARES: Final = 1024


@dataclass(frozen=True, slots=True)
class Reading:
    """What is known of one running container at a scrape.

    `id` is its cgroup path; `interfaces` are those of its own network sandbox; `devices` maps `8:0` to `/dev/sda`.
    """

    id: str
    name: str
    image: str
    started_ns: int
    seen_ns: int
    resources: Resources
    sample: CgroupSample
    interfaces: Mapping[str, InterfaceCounters] = field(default_factory=dict)
    devices: Mapping[str, str] | None = None


@dataclass(frozen=True, slots=True)
class NodeReading:
    """What is known of the node at a scrape. `dropped`: containers left out of scrapes so far."""

    cpus: int
    memory_total: int
    states: Mapping[State, int]
    ready: Mapping[str, int]
    dropped: int


@dataclass(frozen=True, slots=True)
class _Kind:
    """One family that has a single value per container."""

    name: str
    type: str
    help: str
    value: Callable[[Reading], float]


def cpu_limits(resources: Resources) -> tuple[int, int, int]:
    """Quota (0: none), period (both microseconds) and shares as the kernel has them."""
    period = resources.cpu_period or _PERIOD_US
    quota = resources.cpu_quota or resources.nano_cpus * period // _CORE
    return max(quota, 0), period, resources.cpu_shares or _SHARES


_KINDS: Final = (
    _Kind(
        "container_cpu_user_seconds",
        "counter",
        "CPU time used in user mode.",
        lambda r: r.sample.cpu_user_ns / _SECOND_NS,
    ),
    _Kind(
        "container_cpu_system_seconds",
        "counter",
        "CPU time used in the kernel.",
        lambda r: r.sample.cpu_system_ns / _SECOND_NS,
    ),
    _Kind("container_cpu_cfs_periods", "counter", "CPU quota periods gone by.", lambda r: r.sample.cpu_periods),
    _Kind(
        "container_cpu_cfs_throttled_periods",
        "counter",
        "CPU quota periods in which the container was held back.",
        lambda r: r.sample.cpu_throttled_periods,
    ),
    _Kind(
        "container_cpu_cfs_throttled_seconds",
        "counter",
        "Time for which the container was held back by its CPU quota.",
        lambda r: r.sample.cpu_throttled_ns / _SECOND_NS,
    ),
    _Kind(
        "container_memory_usage_bytes", "gauge", "Memory in use, page cache included.", lambda r: r.sample.memory_usage
    ),
    _Kind(
        "container_memory_working_set_bytes",
        "gauge",
        "Memory in use less the page cache that can go at once.",
        lambda r: r.sample.memory_working_set,
    ),
    _Kind("container_memory_rss", "gauge", "Anonymous memory in bytes.", lambda r: r.sample.memory_rss),
    _Kind("container_memory_cache", "gauge", "Page cache in bytes.", lambda r: r.sample.memory_cache),
    _Kind("container_memory_mapped_file", "gauge", "Mapped files in bytes.", lambda r: r.sample.memory_mapped),
    _Kind(
        "container_memory_failcnt", "unknown", "How often the memory limit was hit.", lambda r: r.sample.memory_failcnt
    ),
    _Kind(
        "container_spec_memory_limit_bytes",
        "gauge",
        "Memory limit; 0 without one.",
        lambda r: r.sample.memory_limit or 0,
    ),
    _Kind(
        "container_spec_cpu_period", "gauge", "CPU quota period in microseconds.", lambda r: cpu_limits(r.resources)[1]
    ),
    _Kind("container_spec_cpu_shares", "gauge", "CPU shares.", lambda r: cpu_limits(r.resources)[2]),
    _Kind("container_processes", "gauge", "Processes.", lambda r: r.sample.processes),
    _Kind("container_threads", "gauge", "Threads, those of all processes.", lambda r: r.sample.pids_current),
    _Kind("container_start_time_seconds", "gauge", "Start, in Unix time.", lambda r: r.started_ns / _SECOND_NS),
    _Kind(
        "container_last_seen",
        "gauge",
        "When the container was last sampled, in Unix time.",
        lambda r: r.seen_ns // _SECOND_NS,
    ),
    _Kind("container_oom_events", "counter", "Processes killed for want of memory.", lambda r: r.sample.oom_kills),
)
_NETWORK: Final = (
    ("container_network_receive_bytes", "Bytes received.", "rx_bytes"),
    ("container_network_receive_packets", "Packets received.", "rx_packets"),
    ("container_network_receive_packets_dropped", "Packets dropped while receiving.", "rx_dropped"),
    ("container_network_receive_errors", "Errors while receiving.", "rx_errors"),
    ("container_network_transmit_bytes", "Bytes sent.", "tx_bytes"),
    ("container_network_transmit_packets", "Packets sent.", "tx_packets"),
    ("container_network_transmit_packets_dropped", "Packets dropped while sending.", "tx_dropped"),
    ("container_network_transmit_errors", "Errors while sending.", "tx_errors"),
)
_DISK: Final = (
    ("container_fs_reads", "Reads from the device.", "read_ops"),
    ("container_fs_reads_bytes", "Bytes read from the device.", "read_bytes"),
    ("container_fs_writes", "Writes to the device.", "write_ops"),
    ("container_fs_writes_bytes", "Bytes written to the device.", "write_bytes"),
)


def container_families(readings: Iterable[Reading]) -> Iterator[Metric]:
    """All families of containers, also empty ones: the set of names is always the same."""
    all_of = [(reading, {"id": reading.id, "image": reading.image, "name": reading.name}) for reading in readings]
    yield _cpu_usage(all_of)
    for kind in _KINDS:
        metric, sample_name = _family(kind.name, kind.help, kind.type)
        value = kind.value
        metric.samples = [Sample(sample_name, labels, value(reading)) for reading, labels in all_of]
        yield metric
    yield _cpu_quota(all_of)
    yield from _network(all_of)
    yield from _disk(all_of)


def node_families(node: NodeReading) -> Iterator[Metric]:
    """The machine's size, and the agent's own gauges."""
    yield _single("machine_cpu_cores", "Logical CPUs of the node.", node.cpus)
    yield _single("machine_memory_bytes", "Memory of the node.", node.memory_total)
    by_state = {state.value: node.states.get(state, 0) for state in State}
    yield _labelled("seaway_agent_containers", "Containers on this node by state.", "state", by_state)
    yield _labelled("seaway_agent_pool_ready", "Network sandboxes ready to be taken.", "mode", node.ready)
    text = "Containers left out of scrapes, as there were more than the agent is set to export."
    yield _single("seaway_agent_metrics_dropped", text, node.dropped, "counter")


_Labelled = list[tuple[Reading, dict[str, str]]]


def _family(name: str, text: str, kind: str) -> tuple[Metric, str]:
    """An empty family, and the name of its samples."""
    return Metric(name, text, kind), f"{name}_total" if kind == "counter" else name


def _single(name: str, text: str, value: float, kind: str = "gauge") -> Metric:
    metric, sample_name = _family(name, text, kind)
    metric.samples = [Sample(sample_name, {}, value)]
    return metric


def _labelled(name: str, text: str, label: str, values: Mapping[str, int]) -> Metric:
    metric, sample_name = _family(name, text, "gauge")
    metric.samples = [Sample(sample_name, {label: key}, value) for key, value in values.items()]
    return metric


def _cpu_usage(all_of: _Labelled) -> Metric:
    metric, name = _family("container_cpu_usage_seconds", "CPU time used.", "counter")
    metric.samples = [
        Sample(name, {**labels, "cpu": "total"}, r.sample.cpu_usage_ns / _SECOND_NS) for r, labels in all_of
    ]
    return metric


def _cpu_quota(all_of: _Labelled) -> Metric:
    """Only of containers that have one, as cAdvisor does."""
    text = "CPU time in microseconds that the container may use in a period."
    metric, name = _family("container_spec_cpu_quota", text, "gauge")
    metric.samples = [Sample(name, labels, quota) for r, labels in all_of if (quota := cpu_limits(r.resources)[0])]
    return metric


def _network(all_of: _Labelled) -> Iterator[Metric]:
    connected = [
        (counters, {**labels, "interface": interface})
        for reading, labels in all_of
        for interface, counters in reading.interfaces.items()
    ]
    for family, text, counter in _NETWORK:
        metric, name = _family(family, text, "counter")
        metric.samples = [Sample(name, labels, getattr(counters, counter)) for counters, labels in connected]
        yield metric


def _disk(all_of: _Labelled) -> Iterator[Metric]:
    used = []
    for reading, labels in all_of:
        for io in reading.sample.block_io:
            number = f"{io.major}:{io.minor}"
            used.append((io, {**labels, "device": (reading.devices or {}).get(number, number)}))
    for family, text, counter in _DISK:
        metric, name = _family(family, text, "counter")
        metric.samples = [Sample(name, labels, getattr(io, counter)) for io, labels in used]
        yield metric
