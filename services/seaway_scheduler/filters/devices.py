"""Reserved devices. Pure."""

from seaway_scheduler.cluster import Cluster
from seaway_scheduler.demand import Demand
from seaway_scheduler.filters.check import Check
from seaway_scheduler.node import Node


def check(demand: Demand, cluster: Cluster) -> Check | None:
    """Refuses nodes with too few free devices. If no node has any, the chosen node refuses in Docker's words."""
    asked = [
        (kind, count, f"not enough devices {kind}")
        for kind, count in demand.reservation.devices.items()
        if cluster.has_device(kind)
    ]

    def ask(node: Node) -> str | None:
        for kind, count, reason in asked:
            if count > node.room_devices.get(kind, 0):
                return reason
        return None

    return ask if asked else None
