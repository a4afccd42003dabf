"""A container's limits in OCI's form (runtime spec, config-linux.md). Pure."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from seaway_contracts.containers import DeviceLimit, Resources

Json = dict[str, Any]
_PERIOD_US: Final = 100_000


def limits(asked: Resources, block_devices: Mapping[str, tuple[int, int]], *, weights: bool, cgroup_v2: bool) -> Json:
    """The limits but for devices. `block_devices`: path → major and minor; `weights`: the kernel knows I/O weights."""
    section: Json = {
        "memory": _memory(asked, cgroup_v2=cgroup_v2),
        "cpu": _cpu(asked),
        "blockIO": _block_io(asked, block_devices, weights=weights),
    }
    if asked.pids_limit is not None and asked.pids_limit > 0:
        section["pids"] = {"limit": asked.pids_limit}
    return {key: value for key, value in section.items() if value}


def throttled(asked: Resources) -> tuple[str, ...]:
    """The block devices with limits."""
    groups = (
        asked.blkio_weight_device,
        asked.blkio_read_bps,
        asked.blkio_write_bps,
        asked.blkio_read_iops,
        asked.blkio_write_iops,
    )
    return tuple(dict.fromkeys(limit.path for group in groups for limit in group))


def _memory(asked: Resources, *, cgroup_v2: bool) -> Json:
    section: Json = {}
    if asked.memory > 0:
        section["limit"] = asked.memory
        section["swap"] = asked.memory_swap or 2 * asked.memory
    if asked.memory_reservation > 0:
        section["reservation"] = asked.memory_reservation
    if cgroup_v2:  # which has neither
        return section
    if asked.memory_swappiness is not None and asked.memory_swappiness >= 0:
        section["swappiness"] = asked.memory_swappiness
    if asked.oom_kill_disable:
        section["disableOOMKiller"] = True
    return section


def _cpu(asked: Resources) -> Json:
    section: Json = {}
    if asked.nano_cpus:
        section["period"], section["quota"] = _PERIOD_US, asked.nano_cpus * _PERIOD_US // 1_000_000_000
    given = {
        "period": asked.cpu_period,
        "quota": asked.cpu_quota,
        "shares": asked.cpu_shares,
        "realtimePeriod": asked.cpu_realtime_period,
        "realtimeRuntime": asked.cpu_realtime_runtime,
        "cpus": asked.cpuset_cpus,
        "mems": asked.cpuset_mems,
    }
    return section | {key: value for key, value in given.items() if value}


def _block_io(asked: Resources, found: Mapping[str, tuple[int, int]], *, weights: bool) -> Json:
    section: Json = {
        "throttleReadBpsDevice": _per_device(asked.blkio_read_bps, "rate", found),
        "throttleWriteBpsDevice": _per_device(asked.blkio_write_bps, "rate", found),
        "throttleReadIOPSDevice": _per_device(asked.blkio_read_iops, "rate", found),
        "throttleWriteIOPSDevice": _per_device(asked.blkio_write_iops, "rate", found),
    }
    if weights:
        section["weight"] = asked.blkio_weight
        section["weightDevice"] = _per_device(asked.blkio_weight_device, "weight", found)
    return {key: value for key, value in section.items() if value}


def _per_device(limits: Sequence[DeviceLimit], key: str, found: Mapping[str, tuple[int, int]]) -> list[Json]:
    return [
        {"major": major, "minor": minor, key: limit.value} for limit in limits for major, minor in (found[limit.path],)
    ]
