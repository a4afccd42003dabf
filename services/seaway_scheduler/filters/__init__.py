"""The filters: each says of a node why it can't take a container. Pure.

A filter is a function `check(demand, cluster)`, which returns what asks a single node, or None where the request has
nothing that the filter could ask about. A wish is the same for what is only preferred.
"""

from collections.abc import Callable, Mapping
from typing import Final

from seaway_scheduler.cluster import Cluster
from seaway_scheduler.demand import Demand
from seaway_scheduler.filters import (
    affinity,
    availability,
    builder,
    constraint,
    devices,
    excluded,
    host_ports,
    platform,
    pressure,
    required_node,
    resources,
    runtime,
    up,
)
from seaway_scheduler.filters.check import Check, Wish

_CHECKS: Final[Mapping[str, Callable[[Demand, Cluster], Check | None]]] = {
    "node": required_node.check,
    "up": up.check,
    "excluded": excluded.check,
    "availability": availability.check,
    "platform": platform.check,
    "runtime": runtime.check,
    "constraint": constraint.check,
    "affinity": affinity.check,
    "resources": resources.check,
    "devices": devices.check,
    "pressure": pressure.check,
    "builder": builder.check,
}
_WISHES: Final[Mapping[str, Callable[[Demand, Cluster], Wish | None]]] = {
    "constraint": constraint.wish,
    "affinity": affinity.wish,
    "host port": host_ports.wish,
}


def checks(demand: Demand, cluster: Cluster) -> dict[str, Check]:
    """What must hold of a node, by the filter's name, in the order in which filters are asked."""
    return {name: made for name, check in _CHECKS.items() if (made := check(demand, cluster)) is not None}


def wishes(demand: Demand, cluster: Cluster) -> dict[str, Wish]:
    """What is preferred, by name, the most important first."""
    return {name: made for name, wish in _WISHES.items() if (made := wish(demand, cluster)) is not None}
