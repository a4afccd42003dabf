"""The node that the networks or volumes of a container require. Pure."""

from seaway_scheduler.cluster import Cluster
from seaway_scheduler.demand import Demand
from seaway_scheduler.filters.reason import Check, Reason
from seaway_scheduler.node import Node

_OTHER = Reason("is not the node of its networks or volumes", "are not the node of its networks or volumes")


def check(demand: Demand, cluster: Cluster) -> Check | None:
    """Refuses all nodes but the required one."""
    required = demand.request.node

    def ask(node: Node) -> Reason | None:
        return None if node.name == required else _OTHER

    return ask if required else None
