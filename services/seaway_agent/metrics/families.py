"""The families of a node: its size and load, what the agent holds, and `engine_daemon_*` as dockerd has them. Pure."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from math import inf
from typing import Final

from prometheus_client import Metric
from prometheus_client.metrics_core import HistogramMetricFamily
from prometheus_client.samples import Sample

from seaway_contracts.containers import State
from seaway_contracts.nodes import CORE, Capacity, Reservation
from seaway_kit.metrics import DOCKERD_BUCKETS

ACTIONS: Final[Mapping[str, str]] = {
    "container.create": "create",
    "container.start": "start",
    "container.remove": "delete",
    "container.commit": "commit",
    "container.changes": "changes",
}
"""Commands to the agent → what dockerd calls them in its metrics."""
_BOUNDS: Final = (*DOCKERD_BUCKETS, inf)
"""Each is also a bound of the times from which the actions are taken."""
_ENGINE_STATES: Final[Mapping[str, State]] = {"running": State.RUNNING, "paused": State.PAUSED}
_NONE: Final = Capacity(nano_cpus=0, memory=0)


@dataclass(frozen=True, slots=True)
class ActionTimes:
    """How often a command took how long: numbers of those at or below each bound in seconds, and the sum of seconds."""

    below: Mapping[float, float] = field(default_factory=dict)
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class NodeReading:
    """What is known of the node at a scrape.

    `dropped`: containers left out of scrapes so far. `engine`: the labels of `engine_daemon_engine_info`. `actions` by
    dockerd's word, `dns` by outcome, `volumes` by kind,
    `endpoints` by network.
    """

    cpus: int
    memory_total: int
    swap_total: int = 0
    states: Mapping[State, int] = field(default_factory=dict)
    ready: Mapping[str, int] = field(default_factory=dict)
    dropped: int = 0
    capacity: Capacity = _NONE
    free: Capacity = _NONE
    reserved: Reservation = field(default_factory=Reservation)
    volumes: Mapping[str, int] = field(default_factory=dict)
    networks: int = 0
    endpoints: Mapping[str, int] = field(default_factory=dict)
    dns: Mapping[str, int] = field(default_factory=dict)
    engine: Mapping[str, str] = field(default_factory=dict)
    actions: Mapping[str, ActionTimes] = field(default_factory=dict)


def node_families(node: NodeReading) -> Iterator[Metric]:
    """All of them, also those without samples: the set of names is always the same."""
    yield _single("machine_cpu_cores", "Logical CPUs of the node.", node.cpus)
    yield _single("machine_memory_bytes", "Memory of the node.", node.memory_total)
    yield _single("machine_swap_bytes", "Swap of the node.", node.swap_total)
    yield _version_info(node)
    yield from _agent(node)
    yield from _node(node)
    yield from _engine(node)


def _agent(node: NodeReading) -> Iterator[Metric]:
    by_state = {state.value: node.states.get(state, 0) for state in State}
    yield _labelled("seaway_agent_containers", "Containers on this node by state.", "state", by_state)
    yield _labelled("seaway_agent_pool_ready", "Network sandboxes ready to be taken.", "mode", node.ready)
    yield _labelled("seaway_agent_volumes", "Volumes on this node.", "kind", node.volumes)
    yield _single("seaway_agent_networks", "Networks that this node has.", node.networks)
    text = "Endpoints of running containers, by network."
    yield _labelled("seaway_agent_network_endpoints", text, "network", node.endpoints)
    text = "DNS questions of containers in networks of users, by outcome."
    yield _labelled("seaway_agent_dns_queries", text, "outcome", node.dns, "counter")
    text = "Containers left out of scrapes, as there were more than the agent is set to export."
    yield _single("seaway_agent_metrics_dropped", text, node.dropped, "counter")


def _node(node: NodeReading) -> Iterator[Metric]:
    """Capacity, what limits leave free of it, and what is reserved, as placement sees the node."""
    shares: dict[str, Capacity | Reservation] = {
        "capacity": node.capacity,
        "free": node.free,
        "reserved": node.reserved,
    }
    cores = {kind: share.nano_cpus / CORE for kind, share in shares.items()}
    memory = {kind: float(share.memory) for kind, share in shares.items()}
    yield _labelled("seaway_node_cpu_cores", "CPUs: capacity, free of limits, reserved.", "kind", cores)
    yield _labelled("seaway_node_memory_bytes", "Memory: capacity, free of limits, reserved.", "kind", memory)
    disk = {"capacity": node.capacity.disk, "free": node.free.disk}
    yield _labelled("seaway_node_disk_bytes", "Disk of the agent's data: capacity, free.", "kind", disk)
    pids = {"capacity": node.capacity.pids, "free": node.free.pids}
    yield _labelled("seaway_node_pids", "Processes of the host: capacity, free.", "kind", pids)


def _engine(node: NodeReading) -> Iterator[Metric]:
    states = {name: node.states.get(state, 0) for name, state in _ENGINE_STATES.items()}
    states["stopped"] = sum(node.states.values()) - sum(states.values())
    text = "The count of containers in various states."
    yield _labelled("engine_daemon_container_states_containers", text, "state", states)
    yield _single("engine_daemon_engine_cpus_cpus", "The number of CPUs of the engine's host.", node.cpus)
    yield _single("engine_daemon_engine_memory_bytes", "The memory of the engine's host.", node.memory_total)
    info = Metric("engine_daemon_engine_info", "The engine and the system that it runs on.", "gauge")
    info.samples = [Sample("engine_daemon_engine_info", dict(node.engine), 1)] if node.engine else []
    yield info
    yield _actions(node.actions)


def _actions(actions: Mapping[str, ActionTimes]) -> Metric:
    family = HistogramMetricFamily(
        "engine_daemon_container_actions_seconds", "The time that each container action took.", labels=["action"]
    )
    for action in ACTIONS.values():
        times = actions.get(action, ActionTimes())
        family.add_metric([action], [(_bound(bound), times.below.get(bound, 0)) for bound in _BOUNDS], times.seconds)
    return family


def _bound(bound: float) -> str:
    return "+Inf" if bound == inf else f"{bound:g}"


def _version_info(node: NodeReading) -> Metric:
    """As cAdvisor's, by which dashboards find its instances."""
    engine = node.engine
    labels = {
        "cadvisorRevision": "",
        "cadvisorVersion": "",
        "dockerVersion": engine.get("version", ""),
        "kernelVersion": engine.get("kernel", ""),
        "osVersion": engine.get("os", ""),
    }
    metric = Metric("cadvisor_version_info", "Versions of the kernel, the system and the agent.", "gauge")
    metric.samples = [Sample("cadvisor_version_info", labels, 1)] if engine else []
    return metric


def _family(name: str, text: str, kind: str) -> tuple[Metric, str]:
    """An empty family, and the name of its samples."""
    return Metric(name, text, kind), f"{name}_total" if kind == "counter" else name


def _single(name: str, text: str, value: float, kind: str = "gauge") -> Metric:
    metric, sample_name = _family(name, text, kind)
    metric.samples = [Sample(sample_name, {}, value)]
    return metric


def _labelled(name: str, text: str, label: str, values: Mapping[str, float], kind: str = "gauge") -> Metric:
    metric, sample_name = _family(name, text, kind)
    metric.samples = [Sample(sample_name, {label: key}, value) for key, value in values.items()]
    return metric
