"""Nodes: what they have, how they beat, what they hold."""

from typing import Final, Literal

from pydantic import Field

from seaway_contracts.base import Payload
from seaway_contracts.containers import Resources

NodeState = Literal["up", "down"]
CORE: Final = 1_000_000_000
"""One CPU, in Capacity's unit."""
_PERIOD_US: Final = 100_000


class Capacity(Payload):
    """What a node has. CPUs in billionths of a core, memory in bytes."""

    nano_cpus: int
    memory: int


def wanted(resources: Resources) -> Capacity:
    """What a container may come to use: its CPU limit, and its memory reservation or else its memory limit."""
    cpus = resources.nano_cpus
    if not cpus and resources.cpu_quota > 0:
        cpus = resources.cpu_quota * CORE // (resources.cpu_period or _PERIOD_US)
    return Capacity(nano_cpus=cpus, memory=resources.memory_reservation or resources.memory)


class BridgeFacts(Payload):
    """A node's bridge: the interface, and in CIDR notation and as an address what its containers live in."""

    name: str = ""
    subnet: str = ""
    gateway: str = ""
    mtu: int = 0


class NodeFacts(Payload):
    """What seldom changes about a node, for `docker info` and placement."""

    hostname: str = ""
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
    boot_id: str = ""
    cdi_directories: tuple[str, ...] = ()
    bridge: BridgeFacts = Field(default_factory=BridgeFacts)


class Beat(Payload):
    """A node's heartbeat. `epoch` changes with every start of its agent; `inventory` with every container change.

    `leaving`: the last one, of an agent that has been told to stop. Its containers go on. `monotonic_ns`: the time by a
    clock that only goes forward, since the boot that `facts` names; 0 where it isn't told.
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
    address: str = "127.0.0.1"
    leaving: bool = False
    monotonic_ns: int = 0
    facts: NodeFacts = Field(default_factory=NodeFacts)


class NodeRecord(Payload):
    """A node as the cluster knows it."""

    node: str
    state: NodeState
    last_beat_ns: int
    since_ns: int
    beat: Beat


class NodeList(Payload):
    """All nodes ever seen and not removed."""

    nodes: tuple[NodeRecord, ...] = ()


class NodeEvent(Payload):
    """A node joined, went down or came back."""

    node: str
    reason: str = ""
    attributes: dict[str, str] = Field(default_factory=dict)


class RemoveNode(Payload):
    """Remove the node's record. `force`: also where it holds containers."""

    node: str
    force: bool = False


class RemovedNode(Payload):
    """How many containers' records went with it."""

    containers: int = 0
