"""The families of containers that run, as cAdvisor has them. Pure.

Names, labels, types and units are cAdvisor's (docs/storage/prometheus.md and lib/metrics/prometheus.go there), so that
its dashboards and alerts work. docs/metrics.md says which of its families are missing, and why.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import Final

from seaway_agent.kernel.cgroup_sample import MemoryDetails
from seaway_agent.kernel.cgroup_text import BlockIo
from seaway_agent.metrics.exposition import Family, Kind, Many, Single, escaped
from seaway_agent.metrics.readings import DiskUse, Reading, cpu_limits
from seaway_agent.network.port import InterfaceCounters

_SECOND_NS: Final = 1_000_000_000


def _memory(name: str, kind: Kind, text: str, value: Callable[[MemoryDetails], int | None]) -> Family[Reading]:
    return Single(name, kind, text, lambda reading: value(reading.sample.memory_details))


def _pressure(name: str, text: str, file: str, *, full: bool) -> Family[Reading]:
    def value(reading: Reading) -> float | None:
        found = reading.sample.pressure.get(file)
        return None if found is None else (found.full_ns if full else found.some_ns) / _SECOND_NS

    return Single(f"container_pressure_{name}_seconds_total", "counter", text, value)


def _network(name: str, text: str, value: Callable[[InterfaceCounters], int]) -> Family[Reading]:
    def values(reading: Reading) -> Iterator[tuple[str, float]]:
        for interface, counters in reading.interfaces.items():
            yield f'interface="{escaped(interface)}"', value(counters)

    return Many(f"container_network_{name}_total", "counter", text, values)


def _io(name: str, text: str, value: Callable[[BlockIo], int]) -> Family[Reading]:
    def values(reading: Reading) -> Iterator[tuple[str, float]]:
        for io in reading.sample.block_io:
            yield f'device="{_device(reading, io)}"', value(io)

    return Many(f"container_fs_{name}_total", "counter", text, values)


def _disk(name: str, text: str, value: Callable[[DiskUse], int]) -> Family[Reading]:
    def values(reading: Reading) -> Iterable[tuple[str, float]]:
        return ((f'device="{escaped(disk.device)}"', value(disk)) for disk in reading.disks)

    return Many(f"container_fs_{name}", "gauge", text, values)


def _device(reading: Reading, io: BlockIo) -> str:
    number = f"{io.major}:{io.minor}"
    return reading.devices.get(number, number)


def _block_io(reading: Reading) -> Iterator[tuple[str, float]]:
    for io in reading.sample.block_io:
        head = f'device="{_device(reading, io)}",major="{io.major}",minor="{io.minor}",operation='
        yield f'{head}"Read"', io.read_bytes
        yield f'{head}"Write"', io.write_bytes


def _cpu_usage(reading: Reading) -> Iterable[tuple[str, float]]:
    return (('cpu="total"', reading.sample.cpu_usage_ns / _SECOND_NS),)


def _memory_failures(reading: Reading) -> Iterable[tuple[str, float]]:
    memory = reading.sample.memory_details
    return (
        ('failure_type="pgfault",scope="container"', memory.own_faults),
        ('failure_type="pgmajfault",scope="container"', memory.own_major_faults),
        ('failure_type="pgfault",scope="hierarchy"', memory.faults),
        ('failure_type="pgmajfault",scope="hierarchy"', memory.major_faults),
    )


def _health(reading: Reading) -> float:
    health = reading.status.health
    return -1 if health is None else int(health.status == "healthy")


def _ulimits(reading: Reading) -> Iterable[tuple[str, float]]:
    limit = reading.open_file_limit
    return () if limit is None else (('ulimit="max_open_files"', limit),)


CPU: Final[tuple[Family[Reading], ...]] = (
    Many("container_cpu_usage_seconds_total", "counter", "CPU time used.", _cpu_usage),
    Single(
        "container_cpu_user_seconds_total",
        "counter",
        "CPU time used in user mode.",
        lambda r: r.sample.cpu_user_ns / _SECOND_NS,
    ),
    Single(
        "container_cpu_system_seconds_total",
        "counter",
        "CPU time used in the kernel.",
        lambda r: r.sample.cpu_system_ns / _SECOND_NS,
    ),
    Single("container_cpu_cfs_periods_total", "counter", "CPU quota periods gone by.", lambda r: r.sample.cpu_periods),
    Single(
        "container_cpu_cfs_throttled_periods_total",
        "counter",
        "CPU quota periods in which the container was throttled.",
        lambda r: r.sample.cpu_throttled_periods,
    ),
    Single(
        "container_cpu_cfs_throttled_seconds_total",
        "counter",
        "Time for which the container was throttled by its CPU quota.",
        lambda r: r.sample.cpu_throttled_ns / _SECOND_NS,
    ),
    Single(
        "container_cpu_cfs_burst_periods_total",
        "counter",
        "CPU quota periods in which the container used saved time.",
        lambda r: r.sample.cpu_burst_periods,
    ),
    Single(
        "container_cpu_cfs_burst_seconds_total",
        "counter",
        "CPU time used beyond the quota of its period.",
        lambda r: r.sample.cpu_burst_ns / _SECOND_NS,
    ),
)
MEMORY: Final[tuple[Family[Reading], ...]] = (
    Single(
        "container_memory_usage_bytes",
        "gauge",
        "Memory in use, page cache included.",
        lambda r: r.sample.memory_usage,
    ),
    Single(
        "container_memory_working_set_bytes",
        "gauge",
        "Memory in use less the page cache that can be reclaimed at once.",
        lambda r: r.sample.memory_working_set,
    ),
    Single("container_memory_rss", "gauge", "Anonymous memory in bytes.", lambda r: r.sample.memory_rss),
    Single("container_memory_cache", "gauge", "Page cache in bytes.", lambda r: r.sample.memory_cache),
    Single("container_memory_mapped_file", "gauge", "Mapped files in bytes.", lambda r: r.sample.memory_mapped),
    Single(
        "container_memory_max_usage_bytes",
        "gauge",
        "The most memory that was in use.",
        lambda r: r.sample.memory_max_usage,
    ),
    Single(
        "container_memory_failcnt",
        "counter",
        "How often the memory limit was hit.",
        lambda r: r.sample.memory_failcnt,
    ),
    Single(
        "container_memory_total_inactive_file_bytes",
        "gauge",
        "Page cache that was not used lately.",
        lambda r: r.sample.memory_inactive_file,
    ),
    _memory("container_memory_total_active_file_bytes", "gauge", "Page cache used lately.", lambda m: m.active_file),
    _memory("container_memory_swap", "gauge", "Swap in use, in bytes.", lambda m: m.swap),
    _memory("container_memory_kernel_usage", "gauge", "Kernel memory in use, in bytes.", lambda m: m.kernel),
    _memory("container_memory_file_dirty_bytes", "gauge", "Page cache not written to disk yet.", lambda m: m.dirty),
    _memory(
        "container_memory_file_writeback_bytes",
        "gauge",
        "Page cache that is being written to disk.",
        lambda m: m.writeback,
    ),
    Many("container_memory_failures_total", "counter", "Page faults, by type and scope.", _memory_failures),
    _memory(
        "container_memory_events_high_total",
        "counter",
        "How often its processes were throttled at memory.high.",
        lambda m: m.high_events,
    ),
    _memory(
        "container_memory_events_max_total",
        "counter",
        "How often memory use was about to exceed memory.max.",
        lambda m: m.max_events,
    ),
    _memory("container_memory_pgscan_total", "counter", "Pages that reclaim looked at.", lambda m: m.scanned_pages),
    _memory("container_memory_pgsteal_total", "counter", "Pages that were reclaimed.", lambda m: m.reclaimed_pages),
    _memory(
        "container_memory_workingset_refault_anon_total",
        "counter",
        "Anonymous pages that were needed again soon after they were evicted.",
        lambda m: m.refaults_anon,
    ),
    _memory(
        "container_memory_workingset_refault_file_total",
        "counter",
        "File pages that were needed again soon after they were evicted.",
        lambda m: m.refaults_file,
    ),
    Single(
        "container_oom_events_total",
        "counter",
        "Processes that the OOM killer has killed.",
        lambda r: r.sample.oom_kills,
    ),
)
PRESSURE: Final[tuple[Family[Reading], ...]] = (
    _pressure("cpu_waiting", "Time in which some processes waited for a CPU.", "cpu.pressure", full=False),
    _pressure("cpu_stalled", "Time in which all processes waited for a CPU.", "cpu.pressure", full=True),
    _pressure("memory_waiting", "Time in which some processes waited for memory.", "memory.pressure", full=False),
    _pressure("memory_stalled", "Time in which all processes waited for memory.", "memory.pressure", full=True),
    _pressure("io_waiting", "Time in which some processes waited for I/O.", "io.pressure", full=False),
    _pressure("io_stalled", "Time in which all processes waited for I/O.", "io.pressure", full=True),
)
NETWORK: Final[tuple[Family[Reading], ...]] = (
    _network("receive_bytes", "Bytes received.", lambda c: c.rx_bytes),
    _network("receive_packets", "Packets received.", lambda c: c.rx_packets),
    _network("receive_packets_dropped", "Packets dropped while receiving.", lambda c: c.rx_dropped),
    _network("receive_errors", "Errors while receiving.", lambda c: c.rx_errors),
    _network("transmit_bytes", "Bytes sent.", lambda c: c.tx_bytes),
    _network("transmit_packets", "Packets sent.", lambda c: c.tx_packets),
    _network("transmit_packets_dropped", "Packets dropped while sending.", lambda c: c.tx_dropped),
    _network("transmit_errors", "Errors while sending.", lambda c: c.tx_errors),
)
DISK: Final[tuple[Family[Reading], ...]] = (
    _io("reads", "Reads from the device.", lambda io: io.read_ops),
    _io("reads_bytes", "Bytes read from the device.", lambda io: io.read_bytes),
    _io("writes", "Writes to the device.", lambda io: io.write_ops),
    _io("writes_bytes", "Bytes written to the device.", lambda io: io.write_bytes),
    Many("container_blkio_device_usage_total", "counter", "Bytes read from and written to the device.", _block_io),
    _disk("usage_bytes", "Bytes of the container's writable layer.", lambda d: d.used),
    _disk("limit_bytes", "Size of the file system that the writable layer is on.", lambda d: d.limit),
    _disk("inodes_total", "Inodes of that file system.", lambda d: d.inodes),
    _disk("inodes_free", "Free inodes of that file system.", lambda d: d.free_inodes),
)
PROCESSES: Final[tuple[Family[Reading], ...]] = (
    Single("container_processes", "gauge", "Processes.", lambda r: len(r.sample.processes)),
    Single("container_threads", "gauge", "Threads of all processes.", lambda r: r.sample.pids_current),
    Single(
        "container_threads_max",
        "gauge",
        "The most threads allowed; 0: any number.",
        lambda r: max(0, r.spec.resources.pids_limit or 0),
    ),
    Single("container_file_descriptors", "gauge", "Open file descriptors of all processes.", lambda r: r.open_files),
    Many("container_ulimits_soft", "gauge", "Soft limits of the first process.", _ulimits),
)
SPEC: Final[tuple[Family[Reading], ...]] = (
    Single(
        "container_spec_cpu_quota",
        "gauge",
        "CPU time per period in microseconds; only of containers with a quota.",
        lambda r: cpu_limits(r.spec.resources)[0] or None,
    ),
    Single(
        "container_spec_cpu_period",
        "gauge",
        "Period of the CPU quota in microseconds.",
        lambda r: cpu_limits(r.spec.resources)[1],
    ),
    Single("container_spec_cpu_shares", "gauge", "CPU shares.", lambda r: cpu_limits(r.spec.resources)[2]),
    Single(
        "container_spec_memory_limit_bytes",
        "gauge",
        "Memory limit; 0 without one.",
        lambda r: max(0, r.spec.resources.memory),
    ),
    Single(
        "container_spec_memory_swap_limit_bytes",
        "gauge",
        "Limit of memory and swap together; 0 without one.",
        lambda r: max(0, r.spec.resources.memory_swap),
    ),
    Single(
        "container_spec_memory_reservation_limit_bytes",
        "gauge",
        "Memory reservation; 0 without one.",
        lambda r: r.spec.resources.memory_reservation,
    ),
    Single(
        "container_creation_time_seconds",
        "gauge",
        "Unix time of the creation.",
        lambda r: r.spec.created_ns / _SECOND_NS,
    ),
    Single(
        "container_start_time_seconds", "gauge", "Unix time of the start.", lambda r: r.status.started_ns / _SECOND_NS
    ),
    Single(
        "container_health_state", "gauge", "1: healthy. 0: starting or unhealthy. -1: without health check.", _health
    ),
    Single("container_last_seen", "gauge", "Unix time of the last sample.", lambda r: r.seen_ns // _SECOND_NS),
)
HOST: Final = (*CPU, *MEMORY, *PRESSURE, *NETWORK, *DISK)
"""Families that also the whole host has."""
OWN: Final = (*PROCESSES, *SPEC)
"""Families of containers alone."""
