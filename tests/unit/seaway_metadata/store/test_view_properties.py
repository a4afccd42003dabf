"""Copies of metadata against a reference model: one node's containers, told of twice, out of order, or not at all.

The model is the truth on the node. Whatever a copy has heard, it never shows what wasn't; and once it has asked the
node what it holds, it shows exactly what is.
"""

from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from seaway_contracts.commands import InventoryItem
from seaway_contracts.containers import ContainerRecord, ContainerSpec, ContainerStatus, State
from seaway_contracts.errors import SeawayError
from seaway_contracts.lifecycle import ContainerEvent, Envelope
from seaway_metadata.kinds.containers import CONTAINERS, ContainerView
from seaway_metadata.store.view import View
from seaway_testing.builders import container_event, container_id, spec, status

COPIES = 3
NAMES = ("web", "db", "cache")
Event = tuple[Envelope, ContainerEvent]


class Truth:
    """A container as its node knows it, and all that it has told."""

    def __init__(self, seed: int, name: str) -> None:
        self.seed = seed
        self.spec = spec(seed, name=name)
        self.status = status(seq=0)
        self.gone = False
        self.told: list[Event] = []
        self.tell("create", State.CREATED, self.spec)

    def tell(self, action: str, state: State, changed: ContainerSpec | None = None) -> None:
        self.spec = changed or self.spec
        self.status = status(state, self.status.seq + 1, exit_code=self.status.seq)
        envelope, body = container_event(action, self.status, seed=self.seed)
        self.told.append((envelope, body.model_copy(update={"spec": changed})))


class Copy:
    """One copy, and the inventory that it has asked for."""

    def __init__(self) -> None:
        self.view = View(CONTAINERS, lambda identifier: None)
        self.asked: tuple[set[str], list[InventoryItem]] | None = None
        self.seen: dict[str, int] = {}

    def ask(self, held: list[InventoryItem]) -> None:
        """As the reconciler does: what was known before, then what the node answers."""
        self.asked = self.view.keys_of_node("n1"), held

    def answered(self) -> None:
        assert self.asked is not None
        before, held = self.asked
        self.asked = None
        self.view.apply_inventory("n1", held)
        for lost in before - {item.spec.id for item in held}:
            self.view.remove(lost)


