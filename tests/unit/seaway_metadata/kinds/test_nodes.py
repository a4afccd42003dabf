"""Nodes by their beats."""

import pytest

from seaway_contracts.nodes import NodeFacts, NodeRecord
from seaway_metadata.kinds.nodes import NODES, NodeChange, NodeTable, beat_interval_ns, newer
from seaway_metadata.store.index import Index
from seaway_testing.builders import beat
from seaway_testing.clock import FakeClock


class Watch:
    """A table, and a clock that ticks it twice a second."""

    def __init__(self, stored: list[NodeRecord] | None = None) -> None:
        self.clock = FakeClock()
        self.table = NodeTable(Index(NODES))
        for record in stored or []:
            self.table.records.put(record)
        self.table.begin(self.clock.monotonic())

    def beat(self, node: str = "n1", **changes: object) -> str | None:
        one = beat(node, time_ns=self.clock.now_ns(), **changes)
        change = self.table.beat(one, self.clock.monotonic(), self.clock.now_ns())
        return change.action if change else None

    def wait(self, seconds: float) -> list[NodeChange]:
        changes = []
        for _ in range(int(seconds * 2)):
            self.clock.advance(0.5)
            changes += self.table.tick(self.clock.monotonic(), self.clock.now_ns())
        assert self.table.up == {one.node for one in self.table.records if one.state == "up"}
        return changes


def test_join_down_up() -> None:
    watch = Watch()
    assert watch.beat() == "join"
    assert watch.wait(1) == []
    assert watch.beat() is None
    assert watch.wait(3) == []
    (down,) = watch.wait(1)
    assert (down.action, down.record.state, down.record.node) == ("down", "down", "n1")
    assert down.reason == "no beat for 3.5 s"
    assert watch.wait(60) == []
    assert watch.beat() == "up"
    assert watch.table.records["n1"].state == "up"


def test_a_node_that_leaves_is_down_at_once() -> None:
    watch = Watch()
    watch.beat()
    watch.wait(1)
    assert watch.beat(leaving=True) == "down"
    record = watch.table.records["n1"]
    assert (record.state, record.since_ns) == ("down", watch.clock.now_ns())
    assert watch.beat(leaving=True) is None, "told twice, it is one event"
    assert watch.wait(60) == []
    assert watch.beat(epoch="n1-epoch-2") == "up"


def test_a_node_that_leaves_before_it_came_is_none() -> None:
    watch = Watch()
    assert watch.beat(leaving=True) is None
    assert len(watch.table.records) == 0
    assert watch.beat() == "join"


def test_patience_follows_the_interval() -> None:
    watch = Watch()
    watch.beat("slow", interval_ns=4_000_000_000)
    watch.beat("fast", interval_ns=100_000_000)
    assert [change.record.node for change in watch.wait(4)] == ["fast"]
    assert [change.record.node for change in watch.wait(9)] == ["slow"]


def test_since_is_the_change_of_state() -> None:
    watch = Watch()
    watch.beat()
    began = watch.clock.now_ns()
    watch.wait(2)
    watch.beat()
    assert watch.table.records["n1"].since_ns == began
    assert watch.table.records["n1"].last_beat_ns == watch.clock.now_ns()
    watch.wait(10)
    down = watch.table.records["n1"]
    assert down.since_ns > down.last_beat_ns


def test_stored_nodes_get_time_to_beat() -> None:
    first = Watch()
    first.beat("n1")
    first.beat("n2")
    first.wait(1)
    second = Watch(list(first.table.records))
    second.wait(2)
    assert second.beat("n1") is None
    assert [change.record.node for change in second.wait(2)] == ["n2"]


def test_a_stalled_process_blames_nobody() -> None:
    watch = Watch()
    watch.beat()
    watch.wait(1)
    watch.clock.advance(60)
    assert watch.wait(3) == []
    assert [change.action for change in watch.wait(1)] == ["down"]


def test_a_changed_wall_clock_blames_nobody() -> None:
    watch = Watch()
    watch.beat()
    watch.clock.set_wall(watch.clock.now_ns() + 10**15)
    assert watch.wait(2) == []
    watch.clock.set_wall(0)
    watch.beat()
    assert watch.wait(2) == []


def record(monotonic_ns: int, time_ns: int, *, up: bool = True, boot: str = "b1", heard_ns: int = 0) -> NodeRecord:
    one = beat(time_ns=time_ns, monotonic_ns=monotonic_ns, facts=NodeFacts(boot_id=boot))
    return NodeRecord(node="n1", state="up" if up else "down", last_beat_ns=heard_ns, since_ns=0, beat=one)


def test_a_later_beat_is_newer_also_where_the_nodes_clock_was_set_back() -> None:
    """Else its record would not be written for as long, and a restarted metadata would find it up."""
    before, after = record(5, 1000), record(6, 10)
    assert newer(after, before) and not newer(before, after)
    assert newer(record(6, 10, up=False), after) and not newer(after, record(6, 10, up=False))
    assert newer(record(7, 10), record(6, 10, up=False))
    assert not newer(after, after)


def test_after_another_boot_it_counts_when_a_beat_was_heard() -> None:
    before, after = record(900, 1000, heard_ns=50), record(1, 10, boot="b2", heard_ns=51)
    assert newer(after, before) and not newer(before, after)


def test_beats_of_an_older_release_go_by_their_time() -> None:
    assert newer(record(0, 20), record(0, 10)) and not newer(record(0, 10), record(3, 20))


def test_copies_that_hear_the_same_publish_the_same() -> None:
    """The stream drops the second by its message id."""
    ids: list[list[str]] = []
    for lag in (0.0, 0.25):
        watch = Watch()
        watch.clock.advance(1)
        changes = []
        for one in (beat(time_ns=1), beat(time_ns=2), beat(time_ns=3, leaving=True), beat(time_ns=4)):
            change = watch.table.beat(one, watch.clock.monotonic() + lag, watch.clock.now_ns())
            changes += [change] if change else []
        changes += watch.wait(5)
        change = watch.table.beat(beat(time_ns=9), watch.clock.monotonic(), watch.clock.now_ns())
        changes += [change] if change else []
        ids.append([one.event(watch.clock.now_ns())[0].id for one in changes])
    assert ids[0] == ids[1]
    assert len(set(ids[0])) == 5


def test_each_outage_has_its_own_event() -> None:
    watch = Watch()
    watch.beat()
    seen = []
    for _ in range(3):
        seen += [change.event(0)[0].id for change in watch.wait(5)]
        watch.clock.advance(0.5)
        watch.beat()
    assert len(set(seen)) == 3


@pytest.mark.parametrize(
    ("nodes", "seconds"), [(0, 0), (100, 0), (101, 2.5), (125, 2.5), (126, 3), (500, 10), (1000, 20), (5000, 20)]
)
def test_the_interval_of_beats_grows_with_the_number_of_nodes(nodes: int, seconds: float) -> None:
    assert beat_interval_ns(nodes) == seconds * 1e9
