"""The filters: each says of a node why it can't take a container. Pure.

A filter is a function `check(demand, cluster)`, which returns what asks a single node, or None where the request has
nothing that the filter could ask about. A wish is the same for what is only preferred.
"""

from collections.abc import Callable, Sequence
from typing import Final

from seaway_scheduler.cluster import Cluster
from seaway_scheduler.demand import Demand
from seaway_scheduler.filters import (
    affinity,
    availability,
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
from seaway_scheduler.filters.reason import Check, Wish

_CHECKS: Final[Sequence[Callable[[Demand, Cluster], Check | None]]] = (
    required_node.check,
    up.check,
    excluded.check,
    availability.check,
    platform.check,
    runtime.check,
    constraint.check,
    affinity.check,
    resources.check,
    devices.check,
    pressure.check,
)
_WISHES: Final[Sequence[Callable[[Demand, Cluster], Wish | None]]] = (
    constraint.wish,
    affinity.wish,
    host_ports.wish,
)


def checks(demand: Demand, cluster: Cluster) -> list[Check]:
    """What must hold of a node, in the order in which refusals are counted."""
    return [made for check in _CHECKS if (made := check(demand, cluster)) is not None]


def wishes(demand: Demand, cluster: Cluster) -> list[Wish]:
    """What is preferred, the most important first."""
    return [made for wish in _WISHES if (made := wish(demand, cluster)) is not None]