class Cluster(RuleBasedStateMachine):
    """What may happen to a node's containers, and on the way to the copies."""

    def __init__(self) -> None:
        super().__init__()
        self.truths: list[Truth] = []
        self.copies = [Copy() for _ in range(COPIES)]
        self.bucket: dict[str, ContainerRecord] = {}

    def alive(self) -> list[Truth]:
        return [truth for truth in self.truths if not truth.gone]

    def held(self) -> list[InventoryItem]:
        return [InventoryItem(spec=truth.spec, status=truth.status) for truth in self.alive()]

    # --- on the node

    @rule(data=st.data())
    def make(self, data: Any) -> None:
        free = sorted(set(NAMES) - {truth.spec.name for truth in self.alive()})
        if free and len(self.truths) < 6:
            truth = Truth(len(self.truths), data.draw(st.sampled_from(free)))
            self.truths.append(truth)
            self.bucket[truth.spec.id] = registered = ContainerRecord(spec=truth.spec, node="n1")
            for copy in self.copies:
                copy.view.load(registered)

    @precondition(lambda self: self.alive())
    @rule(data=st.data(), happened=st.sampled_from([("start", State.RUNNING), ("die", State.EXITED)]))
    def goes_on(self, data: Any, happened: tuple[str, State]) -> None:
        data.draw(st.sampled_from(self.alive())).tell(*happened)

    @precondition(lambda self: self.alive())
    @rule(data=st.data())
    def is_renamed(self, data: Any) -> None:
        truth = data.draw(st.sampled_from(self.alive()))
        name = f"new{truth.seed}-{truth.status.seq}"
        truth.tell("rename", truth.status.state, truth.spec.model_copy(update={"name": name}))

    @precondition(lambda self: self.alive())
    @rule(data=st.data())
    def is_removed(self, data: Any) -> None:
        truth = data.draw(st.sampled_from(self.alive()))
        truth.tell("destroy", State.REMOVING)
        truth.gone = True

    # --- on the way

    @precondition(lambda self: self.truths)
    @rule(data=st.data(), copy=st.integers(0, COPIES - 1), times=st.integers(1, 2))
    def is_delivered(self, data: Any, copy: int, times: int) -> None:
        """Any event at any time; those that are never drawn are lost."""
        event = data.draw(st.sampled_from(data.draw(st.sampled_from(self.truths)).told))
        for _ in range(times):
            self.copies[copy].view.apply(*event)

    @rule(copy=st.integers(0, COPIES - 1))
    def asks_the_node(self, copy: int) -> None:
        self.copies[copy].ask(self.held())

    @rule(copy=st.integers(0, COPIES - 1))
    def is_answered(self, copy: int) -> None:
        """Perhaps much later, when more has happened."""
        if self.copies[copy].asked is not None:
            self.copies[copy].answered()

    @rule(copy=st.integers(0, COPIES - 1))
    def writes_behind(self, copy: int) -> None:
        """By revision: what is newer in the bucket stays."""
        for record in self.copies[copy].view.index:
            stored = self.bucket.get(record.id)
            if stored is None or stored.status.seq < record.status.seq:
                self.bucket[record.id] = record
        for identifier in [key for key in self.bucket if self.copies[copy].view.destroyed(key)]:
            del self.bucket[identifier]

    @rule(copy=st.integers(0, COPIES - 1), wiped=st.booleans())
    def starts_anew(self, copy: int, wiped: bool) -> None:
        """The buckets are there, or lost; the stream is replayed in its order."""
        if wiped:
            self.bucket.clear()
        fresh = self.copies[copy] = Copy()
        for record in self.bucket.values():
            fresh.view.load(record)
        for truth in self.truths:
            for event in truth.told:
                fresh.view.apply(*event)

    # --- what must hold

    @invariant()
    def nothing_is_shown_that_never_was(self) -> None:
        statuses = {(container_id(t.seed), body.status.seq): body.status for t in self.truths for _, body in t.told}
        for copy in self.copies:
            for record in copy.view.index:
                assert record.status == statuses[record.id, record.status.seq]
                assert not copy.view.destroyed(record.id)

    @invariant()
    def nothing_goes_back(self) -> None:
        for copy in self.copies:
            now = {record.id: record.status.seq for record in copy.view.index}
            assert all(now.get(identifier, seq) >= seq for identifier, seq in copy.seen.items())
            copy.seen = now

    @invariant()
    def what_is_shown_is_found(self) -> None:
        for copy in self.copies:
            for record in copy.view.index:
                assert copy.view.index.find(record.id) is record
                assert _found(copy.view, record.spec.name) == record.spec.name

    @invariant()
    def each_record_is_counted_for_its_node(self) -> None:
        for copy in self.copies:
            shown = {record.id for record in copy.view.index}
            assert copy.view.keys_of_node("n1") == shown
            assert {record.id for record in copy.view.of_node("n1")} == {record.id for record in copy.view.all()}

    def teardown(self) -> None:
        """Each copy asks the node: then it shows what is, whatever it had heard."""
        for copy in self.copies:
            copy.ask(self.held())
            copy.answered()
            shown = {record.id: (record.spec, record.status) for record in copy.view.index}
            assert shown == {truth.spec.id: (truth.spec, truth.status) for truth in self.alive()}
            for truth in self.alive():
                assert copy.view.index.find(truth.spec.name).id == truth.spec.id


def _found(view: ContainerView, name: str) -> str:
    try:
        return view.index.find(name).spec.name
    except SeawayError:
        return ""


def test_statuses_differ() -> None:
    """The model tells one event's status from the next."""
    truth = Truth(1, "web")
    truth.tell("start", State.RUNNING)
    statuses: list[ContainerStatus] = [body.status for _, body in truth.told]
    assert len(set(map(str, statuses))) == 2


Cluster.TestCase.settings = settings(max_examples=200, stateful_step_count=40)
test_copies = Cluster.TestCase
