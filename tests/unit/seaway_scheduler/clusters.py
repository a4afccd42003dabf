"""Clusters for tests, and a scheduler that looks at everything each time: what the real one must agree with."""

from seaway_contracts.nodes import GPU_KIND, Capacity, NodeFacts, reservation, wanted
from seaway_contracts.placement import PlaceRequest
from seaway_scheduler import filters
from seaway_scheduler.cluster import Cluster
from seaway_scheduler.demand import Demand
from seaway_scheduler.node import Node, Policy
from seaway_scheduler.rank import RANKINGS, has_free, level, node_class
from seaway_testing.builders import GIB, beat, container_id

CORE = 1_000_000_000


def request(seed: int = 1, **fields: object) -> PlaceRequest:
    return PlaceRequest(container_id=container_id(seed), **fields)  # type: ignore[arg-type]


def add(cluster: Cluster, name: str, *, memory: int = 8 * GIB, cores: int = 4, **changes: object) -> Node:
    """A node that beats; it is idle unless the changes of its beat say otherwise."""
    whole = Capacity(nano_cpus=cores * CORE, memory=memory)
    facts = {key: changes.pop(key) for key in list(changes) if key in NodeFacts.model_fields}
    plain = {"capacity": whole, "free": whole, "facts": NodeFacts(**{"hostname": f"host-{name}"} | facts)}
    cluster.beat(beat(name, **(plain | changes)), 0.0)
    return cluster.nodes[name]


def named(*names: str) -> Cluster:
    """A cluster of idle nodes."""
    cluster = Cluster()
    for name in names:
        add(cluster, name)
    return cluster


def best_by_looking_at_all(wanted_: PlaceRequest, cluster: Cluster) -> str | None:
    """The node that must be chosen by spread or binpack, where no node has the image."""
    demand = Demand.of(wanted_)
    checks, wishes = list(filters.checks(demand, cluster).values()), list(filters.wishes(demand, cluster).values())
    if cluster.policy.strategy == "binpack" and (demand.cpus or demand.memory):
        wishes.append(lambda node: has_free(node, demand.cpus, demand.memory))
    ranking = RANKINGS[cluster.policy.strategy]
    fit = [node for node in cluster.nodes.values() if all(check(node) is None for check in checks)]
    if not fit:
        return None
    scores = {node.name: (*(wish(node) for wish in wishes), node.heard) for node in fit}
    fit = [node for node in fit if scores[node.name] == max(scores.values())]
    is_packed = cluster.policy.strategy == "binpack"
    groups: dict[object, list[Node]] = {}
    for node in fit:
        free = (level(node.free_memory), level(node.free_cpus)) if is_packed else ()
        key = node.heard, node_class(node), free, level(node.room_memory)
        groups.setdefault(key, []).append(node)
    firsts = [min(group, key=lambda node: (*ranking(node, 0, 0), node.name)) for group in groups.values()]
    return min(firsts, key=lambda node: (*ranking(node, demand.cpus, demand.memory), node.name)).name


def can_take(node: Node, wanted_: PlaceRequest, policy: Policy = Policy()) -> bool:  # noqa: B008 (frozen)
    """Whether it is up and has room for what is reserved, by its beat and its promises alone."""
    held = node.beat.reserved
    promised = [promise.reserved for promise in node.promises.values()]
    asked = reservation(wanted_.resources)
    memory = held.memory + sum(one.memory for one in promised) + asked.memory
    cpus = held.nano_cpus + sum(one.nano_cpus for one in promised) + asked.nano_cpus
    gpus = sum(one.devices.get(GPU_KIND, 0) for one in (held, *promised, asked))
    whole, share = node.beat.capacity, node.terms.reserved
    fits = (
        (not asked.memory or memory <= whole.memory * policy.memory_overcommit - share.memory)
        and (not asked.nano_cpus or cpus <= whole.nano_cpus * policy.cpu_overcommit - share.nano_cpus)
        and (not asked.devices or gpus <= node.beat.facts.devices.get(GPU_KIND, gpus))
    )
    return node.up and fits and wanted(wanted_.resources).nano_cpus <= whole.nano_cpus
