"""The program that builds images. Pure."""

from typing import Final

from seaway_scheduler.cluster import Cluster
from seaway_scheduler.demand import Demand
from seaway_scheduler.filters.check import Check
from seaway_scheduler.node import Node

NO_BUILDER: Final = "no builder (apt-get install buildah)"


def check(demand: Demand, cluster: Cluster) -> Check | None:
    """Refuses nodes without one for a build of an image."""
    return _ask if demand.request.builds else None


def _ask(node: Node) -> str | None:
    return None if node.beat.facts.builder else NO_BUILDER
