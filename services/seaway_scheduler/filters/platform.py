"""The system and architecture that were asked for (`--platform`). Pure."""

from seaway_scheduler.cluster import Cluster
from seaway_scheduler.demand import Demand
from seaway_scheduler.filters.reason import Check, Reason
from seaway_scheduler.node import Node

_NAMES = {"x86_64": "amd64", "x86-64": "amd64", "aarch64": "arm64", "i386": "386", "i686": "386"}
_SYSTEMS = ("linux", "windows", "darwin", "freebsd", "wasi")


def check(demand: Demand, cluster: Cluster) -> Check | None:
    """Refuses nodes of another platform. `linux/arm64/v8`, `arm64` and `linux` may be asked for."""
    text = demand.request.platform.lower()
    if not text:
        return None
    system, _, rest = text.partition("/")
    if not rest and system not in _SYSTEMS:
        system, rest = "", text
    architecture = rest.partition("/")[0]
    architecture = _NAMES.get(architecture, architecture)
    reason = Reason(f"is not of platform {text}", f"are not of platform {text}")

    def ask(node: Node) -> Reason | None:
        own = _NAMES.get(node.traits.architecture, node.traits.architecture)
        fits = system in ("", node.traits.os) and architecture in ("", own)
        return None if fits else reason

    return ask
