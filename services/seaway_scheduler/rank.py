"""How nodes are ranked by each strategy; smaller is better. Pure."""

from collections.abc import Callable, Mapping
from typing import Final

from seaway_scheduler.node import Node

Rank = tuple[float, float, float, float]
"""The last place weighs less than whether the node has the image."""
Ranking = Callable[[Node, int, int], Rank]
"""Takes the CPUs (in billionths) and the memory (in bytes) that a container would take."""
_STEPS: Final = 10


def spread(node: Node, cpus: int, memory: int) -> Rank:
    """How full the node would be (in tenths), how many containers run and are there per core, how full exactly."""
    full = share_taken(node, cpus, memory)
    return int(full * _STEPS), node.running / node.cores, node.containers / node.cores, full


def binpack(node: Node, cpus: int, memory: int) -> Rank:
    """The fullest node that still has what the limits promise; where none has, the one that lacks least."""
    full = share_taken(node, cpus, memory)
    if full > 1:
        return int(full * _STEPS), node.running / node.cores, node.containers / node.cores, full
    return -int(full * _STEPS), -node.running / node.cores, -node.containers / node.cores, -full


def unranked(node: Node, cpus: int, memory: int) -> Rank:
    """All nodes alike."""
    return 0.0, 0.0, 0.0, 0.0


RANKINGS: Final[Mapping[str, Ranking]] = {"spread": spread, "binpack": binpack, "random": unranked}


def share_taken(node: Node, cpus: int, memory: int) -> float:
    """The share of its CPUs or its memory, whichever is greater, that limits would take up with these more."""
    return max(_share(node.memory, node.free_memory - memory), _share(node.cpus, node.free_cpus - cpus))


def _share(whole: int, free: int) -> float:
    return (whole - free) / whole if whole else 1.0


def has_free(node: Node, cpus: int, memory: int) -> bool:
    """Whether the node has what the limits promise."""
    return cpus <= node.free_cpus and memory <= node.free_memory


def node_class(node: Node) -> tuple[int, int]:
    """Nodes of about the same size: cores, and memory within an eighth.

    Among them the one that is emptier before is the emptier after, so that their order holds for any request.
    """
    return round(node.cores), level(node.memory)


def level(number: int) -> int:
    """Whole steps that grow with the number, eight for each time that it doubles."""
    if number <= 0:
        return 0
    bits = number.bit_length()
    return bits * 8 + ((number << 3 >> (bits - 1)) & 7)
