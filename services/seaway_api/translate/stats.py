"""A sample as `GET /containers/{id}/stats` shows it (Docker API 1.45, moby 26.1 `daemon/stats_unix.go`). Pure."""

from typing import Any, Final

import orjson

from seaway_contracts.stats import DeviceTraffic, Sample, SampleBatch
from seaway_docker.timestamps import ZERO_TIME, rfc3339nano

_V1_MEMORY: Final = (
    "active_anon", "active_file", "cache", "dirty", "hierarchical_memory_limit", "hierarchical_memsw_limit",
    "inactive_anon", "inactive_file", "mapped_file", "pgfault", "pgmajfault", "pgpgin", "pgpgout", "rss", "rss_huge",
    "total_active_anon", "total_active_file", "total_cache", "total_dirty", "total_inactive_anon",
    "total_inactive_file", "total_mapped_file", "total_pgfault", "total_pgmajfault", "total_pgpgin", "total_pgpgout",
    "total_rss", "total_rss_huge", "total_unevictable", "total_writeback", "unevictable", "writeback",
)  # fmt: skip
_V2_MEMORY: Final = (
    "active_anon", "active_file", "anon", "anon_thp", "file", "file_dirty", "file_mapped", "file_writeback",
    "inactive_anon", "inactive_file", "kernel_stack", "pgactivate", "pgdeactivate", "pgfault", "pglazyfree",
    "pglazyfreed", "pgmajfault", "pgrefill", "pgscan", "pgsteal", "shmem", "slab", "slab_reclaimable",
    "slab_unreclaimable", "sock", "thp_collapse_alloc", "thp_fault_alloc", "unevictable", "workingset_activate",
    "workingset_nodereclaim", "workingset_refault",
)  # fmt: skip
_UNUSED_IO: Final = (
    "io_queue_recursive", "io_service_time_recursive", "io_wait_time_recursive", "io_merged_recursive",
    "io_time_recursive", "sectors_recursive",
)  # fmt: skip
_NO_CPU: Final[dict[str, Any]] = {
    "cpu_usage": {"total_usage": 0, "usage_in_kernelmode": 0, "usage_in_usermode": 0},
    "throttling_data": {"periods": 0, "throttled_periods": 0, "throttled_time": 0},
}
_NO_IO: Final = dict.fromkeys(("io_service_bytes_recursive", "io_serviced_recursive", *_UNUSED_IO))


class Shown:
    """A sample in Docker's form, and the part of it that the next one repeats."""

    __slots__ = ("cpu", "fields", "read", "runs", "time_ns")

    def __init__(self, sample: Sample, batch: SampleBatch) -> None:
        self.runs = sample.time_ns > 0
        self.time_ns = sample.time_ns
        self.read = rfc3339nano(sample.time_ns) if self.runs else ZERO_TIME
        self.cpu = cpu_stats(sample, batch) if self.runs else _NO_CPU
        self.fields = _fields(sample, batch) if self.runs else _idle_fields(sample)

    def line(self, before: "Shown | None") -> bytes:
        """One line of JSON. `before`: the sample that rates are reckoned from."""
        whole = {
            "read": self.read,
            "preread": before.read if before is not None else ZERO_TIME,
            **self.fields,
            "cpu_stats": self.cpu,
            "precpu_stats": before.cpu if before is not None else _NO_CPU,
        }
        return orjson.dumps(whole, option=orjson.OPT_APPEND_NEWLINE)


def idle_line(identifier: str, name: str) -> bytes:
    """What is shown of a container that doesn't run."""
    return Shown(Sample(id=identifier, name=name), SampleBatch()).line(None)


def cpu_stats(sample: Sample, batch: SampleBatch) -> dict[str, Any]:
    """`cpu_stats`. The use of each CPU is known on cgroup v1 only."""
    usage: dict[str, Any] = {"total_usage": sample.cpu_usage_ns}
    if sample.cpu_each_ns:
        usage["percpu_usage"] = sample.cpu_each_ns
    usage |= {"usage_in_kernelmode": sample.cpu_system_ns, "usage_in_usermode": sample.cpu_user_ns}
    return {
        "cpu_usage": usage,
        "system_cpu_usage": batch.host_cpu_ns,
        "online_cpus": batch.host_cpus,
        "throttling_data": {
            "periods": sample.cpu_periods,
            "throttled_periods": sample.cpu_throttled_periods,
            "throttled_time": sample.cpu_throttled_ns,
        },
    }


def _fields(sample: Sample, batch: SampleBatch) -> dict[str, Any]:
    pids = {"current": sample.pids_current} | ({"limit": sample.pids_limit} if sample.pids_limit else {})
    fields: dict[str, Any] = {
        "pids_stats": pids,
        "blkio_stats": _blkio(sample, v2=batch.cgroup_v2),
        "num_procs": 0,
        "storage_stats": {},
        "memory_stats": _memory(sample, batch),
        "name": f"/{sample.name}",
        "id": sample.id,
    }
    if sample.interfaces:
        fields["networks"] = {one.name: one.model_dump(exclude={"name"}) for one in sample.interfaces}
    return fields


def _idle_fields(sample: Sample) -> dict[str, Any]:
    return {
        "pids_stats": {},
        "blkio_stats": _NO_IO,
        "num_procs": 0,
        "storage_stats": {},
        "memory_stats": {},
        "name": f"/{sample.name}",
        "id": sample.id,
    }


def _memory(sample: Sample, batch: SampleBatch) -> dict[str, Any]:
    """A limit above what the host has is none, and the host's memory stands for it."""
    stat = sample.memory_stat
    names = _V2_MEMORY if batch.cgroup_v2 else _V1_MEMORY
    limit = sample.memory_limit if 0 < sample.memory_limit < batch.host_memory else batch.host_memory
    shown: dict[str, Any] = {"usage": sample.memory_usage}
    if not batch.cgroup_v2:
        shown["max_usage"] = sample.memory_max_usage
    shown["stats"] = {name: stat[name] for name in names if name in stat}
    if sample.memory_failcnt:
        shown["failcnt"] = sample.memory_failcnt
    return shown | {"limit": limit}


def _blkio(sample: Sample, *, v2: bool) -> dict[str, Any]:
    nothing: list[Any] | None = None if v2 else []
    unused = dict.fromkeys(_UNUSED_IO, nothing)
    moved = [entry for device in sample.devices for entry in _traffic(device, "bytes", v2=v2)]
    served = None if v2 else [entry for device in sample.devices for entry in _traffic(device, "ops", v2=v2)]
    return {"io_service_bytes_recursive": moved, "io_serviced_recursive": served, **unused}


def _traffic(device: DeviceTraffic, kind: str, *, v2: bool) -> list[dict[str, Any]]:
    words = ("read", "write") if v2 else ("Read", "Write")
    return [
        {"major": device.major, "minor": device.minor, "op": word, "value": getattr(device, f"{word.lower()}_{kind}")}
        for word in words
    ]
