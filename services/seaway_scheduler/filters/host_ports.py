"""Host ports: a container goes where they are free; if no node has them free, its start fails. Pure."""

from seaway_scheduler.cluster import Cluster
from seaway_scheduler.demand import Demand
from seaway_scheduler.filters.check import Wish
from seaway_scheduler.node import Node


def wish(demand: Demand, cluster: Cluster) -> Wish | None:
    """Prefers nodes where all host ports are free."""
    ports, taken = demand.host_ports, cluster.holdings.ports

    def ask(node: Node) -> bool:
        return ports.isdisjoint(taken(node.name))

    return ask if ports else None
