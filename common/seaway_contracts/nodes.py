"""Nodes: capacity, heartbeats, records."""

from collections.abc import Iterable
from typing import Final, Literal

from pydantic import Field

from seaway_contracts.base import Payload
from seaway_contracts.containers import Resources
from seaway_contracts.node_settings import ClusterSettings, NodeSettings

NodeState = Literal["up", "down"]
CORE: Final = 1_000_000_000
"""One core, in the unit of `Capacity.nano_cpus`."""
GPU_KIND: Final = "nvidia.com/gpu"
MOST_ROUTES: Final = 1024
"""So many of a host's routes are reported."""
_PERIOD_US: Final = 100_000


class Capacity(Payload):
    """CPUs in billionths of a core, memory in bytes, processes, and the bytes of the file system of the agent's data.

    `pids` and `disk` are 0 if not reported.
    """

    nano_cpus: int
    memory: int
    pids: int = 0
    disk: int = 0


def wanted(resources: Resources) -> Capacity:
    """What a container takes of a node: its CPU limit, and its memory reservation or else its memory limit.

    Negative ones mean no limit in Docker.
    """
    cpus = max(0, resources.nano_cpus)
    if not cpus and resources.cpu_quota > 0:
        cpus = resources.cpu_quota * CORE // (resources.cpu_period or _PERIOD_US)
    return Capacity(nano_cpus=cpus, memory=max(0, resources.memory_reservation) or max(0, resources.memory))


class Reservation(Payload):
    """What is kept for containers: billionths of a core, bytes, and the number of devices of each CDI kind."""

    nano_cpus: int = 0
    memory: int = 0
    devices: dict[str, int] = Field(default_factory=dict)


def reservation(resources: Resources) -> Reservation:
    """What a container reserves of a node. Limits reserve nothing, nor do devices that are asked for by name, or all
    of them: as in Docker, containers share those. A negative reservation is none.
    """
    devices: dict[str, int] = {}
    for request in resources.device_requests:
        if request.count > 0 and any("gpu" in together for together in request.capabilities):
            devices[GPU_KIND] = devices.get(GPU_KIND, 0) + request.count
    cpus, memory = max(0, resources.cpu_reservation), max(0, resources.memory_reservation)
    return Reservation(nano_cpus=cpus, memory=memory, devices=devices)


def total(reservations: Iterable[Reservation]) -> Reservation:
    """The sum of reservations."""
    nano_cpus = memory = 0
    devices: dict[str, int] = {}
    for one in reservations:
        nano_cpus += one.nano_cpus
        memory += one.memory
        for kind, number in one.devices.items():
            devices[kind] = devices.get(kind, 0) + number
    return Reservation(nano_cpus=nano_cpus, memory=memory, devices=devices)


class BridgeFacts(Payload):
    """A node's bridge: interface name, subnet of its containers (CIDR notation), gateway address."""

    name: str = ""
    subnet: str = ""
    gateway: str = ""
    mtu: int = 0


class NodeFacts(Payload):
    """Facts about a node that seldom change, for `docker info` and placement."""

    hostname: str = ""
    address: str = ""
    """The IP address by which other machines reach this node; empty if it has none."""
    version: str = ""
    """The agent's version."""
    os: str = "linux"
    os_version: str = ""
    operating_system: str = ""
    architecture: str = "x86_64"
    kernel_version: str = ""
    cgroup_version: str = "1"
    cgroup_driver: str = "cgroupfs"
    runtimes: dict[str, str] = Field(default_factory=dict)
    default_runtime: str = "crun"
    security_options: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    labels: dict[str, str] = Field(default_factory=dict)
    root: str = ""
    volumes: str = ""
    """Where the node keeps volumes: each in a directory of its name, with its data in `_data`."""
    boot_id: str = ""
    builder: str = ""
    """The program that builds images; empty if the node has none."""
    cdi_directories: tuple[str, ...] = ()
    devices: dict[str, int] = Field(default_factory=dict)
    """The number of devices of each CDI kind (`nvidia.com/gpu`)."""
    bridge: BridgeFacts = Field(default_factory=BridgeFacts)
    routes: tuple[str, ...] = ()
    """The destinations of the host's routes, without its containers' networks and the default route (CIDR notation)."""


class Beat(Payload):
    """A node's heartbeat. `epoch` changes at each start of its agent, `inventory` at each change of a container.

    `leaving`: the last beat of an agent that stops; its containers continue. `monotonic_ns`: the monotonic clock since
    the boot that `facts` names; 0 if not reported. `free` is what the limits of running containers leave, `reserved`
    what all containers of the node reserve. `pressure`: what the node runs out of (`memory`, `disk`).
    """

    node: str
    epoch: str
    inventory: int
    time_ns: int
    interval_ns: int
    capacity: Capacity
    free: Capacity
    running: int
    containers: int
    reserved: Reservation = Field(default_factory=Reservation)
    pressure: tuple[str, ...] = ()
    leaving: bool = False
    monotonic_ns: int = 0
    facts_id: str = ""
    """It changes with the facts."""
    has_facts: bool = True
    """False: the facts are not sent with this beat; those of that id were sent before."""
    facts: NodeFacts = Field(default_factory=NodeFacts)


class KnownFacts(Payload):
    """A node's facts, and their id in its beats."""

    id: str
    facts: NodeFacts


class NodeRecord(Payload):
    """A node as the cluster knows it. `settings`: what operators have set for it; only in answers, not where stored."""

    node: str
    state: NodeState
    last_beat_ns: int
    since_ns: int
    beat: Beat
    settings: NodeSettings = Field(default_factory=lambda: NodeSettings(node=""))

    @property
    def labels(self) -> dict[str, str]:
        """The node's labels: those that operators have set replace its agent's own."""
        return {**self.beat.facts.labels, **self.settings.labels}


class NodeList(Payload):
    """All nodes that have joined and were not removed, and the cluster's settings."""

    nodes: tuple[NodeRecord, ...] = ()
    cluster: ClusterSettings = Field(default_factory=ClusterSettings)


class NodeEvent(Payload):
    """A node joined, went down, came back or was removed. `epoch`: of the agent that was removed."""

    node: str
    reason: str = ""
    epoch: str = ""
    attributes: dict[str, str] = Field(default_factory=dict)


class AddedNode(Payload):
    """A login was made for the agent of a node."""

    node: str


class RemoveNode(Payload):
    """Remove the node's record. `force`: even if it holds containers."""

    node: str
    force: bool = False


class RemovedNode(Payload):
    """The number of containers whose records were removed with the node."""

    containers: int = 0
