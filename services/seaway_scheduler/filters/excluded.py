"""Nodes that have refused the container already, as they had less room than the scheduler knew. Pure."""

from seaway_scheduler.cluster import Cluster
from seaway_scheduler.demand import Demand
from seaway_scheduler.filters.check import Check
from seaway_scheduler.node import Node

_REFUSED = "refused it already"


def check(demand: Demand, cluster: Cluster) -> Check | None:
    """Refuses the nodes that the request excludes."""
    excluded = frozenset(demand.request.excluded)

    def ask(node: Node) -> str | None:
        return _REFUSED if node.name in excluded else None

    return ask if excluded else None
