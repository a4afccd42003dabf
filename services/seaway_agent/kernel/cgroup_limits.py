"""Pure: new limits of a running container → writes, in an order that the kernel accepts."""

from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from seaway_contracts.containers import Resources

_UNLIMITED: Final = -1
DEFAULT_PERIOD_US: Final = 100_000
_REALTIME_PERIOD_US: Final = 1_000_000
_CORE: Final = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits to change; None: unchanged, -1: unlimited.

    Sizes in bytes; `memory_swap` is memory and swap together (Docker's MemorySwap). Times in microseconds.
    """

    memory: int | None = None
    memory_swap: int | None = None
    memory_reservation: int | None = None
    cpu_shares: int | None = None
    cpu_quota_us: int | None = None
    cpu_period_us: int | None = None
    realtime_period_us: int | None = None
    realtime_runtime_us: int | None = None
    cpuset_cpus: str | None = None
    cpuset_mems: str | None = None
    pids: int | None = None
    blkio_weight: int | None = None


_PLAIN: Final = {
    "memory": "memory",
    "memory_swap": "memory_swap",
    "memory_reservation": "memory_reservation",
    "cpu_shares": "cpu_shares",
    "cpu_quota": "cpu_quota_us",
    "cpu_period": "cpu_period_us",
    "cpu_realtime_period": "realtime_period_us",
    "cpu_realtime_runtime": "realtime_runtime_us",
    "cpuset_cpus": "cpuset_cpus",
    "cpuset_mems": "cpuset_mems",
    "blkio_weight": "blkio_weight",
}
_LIFTED: Final[dict[str, int]] = {
    "memory": _UNLIMITED,
    "memory_swap": _UNLIMITED,
    "memory_reservation": _UNLIMITED,
    "cpu_shares": 1024,
    "cpu_quota": _UNLIMITED,
    "cpu_period": DEFAULT_PERIOD_US,
    "cpu_realtime_period": _REALTIME_PERIOD_US,
}


def changed_limits(changes: Resources) -> Limits:
    """The limits that an update changes; fields at their default stay unchanged."""
    found: dict[str, Any] = {_PLAIN[name]: value for name in _PLAIN if (value := getattr(changes, name))}
    if changes.nano_cpus:
        found["cpu_period_us"] = DEFAULT_PERIOD_US
        found["cpu_quota_us"] = changes.nano_cpus * DEFAULT_PERIOD_US // _CORE
    if changes.pids_limit is not None:
        found["pids"] = changes.pids_limit if changes.pids_limit > 0 else _UNLIMITED
    return Limits(**found)


def former_limits(changes: Resources, old: Resources) -> Limits:
    """The limits that revert an update."""
    back = {
        name: getattr(old, name) or _LIFTED.get(name, getattr(old, name)) for name in _PLAIN if getattr(changes, name)
    }
    if changes.nano_cpus:
        back |= {"nano_cpus": old.nano_cpus} if old.nano_cpus else {"cpu_quota": _UNLIMITED}
    if changes.pids_limit is not None:
        back["pids_limit"] = old.pids_limit or _UNLIMITED
    return changed_limits(Resources(**back))


class Write(NamedTuple):
    """One write into a file of one controller's cgroup directory."""

    controller: str
    file: str
    value: str


def _exceeds(new: int, current: int | None) -> bool:
    """Whether a limit is higher than the current one, where None and -1 are no limit."""
    return current is not None and (new == _UNLIMITED or new > current)


def writes_v1(limits: Limits, *, memory_swap_now: int | None) -> list[Write]:
    """The writes for cgroup v1. `memory_swap_now` is memory.memsw.limit_in_bytes (None: unlimited).

    memory may never exceed memsw, not even between two writes: raise memsw first, lower it last.
    """
    memory = _numbers_v1("memory", ("memory.limit_in_bytes", limits.memory))
    swap = _numbers_v1("memory", ("memory.memsw.limit_in_bytes", limits.memory_swap))
    raises = limits.memory_swap is not None and _exceeds(limits.memory_swap, memory_swap_now)
    return [
        *(swap + memory if raises else memory + swap),
        *_numbers_v1("memory", ("memory.soft_limit_in_bytes", limits.memory_reservation)),
        *_numbers_v1(
            "cpu",
            ("cpu.shares", limits.cpu_shares),
            ("cpu.cfs_period_us", limits.cpu_period_us),
            ("cpu.cfs_quota_us", limits.cpu_quota_us),
            ("cpu.rt_period_us", limits.realtime_period_us),
            ("cpu.rt_runtime_us", limits.realtime_runtime_us),
        ),
        *_cpuset(limits),
        *([] if limits.pids is None else [Write("pids", "pids.max", _or_max(limits.pids))]),
    ]


def writes_v2(limits: Limits, *, memory_now: int | None, quota_now: int | None, period_now: int) -> list[Write]:
    """The writes for cgroup v2, where swap is counted separately and quota and period share a file."""
    writes = []
    if limits.memory is not None:
        writes.append(Write("memory", "memory.max", _or_max(limits.memory)))
    if limits.memory_swap is not None:
        writes.append(Write("memory", "memory.swap.max", _swap_alone(limits, memory_now)))
    if limits.memory_reservation is not None:
        writes.append(Write("memory", "memory.low", _or_max(limits.memory_reservation)))
    if limits.cpu_shares is not None:
        writes.append(Write("cpu", "cpu.weight", str(weight_of_shares(limits.cpu_shares))))
    if limits.cpu_quota_us is not None or limits.cpu_period_us is not None:
        quota = limits.cpu_quota_us if limits.cpu_quota_us is not None else quota_now
        shown = "max" if quota is None else _or_max(quota)
        writes.append(Write("cpu", "cpu.max", f"{shown} {limits.cpu_period_us or period_now}"))
    writes += _cpuset(limits)
    if limits.pids is not None:
        writes.append(Write("pids", "pids.max", _or_max(limits.pids)))
    return writes


def weight_of_shares(shares: int) -> int:
    """cpu.shares (2-262144) as cpu.weight (1-10000), by the linear mapping of crun 1.21 and runc 1.1."""
    return 1 + (min(max(shares, 2), 262_144) - 2) * 9999 // 262_142


def _swap_alone(limits: Limits, memory_now: int | None) -> str:
    memory = limits.memory if limits.memory is not None else memory_now
    if limits.memory_swap in (None, _UNLIMITED) or memory in (None, _UNLIMITED):
        return "max"
    assert limits.memory_swap is not None and memory is not None
    return str(max(limits.memory_swap - memory, 0))


def _numbers_v1(controller: str, *files: tuple[str, int | None]) -> list[Write]:
    return [Write(controller, file, str(value)) for file, value in files if value is not None]


def _cpuset(limits: Limits) -> list[Write]:
    files = (("cpuset.cpus", limits.cpuset_cpus), ("cpuset.mems", limits.cpuset_mems))
    return [Write("cpuset", file, value) for file, value in files if value is not None]


def _or_max(value: int) -> str:
    return "max" if value == _UNLIMITED else str(value)
