"""What is known of a container, and of the node, at a scrape. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from seaway_agent.kernel.cgroup_sample import CgroupSample
from seaway_agent.network.port import InterfaceCounters
from seaway_contracts.containers import ContainerSpec, ContainerStatus, Resources

_CORE: Final = 1_000_000_000
_PERIOD_US: Final = 100_000
_SHARES: Final = 1024


@dataclass(frozen=True, slots=True)
class DiskUse:
    """Bytes in use of a file system, or of a container's writable layer on it."""

    device: str
    used: int
    limit: int
    inodes: int
    free_inodes: int


@dataclass(frozen=True, slots=True)
class Reading:
    """A container that runs, or the whole host, which has no spec and no status. Times in Unix nanoseconds.

    `interfaces` are those of its own network sandbox; `devices` maps `8:0` to `/dev/sda`. `open_files` and
    `open_file_limit`: None where they can't be read. `disks` is empty until they were measured.
    """

    spec: ContainerSpec
    status: ContainerStatus
    seen_ns: int
    sample: CgroupSample
    interfaces: Mapping[str, InterfaceCounters] = field(default_factory=dict)
    devices: Mapping[str, str] = field(default_factory=dict)
    open_files: int | None = None
    open_file_limit: int | None = None
    disks: tuple[DiskUse, ...] = ()


def cpu_limits(resources: Resources) -> tuple[int, int, int]:
    """Quota (0: none), period (both microseconds) and shares as the kernel has them."""
    period = resources.cpu_period or _PERIOD_US
    quota = resources.cpu_quota or resources.nano_cpus * period // _CORE
    return max(quota, 0), period, resources.cpu_shares or _SHARES
