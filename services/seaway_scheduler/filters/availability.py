"""Nodes that operators have paused or are draining. Pure."""

from seaway_scheduler.cluster import Cluster
from seaway_scheduler.demand import Demand
from seaway_scheduler.filters.check import Check
from seaway_scheduler.node import Node

_REASONS = {"pause": "paused", "drain": "being drained"}


def check(demand: Demand, cluster: Cluster) -> Check | None:
    """Refuses nodes that are not active."""
    return _ask


def _ask(node: Node) -> str | None:
    return None if node.availability == "active" else _REASONS[node.availability]
