"""The OCI runtime that was asked for. Pure."""

from seaway_scheduler.cluster import Cluster
from seaway_scheduler.demand import Demand
from seaway_scheduler.filters.check import Check
from seaway_scheduler.node import Node


def check(demand: Demand, cluster: Cluster) -> Check | None:
    """Refuses nodes without that runtime. If no node has it, the chosen node refuses in Docker's words."""
    runtime = demand.request.runtime
    if not runtime or not cluster.has_runtime(runtime):
        return None
    reason = f"no runtime {runtime}"

    def ask(node: Node) -> str | None:
        return None if runtime in node.beat.facts.runtimes else reason

    return ask
