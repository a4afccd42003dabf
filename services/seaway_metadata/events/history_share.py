"""How much of the stream of events each node has, and whose oldest go where there is too little room. Pure.

The stream discards its oldest messages when it is full, whoever's they are. So before it is full, the node that has
the most gives up its own oldest: what one node floods costs the history of no other.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from seaway_bus.transport import StreamSize
from seaway_contracts.base import Payload

MARK_BYTES: Final = 8 << 20
"""So many bytes of a node's events stand between two marks."""
_PRESSED: Final = 7 / 8
_RELIEVED: Final = 3 / 4


class Mark(Payload):
    """Up to the stream's sequence number `seq` a node has stored `size` bytes more than at its mark before."""

    seq: int
    size: int


class Marks(Payload):
    """One node's, oldest first, as they stand in the bucket."""

    marks: tuple[Mark, ...] = ()


@dataclass(frozen=True, slots=True)
class Purge:
    """Remove a node's events up to and with this sequence number."""

    node: str
    up_to: int


def kept(marks: Marks, first: int) -> Marks:
    """The marks of what the stream still has."""
    return Marks(marks=tuple(mark for mark in marks.marks if mark.seq >= first))


def purges(nodes: Mapping[str, Marks], stream: StreamSize) -> list[Purge]:
    """Whose events are to go: of those with the most, one mark after another, until there is room. Often none."""
    if not stream.most or stream.size < stream.most * _PRESSED:
        return []
    left = {node: list(kept(marks, stream.first).marks) for node, marks in nodes.items()}
    sizes = {node: sum(mark.size for mark in marks) for node, marks in left.items()}
    excess = stream.size - stream.most * _RELIEVED
    gone: dict[str, int] = {}
    while excess > 0:
        node = max(sizes, key=lambda one: sizes[one], default="")
        if not node or len(left[node]) < 2:
            break
        mark = left[node].pop(0)
        gone[node] = mark.seq
        sizes[node] -= mark.size
        excess -= mark.size
    return [Purge(node, seq) for node, seq in sorted(gone.items())]
