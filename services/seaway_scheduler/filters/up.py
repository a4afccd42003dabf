"""Nodes that beat. Pure."""

from seaway_scheduler.cluster import Cluster
from seaway_scheduler.demand import Demand
from seaway_scheduler.filters.reason import Check, Reason
from seaway_scheduler.node import Node

_DOWN = Reason("is down", "are down")


def check(demand: Demand, cluster: Cluster) -> Check | None:
    """Refuses nodes that are down."""
    return _ask


def _ask(node: Node) -> Reason | None:
    return None if node.up else _DOWN
