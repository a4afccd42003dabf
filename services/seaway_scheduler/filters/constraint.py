"""Constraints on nodes. Pure."""

from seaway_scheduler.cluster import Cluster
from seaway_scheduler.demand import Demand
from seaway_scheduler.filters.check import Check, Wish
from seaway_scheduler.node import Node


def check(demand: Demand, cluster: Cluster) -> Check | None:
    """Refuses nodes that don't meet a constraint."""
    asked = [(one, f"constraint {one.condition} not met") for one in demand.constraints if not one.condition.soft]

    def ask(node: Node) -> str | None:
        for one, reason in asked:
            if not one.allows(node.traits):
                return reason
        return None

    return ask if asked else None


def wish(demand: Demand, cluster: Cluster) -> Wish | None:
    """Prefers nodes that meet all soft constraints."""
    soft = [one for one in demand.constraints if one.condition.soft]

    def ask(node: Node) -> bool:
        return all(one.allows(node.traits) for one in soft)

    return ask if soft else None
