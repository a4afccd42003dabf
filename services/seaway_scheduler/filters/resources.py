"""Reservations of memory and CPUs, and CPU limits that no such machine could give. Pure."""

from seaway_scheduler.cluster import Cluster
from seaway_scheduler.demand import Demand
from seaway_scheduler.filters.check import Check
from seaway_scheduler.node import Node

_NO_CPUS = "fewer CPUs than its limit"
_CPUS_RESERVED = "not enough CPUs"
_NO_MEMORY = "not enough memory"


def check(demand: Demand, cluster: Cluster) -> Check | None:
    """Refuses nodes where a reservation doesn't fit into what can still be reserved. Memory limits may exceed it."""
    cpus, reserved_cpus, memory = demand.cpus, demand.reservation.nano_cpus, demand.reservation.memory

    def ask(node: Node) -> str | None:
        if cpus > node.cpus:
            return _NO_CPUS
        if memory and memory > node.room_memory:
            return _NO_MEMORY
        return _CPUS_RESERVED if reserved_cpus and reserved_cpus > node.room_cpus else None

    return ask if cpus or reserved_cpus or memory else None
