"""Nodes that beat. Pure."""

from seaway_scheduler.cluster import Cluster
from seaway_scheduler.demand import Demand
from seaway_scheduler.filters.check import Check
from seaway_scheduler.node import Node

_DOWN = "down"


def check(demand: Demand, cluster: Cluster) -> Check | None:
    """Refuses nodes that are down."""
    return _ask


def _ask(node: Node) -> str | None:
    return None if node.up else _DOWN
