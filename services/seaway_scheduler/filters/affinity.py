"""Affinities to containers, images and labels that a node has already. Pure."""

from seaway_scheduler.cluster import Cluster
from seaway_scheduler.demand import Demand
from seaway_scheduler.filters.check import Check, Wish
from seaway_scheduler.node import Node


def check(demand: Demand, cluster: Cluster) -> Check | None:
    """Refuses nodes that don't meet an affinity."""
    asked = [
        (one.condition.equal, cluster.holdings.matching(one), f"affinity {one.condition} not met")
        for one in demand.affinities
        if not one.condition.soft
    ]

    def ask(node: Node) -> str | None:
        for equal, nodes, reason in asked:
            if (node.name in nodes) is not equal:
                return reason
        return None

    return ask if asked else None


def wish(demand: Demand, cluster: Cluster) -> Wish | None:
    """Prefers nodes that meet all soft affinities."""
    soft = [(one.condition.equal, cluster.holdings.matching(one)) for one in demand.affinities if one.condition.soft]

    def ask(node: Node) -> bool:
        return all((node.name in nodes) is equal for equal, nodes in soft)

    return ask if soft else None
