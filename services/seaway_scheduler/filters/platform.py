"""The system and architecture that were asked for (`--platform`). Pure."""

from seaway_scheduler.cluster import Cluster
from seaway_scheduler.conditions import ARCHITECTURES
from seaway_scheduler.demand import Demand
from seaway_scheduler.filters.check import Check
from seaway_scheduler.node import Node

_SYSTEMS = ("linux", "windows", "darwin", "freebsd", "wasi")


def check(demand: Demand, cluster: Cluster) -> Check | None:
    """Refuses nodes of another platform. `linux/arm64/v8`, `arm64` and `linux` may be asked for.

    If no node is of that platform, any will do, as with Docker on one machine: it may emulate that platform.
    """
    text = demand.request.platform.lower()
    if not text:
        return None
    system, architecture = _parsed(text)

    def fits(own_system: str, own_architecture: str) -> bool:
        own = ARCHITECTURES.get(own_architecture, own_architecture)
        return system in ("", own_system) and architecture in ("", own)

    if not any(fits(*platform) for platform in cluster.platforms):
        return None
    reason = f"not of platform {text}"

    def ask(node: Node) -> str | None:
        return None if fits(node.traits.os, node.traits.architecture) else reason

    return ask


def _parsed(text: str) -> tuple[str, str]:
    """The system and the architecture; empty where not said."""
    system, _, rest = text.partition("/")
    if not rest and system not in _SYSTEMS:
        system, rest = "", text
    architecture = rest.partition("/")[0]
    return system, ARCHITECTURES.get(architecture, architecture)
