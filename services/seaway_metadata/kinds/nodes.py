"""Nodes by their beats: which have joined, are up, or are silent. Pure; times are seconds and nanoseconds."""

from dataclasses import dataclass
from typing import Final, Literal

from seaway_contracts.catalogue import NODES_BUCKET
from seaway_contracts.lifecycle import Envelope
from seaway_contracts.nodes import Beat, NodeEvent, NodeRecord, NodeState
from seaway_metadata.store.index import Index
from seaway_metadata.store.kind import Kind

MISSED: Final = 3
LEAST_S: Final = 3.0
_STALL_S: Final = 1.5
_MOST_BEATS_S: Final = 50
_LONGEST_S: Final = 20.0
_STEP_S: Final = 0.5

Action = Literal["join", "up", "down"]


@dataclass(frozen=True, slots=True)
class NodeChange:
    """A node's change of state, and why. `by_node`: its agent said so; else nothing was heard of it."""

    action: Action
    record: NodeRecord
    reason: str
    by_node: bool = False

    def event(self, now_ns: int) -> tuple[Envelope, NodeEvent]:
        """The event that tells of it. Its id is made of the beat that it rests on, so that all copies of metadata,
        which hear the same beats, publish one event."""
        beat = self.record.beat
        basis = beat.epoch if self.action == "join" else f"{beat.epoch}-{beat.time_ns}"
        envelope = Envelope(
            id=f"node-{beat.node}-{self.action}-{basis}",
            node=beat.node,
            noun="node",
            action=self.action,
            subject_id=beat.node,
            time_ns=now_ns,
            actor=f"node:{beat.node}" if self.by_node else "",
        )
        return envelope, NodeEvent(node=beat.node, reason=self.reason, attributes={"name": beat.node})


def patience(beat: Beat) -> float:
    """How long a node may be silent, in seconds."""
    return max(LEAST_S, MISSED * beat.interval_ns / 1e9)


def beat_interval_ns(nodes: int) -> int:
    """The least interval of each node's beats: so long that 50 beats come in a second, and at most 20 s.

    0 up to 100 nodes: each agent beats as it is set, by default every 2 s.
    """
    if nodes <= 2 * _MOST_BEATS_S:
        return 0
    steps = -(-nodes // (_MOST_BEATS_S * _STEP_S))  # rounded up, so that a join seldom changes it
    return int(min(steps * _STEP_S, _LONGEST_S) * 1e9)


def newer(one: NodeRecord, other: NodeRecord) -> bool:
    """Whether a record rests on a later beat than another, or tells more about the same one.

    The clocks of nodes are set back now and then: of one boot, that clock counts which can't be.
    """
    first, second = one.beat, other.beat
    one_at, other_at = first.time_ns, second.time_ns
    if first.monotonic_ns and second.monotonic_ns:
        same_boot = first.facts.boot_id == second.facts.boot_id
        one_at = first.monotonic_ns if same_boot else one.last_beat_ns
        other_at = second.monotonic_ns if same_boot else other.last_beat_ns
    return (one_at, one.state == "down") > (other_at, other.state == "down")


class Nodes(Kind[NodeRecord]):
    """A node's key is its name. All copies of metadata hear its beats, and each may write its record."""

    noun = "node"
    bucket = NODES_BUCKET
    model = NodeRecord

    def key(self, record: NodeRecord) -> str:
        return record.node

    def newer(self, one: NodeRecord, other: NodeRecord) -> bool:
        return newer(one, other)


NODES: Final = Nodes()


class NodeTable:
    """Decides what beats, and silence, make of the nodes' records."""

    def __init__(self, records: Index[NodeRecord]) -> None:
        self.records = records
        self.up: set[str] = set()
        """The nodes that are up."""
        self._heard: dict[str, float] = {}
        self._ticked: float | None = None

    def begin(self, now: float) -> None:
        """Begin with the records that are there; a node counts as heard now, so that it has time to beat."""
        self._heard = dict.fromkeys((record.node for record in self.records), now)
        self.up = {record.node for record in self.records if record.state == "up"}

    def remove(self, node: str) -> None:
        """Forget a node."""
        self.records.remove(node)
        self.up.discard(node)
        self._heard.pop(node, None)

    def excuse(self, now: float) -> None:
        """This process could not hear: start everybody's silence anew."""
        self._heard = dict.fromkeys(self._heard, now)

    def beat(self, beat: Beat, now: float, now_ns: int) -> NodeChange | None:
        """A beat came; the change that it is, if any."""
        old = self.records.get(beat.node)
        if beat.leaving:
            return self._left(old, beat, now_ns)
        self._heard[beat.node] = now
        since = old.since_ns if old and old.state == "up" else now_ns
        record = _record(beat, "up", now_ns, since)
        self.records.put(record)
        self.up.add(beat.node)
        if old is None:
            return NodeChange("join", record, "its first beat", by_node=True)
        if old.state == "down":
            return NodeChange("up", record, "it beats again", by_node=True)
        return None

    def tick(self, now: float, now_ns: int) -> list[NodeChange]:
        """Time has passed; the nodes that are down now. Must be called about once a second.

        When it wasn't, this process stood still and could not hear; that is nobody else's silence.
        """
        if self._ticked is not None and now - self._ticked > _STALL_S:
            self.excuse(now)
        self._ticked = now
        silent = [
            record
            for record in self.records
            if record.state == "up" and now - self._heard[record.node] > patience(record.beat)
        ]
        return [self._down(record, now_ns, f"no beat for {now - self._heard[record.node]:.1f} s") for record in silent]

    def _left(self, old: NodeRecord | None, beat: Beat, now_ns: int) -> NodeChange | None:
        """Its agent was told to stop. A node that was never up is no node yet."""
        if old is None or old.state == "down":
            return None
        return self._down(_record(beat, "up", now_ns, old.since_ns), now_ns, "its agent was stopped", by_node=True)

    def _down(self, record: NodeRecord, now_ns: int, reason: str, *, by_node: bool = False) -> NodeChange:
        down = _record(record.beat, "down", record.last_beat_ns, now_ns)
        self.records.put(down)
        self.up.discard(down.node)
        return NodeChange("down", down, reason, by_node)


def _record(beat: Beat, state: NodeState, last_beat_ns: int, since_ns: int) -> NodeRecord:
    return NodeRecord(node=beat.node, state=state, last_beat_ns=last_beat_ns, since_ns=since_ns, beat=beat)
