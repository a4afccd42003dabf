"""The node that the networks or volumes of a container require. Pure."""

from seaway_scheduler.cluster import Cluster
from seaway_scheduler.demand import Demand
from seaway_scheduler.filters.check import Check
from seaway_scheduler.node import Node

_OTHER = "what it is bound to is on another node"


def check(demand: Demand, cluster: Cluster) -> Check | None:
    """Refuses all nodes but the required one."""
    required = demand.request.node

    def ask(node: Node) -> str | None:
        return None if node.name == required else _OTHER

    return ask if required else None
