"""The projection under every order of delivery."""

from hypothesis import given
from hypothesis import strategies as st

from seaway_contracts.containers import ContainerStatus, State
from seaway_contracts.lifecycle import ContainerEvent, Envelope
from seaway_metadata.projection import apply, apply_inventory
from seaway_metadata.view import View
from seaway_testing.builders import container_event, container_id, record, spec, status

Event = tuple[Envelope, ContainerEvent]
LIFE = [
    container_event("create", status(State.CREATED, 1)),
    container_event("start", status(State.RUNNING, 2, run=1, pid=7)),
    container_event("pause", status(State.PAUSED, 3, run=1, pid=7)),
    container_event("unpause", status(State.RUNNING, 4, run=1, pid=7)),
    container_event("die", status(State.EXITED, 5, run=1, exit_code=3)),
    container_event("start", status(State.RUNNING, 6, run=2, pid=9)),
    container_event("die", status(State.EXITED, 7, run=2, exit_code=137)),
]
DESTROYED = container_event("destroy", status(State.REMOVING, 8))


def view_of(events: list[Event]) -> View:
    view = View(lambda identifier: None)
    for envelope, body in events:
        view.apply(envelope, body)
    return view


def test_a_life_in_order() -> None:
    current = None
    for envelope, body in LIFE:
        current = apply(current, envelope, body)
        assert current is not None and current.status == body.status
        assert (current.spec, current.node) == (spec(), "n1")
    assert apply(current, *DESTROYED) is None


@given(st.lists(st.sampled_from(LIFE), max_size=30))
def test_any_order_and_repeats_end_at_the_newest(rest: list[Event]) -> None:
    """Once `create` has come, the newest status that was delivered is the one that stands."""
    view = view_of([LIFE[0], *rest])
    found = view.index.get(container_id())
    assert found is not None
    assert found.status.seq == max([1, *(body.status.seq for _, body in rest)])


@given(st.lists(st.sampled_from(LIFE), max_size=10), st.lists(st.sampled_from([*LIFE, DESTROYED]), max_size=10))
def test_destroy_is_final(before: list[Event], after: list[Event]) -> None:
    view = view_of([*before, DESTROYED, *after])
    assert view.index.get(container_id()) is None
    assert view.destroyed(container_id())


@given(st.permutations(LIFE))
def test_status_never_goes_back(events: list[Event]) -> None:
    view, last = View(lambda identifier: None), 0
    for envelope, body in events:
        view.apply(envelope, body)
        found = view.index.get(container_id())
        assert found is None or found.status.seq >= last
        last = found.status.seq if found else last


def test_a_registered_container_takes_its_first_status() -> None:
    after = apply(record(seq=0), *LIFE[0])
    assert after is not None and after.status.seq == 1


def test_an_event_before_create_makes_nothing() -> None:
    assert apply(None, *LIFE[1]) is None
    assert apply(None, *DESTROYED) is None


def test_another_node_may_not_speak_for_a_container() -> None:
    mine = record(node="n2", seq=1, state=State.RUNNING)
    assert apply(mine, *LIFE[4]) is mine
    assert apply(mine, *DESTROYED) is mine


def test_a_spec_of_another_container_is_not_taken() -> None:
    envelope, body = LIFE[0]
    assert apply(None, envelope, body.model_copy(update={"spec": spec(2)})) is None


def test_inventory() -> None:
    from seaway_contracts.commands import InventoryItem

    def item(seq: int) -> InventoryItem:
        return InventoryItem(spec=spec(), status=ContainerStatus(state=State.RUNNING, seq=seq))

    old = record(seq=3)
    assert apply_inventory(None, "n1", item(2)).status.seq == 2
    assert apply_inventory(old, "n1", item(3)) is old
    assert apply_inventory(old, "n1", item(4)).status.seq == 4
    assert apply_inventory(old, "n2", item(4)) is old


def _renamed(seq: int, name: str) -> Event:
    envelope, body = container_event("rename", status(State.CREATED, seq))
    return envelope, body.model_copy(update={"spec": spec(name=name)})


RENAMED = [LIFE[0], _renamed(2, "second"), _renamed(3, "box1"), _renamed(4, "third")]
LATER = container_event("start", status(State.RUNNING, 5, run=1, pid=7))


@given(st.permutations([*RENAMED[1:], *RENAMED, LATER]))
def test_the_newest_spec_stands_whatever_the_order(events: list[Event]) -> None:
    found = view_of([RENAMED[0], *events]).index.get(container_id())
    assert found is not None
    assert (found.spec.name, found.spec_seq, found.status.seq) == ("third", 4, 5)


def test_a_rename_leaves_a_name_to_be_freed() -> None:
    view = view_of(RENAMED[:2])
    assert view.index.find("second").id == container_id()
    (left,) = view.left_names(container_id())
    assert left.name == "box1"
    view.released(container_id(), left)
    assert view.left_names(container_id()) == ()


def test_an_inventory_brings_a_spec_that_no_event_has_told_of() -> None:
    from seaway_contracts.commands import InventoryItem

    item = InventoryItem(spec=spec(name="other"), status=status(State.RUNNING, 4))
    after = apply_inventory(record(seq=3), "n1", item)
    assert (after.spec.name, after.spec_seq) == ("other", 4)
