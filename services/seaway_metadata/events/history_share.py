"""Each node's share of the stream of events: how fast it may write, and whose events go when it gets full. Pure.

The stream discards its oldest messages when it is full, whatever node they are from. So before that, the node that has
the most events gives up its oldest: a flood from one node does not cost the history of others.
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
BYTES_PER_S: Final = 4 << 20
"""What a node may write lastingly."""
BURST_BYTES: Final = 64 << 20
"""What it may write at once after a pause."""


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


class Allowance:
    """Limits the bytes per second that one node may write into the stream, with a burst.

    Times are seconds of one clock.
    """

    def __init__(self, bytes_per_s: int = BYTES_PER_S, burst: int = BURST_BYTES) -> None:
        self._rate = bytes_per_s
        self._burst = burst
        self._left = float(burst)
        self._since = 0.0

    def take(self, size: int, now: float) -> float:
        """Take `size` bytes. Returns the seconds to wait before storing them."""
        self._left = min(self._burst, self._left + (now - self._since) * self._rate)
        self._since = now
        self._left -= size
        return max(0.0, -self._left / self._rate)
