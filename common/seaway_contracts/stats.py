"""Samples of containers' resource use, for `docker stats`. Times in nanoseconds, sizes in bytes."""

from pydantic import Field

from seaway_contracts.base import Payload


class DeviceTraffic(Payload):
    """Reads and writes of one block device since the run began."""

    major: int
    minor: int
    read_bytes: int = 0
    write_bytes: int = 0
    read_ops: int = 0
    write_ops: int = 0


class InterfaceTraffic(Payload):
    """Traffic of one interface, as the container sees it."""

    name: str
    rx_bytes: int = 0
    rx_packets: int = 0
    rx_errors: int = 0
    rx_dropped: int = 0
    tx_bytes: int = 0
    tx_packets: int = 0
    tx_errors: int = 0
    tx_dropped: int = 0


class Sample(Payload):
    """A container's resource use at one moment; only id and name (`time_ns` 0) if it doesn't run.

    `memory_stat` has the kernel's own names. A limit of 0 means that there is none.
    """

    id: str
    name: str = ""
    time_ns: int = 0
    cpu_usage_ns: int = 0
    cpu_user_ns: int = 0
    cpu_system_ns: int = 0
    cpu_each_ns: tuple[int, ...] = ()
    cpu_periods: int = 0
    cpu_throttled_periods: int = 0
    cpu_throttled_ns: int = 0
    memory_usage: int = 0
    memory_max_usage: int = 0
    memory_limit: int = 0
    memory_failcnt: int = 0
    memory_stat: dict[str, int] = Field(default_factory=dict)
    pids_current: int = 0
    pids_limit: int = 0
    devices: tuple[DeviceTraffic, ...] = ()
    interfaces: tuple[InterfaceTraffic, ...] = ()


class SampleBatch(Payload):
    """A node's samples of its watched containers: one line of JSON on the stream.

    `host_cpu_ns`: the time of all the host's CPUs together, used and idle. `gone`: ids that the node doesn't hold.
    """

    samples: tuple[Sample, ...] = ()
    gone: tuple[str, ...] = ()
    host_cpu_ns: int = 0
    host_cpus: int = 0
    host_memory: int = 0
    cgroup_v2: bool = False


class WatchStats(Payload):
    """Open the byte stream `stream`. The node reads lines of `WatchedContainers` and writes lines of `SampleBatch`."""

    stream: str


class WatchedContainers(Payload):
    """The ids to sample once a second from now on, and the ids to stop sampling."""

    add: tuple[str, ...] = ()
    drop: tuple[str, ...] = ()
