"""Pure: the texts of a container's cgroup files → one sample, the same for cgroup v1 and v2."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from seaway_agent.kernel.cgroup_text import (
    BlockIo,
    parse_blkio_v1,
    parse_count,
    parse_io_v2,
    parse_keyed,
    parse_limit,
)

_USEC: Final = 1000
PROCESSES: Final = "cgroup.procs"
PRESSURE_FILES: Final = ("cpu.pressure", "memory.pressure", "io.pressure")
"""Files of cgroup2, also where it stands beside cgroup v1 (hybrid)."""

# The files of a sample: (controller, file).
V1_FILES: Final = (
    ("cpuacct", "cpuacct.usage"),
    ("cpuacct", "cpuacct.usage_user"),
    ("cpuacct", "cpuacct.usage_sys"),
    ("cpu", "cpu.stat"),
    ("memory", "memory.usage_in_bytes"),
    ("memory", "memory.max_usage_in_bytes"),
    ("memory", "memory.stat"),
    ("memory", "memory.failcnt"),
    ("memory", "memory.oom_control"),
    ("pids", "pids.current"),
    ("pids", PROCESSES),
    ("blkio", "blkio.throttle.io_service_bytes_recursive"),
    ("blkio", "blkio.throttle.io_serviced_recursive"),
)
V1_STATS: Final = (
    ("cpuacct", "cpuacct.usage_percpu"),
    ("memory", "memory.limit_in_bytes"),
    ("pids", "pids.max"),
)
V1_DETAILS: Final = (("memory", "memory.kmem.usage_in_bytes"),)
V2_FILES: Final = (
    ("cpu", "cpu.stat"),
    ("memory", "memory.current"),
    ("memory", "memory.peak"),
    ("memory", "memory.stat"),
    ("memory", "memory.events"),
    ("pids", "pids.current"),
    ("pids", PROCESSES),
    ("io", "io.stat"),
)
V2_STATS: Final = (("memory", "memory.max"), ("pids", "pids.max"))
V2_DETAILS: Final = (("memory", "memory.swap.current"),)
# …_STATS: what only `docker stats` shows. …_DETAILS: what only Prometheus is shown, with the pressure.


@dataclass(frozen=True, slots=True)
class Pressure:
    """Time in which work waited for a resource: `some` of the processes, or all of them (`full`). Nanoseconds."""

    some_ns: int = 0
    full_ns: int = 0


@dataclass(frozen=True, slots=True)
class MemoryDetails:
    """Parts and events of a cgroup's memory, sizes in bytes. None: the kernel doesn't count it.

    `own_faults` are those of the cgroup's own processes, `faults` include those of the cgroups below it.
    """

    swap: int = 0
    kernel: int | None = None
    active_file: int = 0
    dirty: int | None = None
    writeback: int | None = None
    faults: int = 0
    major_faults: int = 0
    own_faults: int = 0
    own_major_faults: int = 0
    scanned_pages: int | None = None
    reclaimed_pages: int | None = None
    refaults_anon: int | None = None
    refaults_file: int | None = None
    high_events: int | None = None
    max_events: int | None = None


@dataclass(frozen=True, slots=True)
class CgroupSample:
    """What a container has used so far. Times in nanoseconds, sizes in bytes; a limit is None where there is none.

    `memory_working_set` is usage less inactive page cache, which `docker stats` shows.
    `processes` are the ids of those of the cgroup itself; `pids_current` counts their threads.
    `memory_stat` has the kernel's own names and values for Docker's `memory_stats.stats`.
    """

    cpu_usage_ns: int = 0
    cpu_user_ns: int = 0
    cpu_system_ns: int = 0
    cpu_each_ns: tuple[int, ...] = ()
    cpu_periods: int = 0
    cpu_throttled_periods: int = 0
    cpu_throttled_ns: int = 0
    cpu_burst_periods: int = 0
    cpu_burst_ns: int = 0
    memory_usage: int = 0
    memory_max_usage: int = 0
    memory_limit: int | None = None
    memory_working_set: int = 0
    memory_rss: int = 0
    memory_cache: int = 0
    memory_mapped: int = 0
    memory_inactive_file: int = 0
    memory_failcnt: int = 0
    memory_stat: Mapping[str, int] | None = None
    memory_details: MemoryDetails = MemoryDetails()
    processes: tuple[str, ...] = ()
    pids_current: int = 0
    pids_limit: int | None = None
    block_io: tuple[BlockIo, ...] = ()
    oom_kills: int = 0
    pressure: Mapping[str, Pressure] = MappingProxyType({})
    """By file, such as `cpu.pressure`; empty without PSI in the kernel."""


def sample_v1(files: Mapping[str, str]) -> CgroupSample:
    """A sample of the texts of these files by file name; a missing file counts as empty."""
    read = files.get
    cpu = parse_keyed(read("cpu.stat", ""))
    memory = parse_keyed(read("memory.stat", ""))
    usage = parse_count(read("memory.usage_in_bytes", ""))
    inactive = memory.get("total_inactive_file", 0)
    bytes_name, ops_name = "blkio.throttle.io_service_bytes_recursive", "blkio.throttle.io_serviced_recursive"
    return CgroupSample(
        cpu_usage_ns=parse_count(read("cpuacct.usage", "")),
        cpu_user_ns=parse_count(read("cpuacct.usage_user", "")),
        cpu_system_ns=parse_count(read("cpuacct.usage_sys", "")),
        cpu_each_ns=tuple(int(part) for part in read("cpuacct.usage_percpu", "").split()),
        cpu_periods=cpu.get("nr_periods", 0),
        cpu_throttled_periods=cpu.get("nr_throttled", 0),
        cpu_throttled_ns=cpu.get("throttled_time", 0),
        cpu_burst_periods=cpu.get("nr_bursts", 0),
        cpu_burst_ns=cpu.get("burst_time", 0),
        memory_usage=usage,
        memory_max_usage=parse_count(read("memory.max_usage_in_bytes", "")),
        memory_limit=parse_limit(read("memory.limit_in_bytes", "")),
        memory_working_set=max(usage - inactive, 0),
        memory_rss=memory.get("total_rss", 0),
        memory_cache=memory.get("total_cache", 0),
        memory_mapped=memory.get("total_mapped_file", 0),
        memory_inactive_file=inactive,
        memory_failcnt=parse_count(read("memory.failcnt", "")),
        memory_stat=memory,
        memory_details=_details_v1(memory, read("memory.kmem.usage_in_bytes")),
        processes=tuple(read(PROCESSES, "").split()),
        pids_current=parse_count(read("pids.current", "")),
        pids_limit=parse_limit(read("pids.max", "")),
        block_io=parse_blkio_v1(read(bytes_name, ""), read(ops_name, "")),
        oom_kills=parse_keyed(read("memory.oom_control", "")).get("oom_kill", 0),
        pressure=_pressure(files),
    )


def sample_v2(files: Mapping[str, str]) -> CgroupSample:
    """A sample of the texts of these files by file name; a missing file counts as empty."""
    read = files.get
    cpu = parse_keyed(read("cpu.stat", ""))
    memory = parse_keyed(read("memory.stat", ""))
    events = parse_keyed(read("memory.events", ""))
    usage = parse_count(read("memory.current", ""))
    inactive = memory.get("inactive_file", 0)
    return CgroupSample(
        cpu_usage_ns=cpu.get("usage_usec", 0) * _USEC,
        cpu_user_ns=cpu.get("user_usec", 0) * _USEC,
        cpu_system_ns=cpu.get("system_usec", 0) * _USEC,
        cpu_periods=cpu.get("nr_periods", 0),
        cpu_throttled_periods=cpu.get("nr_throttled", 0),
        cpu_throttled_ns=cpu.get("throttled_usec", 0) * _USEC,
        cpu_burst_periods=cpu.get("nr_bursts", 0),
        cpu_burst_ns=cpu.get("burst_usec", 0) * _USEC,
        memory_usage=usage,
        memory_max_usage=parse_count(read("memory.peak", "")),
        memory_limit=parse_limit(read("memory.max", "")),
        memory_working_set=max(usage - inactive, 0),
        memory_rss=memory.get("anon", 0),
        memory_cache=memory.get("file", 0),
        memory_mapped=memory.get("file_mapped", 0),
        memory_inactive_file=inactive,
        memory_failcnt=events.get("max", 0),
        memory_stat=memory,
        memory_details=_details_v2(memory, events, read("memory.swap.current", "")),
        processes=tuple(read(PROCESSES, "").split()),
        pids_current=parse_count(read("pids.current", "")),
        pids_limit=parse_limit(read("pids.max", "")),
        block_io=parse_io_v2(read("io.stat", "")),
        oom_kills=events.get("oom_kill", 0),
        pressure=_pressure(files),
    )


def _details_v1(memory: Mapping[str, int], kernel: str | None) -> MemoryDetails:
    read = memory.get
    return MemoryDetails(
        swap=read("total_swap", 0),
        kernel=None if kernel is None else parse_count(kernel),
        active_file=read("total_active_file", 0),
        dirty=read("total_dirty"),
        writeback=read("total_writeback"),
        faults=read("total_pgfault", 0),
        major_faults=read("total_pgmajfault", 0),
        own_faults=read("pgfault", 0),
        own_major_faults=read("pgmajfault", 0),
        refaults_anon=read("total_workingset_refault_anon"),
        refaults_file=read("total_workingset_refault_file"),
    )


def _details_v2(memory: Mapping[str, int], events: Mapping[str, int], swap: str) -> MemoryDetails:
    """The own faults are not counted apart; a container has one cgroup, unless it makes more below it."""
    read = memory.get
    return MemoryDetails(
        swap=parse_count(swap),
        kernel=read("kernel"),
        active_file=read("active_file", 0),
        dirty=read("file_dirty"),
        writeback=read("file_writeback"),
        faults=read("pgfault", 0),
        major_faults=read("pgmajfault", 0),
        own_faults=read("pgfault", 0),
        own_major_faults=read("pgmajfault", 0),
        scanned_pages=read("pgscan"),
        reclaimed_pages=read("pgsteal"),
        refaults_anon=read("workingset_refault_anon"),
        refaults_file=read("workingset_refault_file"),
        high_events=events.get("high"),
        max_events=events.get("max"),
    )


def _pressure(files: Mapping[str, str]) -> Mapping[str, Pressure]:
    return {file: parse_pressure(files[file]) for file in PRESSURE_FILES if files.get(file)}


def parse_pressure(text: str) -> Pressure:
    """A pressure file ("some avg10=0.00 avg60=0.00 avg300=0.00 total=12" and the same for "full"; microseconds)."""
    totals = {line.split(" ", 1)[0]: line.rpartition("total=")[2] for line in text.splitlines()}
    return Pressure(parse_count(totals.get("some", "")) * _USEC, parse_count(totals.get("full", "")) * _USEC)
