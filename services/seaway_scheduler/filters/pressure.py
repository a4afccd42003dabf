"""Nodes that run out of memory or disk space. Pure."""

from seaway_scheduler.cluster import Cluster
from seaway_scheduler.demand import Demand
from seaway_scheduler.filters.check import Check
from seaway_scheduler.node import Node


def check(demand: Demand, cluster: Cluster) -> Check | None:
    """Refuses nodes under pressure."""
    return _ask


def _ask(node: Node) -> str | None:
    if not node.beat.pressure:
        return None
    return f"running out of {' and '.join(node.beat.pressure)}"
