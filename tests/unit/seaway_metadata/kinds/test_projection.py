"""The projection under every order of delivery."""

from hypothesis import given
from hypothesis import strategies as st

from seaway_contracts.commands import InventoryItem
from seaway_contracts.containers import ContainerStatus, Health, Probe, State
from seaway_contracts.lifecycle import ContainerEvent, Envelope
from seaway_metadata.kinds.containers import CONTAINERS, NAMES, ContainerView
from seaway_metadata.kinds.projection import apply_inventory
from seaway_metadata.store.view import View
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


def empty_view() -> ContainerView:
    """With the container registered."""
    view = View(CONTAINERS, lambda identifier: None)
    view.load(record(seq=0))
    return view


def view_of(events: list[Event], *, whole: bool = True) -> ContainerView:
    view = empty_view()
    for envelope, body in events:
        view.apply(envelope, body, whole=whole)
    return view


def test_a_life_in_order() -> None:
    view = empty_view()
    for envelope, body in LIFE:
        assert view.apply(envelope, body)
        current = view.index.get(container_id())
        assert current is not None and current.status == body.status
        assert (current.spec, current.node) == (spec(), "n1")
    assert view.apply(*DESTROYED)
    assert view.index.get(container_id()) is None


def test_what_the_stream_has_leaves_the_rest_as_it_was() -> None:
    probes = (Probe(started_ns=1, ended_ns=2, output="secret"),)
    first = status(State.RUNNING, 2, error="e", log_path="/l", health=Health(log=probes), exec_ids=("x",))
    view = view_of([LIFE[0], container_event("start", first)])
    public = status(State.EXITED, 3, exit_code=4, health=Health(status="unhealthy", failing_streak=2))
    view.apply(*container_event("die", public), whole=False)
    after = view.index.get(container_id())
    assert after is not None
    assert after.status == status(
        State.EXITED,
        3,
        exit_code=4,
        error="e",
        log_path="/l",
        exec_ids=("x",),
        health=Health(status="unhealthy", failing_streak=2, log=probes),
    )
    whole = status(State.EXITED, 3, exit_code=4, error="newer")
    view.apply_inventory("n1", [InventoryItem(spec=spec(), status=whole)])
    after = view.index.get(container_id())
    assert after is not None and after.status == whole, "an inventory brings the rest"


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
    view, last = View(CONTAINERS, lambda identifier: None), 0
    for envelope, body in events:
        view.apply(envelope, body)
        found = view.index.get(container_id())
        assert found is None or found.status.seq >= last
        last = found.status.seq if found else last


def test_an_event_of_an_unknown_container_makes_nothing() -> None:
    view = View(CONTAINERS, lambda identifier: None)
    assert not view.apply(*LIFE[0])
    assert len(view.index) == 0 and view.holder(container_id()) is None
    assert view.apply(*DESTROYED)
    assert view.holder(container_id()) == "n1"


def test_another_node_may_not_speak_for_a_container() -> None:
    view = View(CONTAINERS, lambda identifier: None)
    mine = record(node="n2", seq=1, state=State.RUNNING)
    view.load(mine)
    for event in (LIFE[4], DESTROYED):
        view.apply(*event)
        assert view.index.get(container_id()) is mine
    view.apply_inventory("n1", [InventoryItem(spec=spec(), status=status(State.EXITED, 9))])
    assert view.index.get(container_id()) is mine
    registered = View(CONTAINERS, lambda identifier: None)
    registered.load(record(node="n2", seq=0))
    registered.apply(*LIFE[0])
    registered.apply_inventory("n1", [InventoryItem(spec=spec(), status=status(State.EXITED, 9))])
    assert len(registered.index) == 0 and registered.holder(container_id()) == "n2"


def test_another_containers_name_is_not_taken() -> None:
    """By a container that a node invents, nor by one that it renames."""
    view = View(CONTAINERS, lambda identifier: None)
    view.load(record(1, seq=1).model_copy(update={"spec": spec(1, name="victim")}))
    view.load(record(2, node="n2", seq=2))
    view.apply_inventory("n2", [InventoryItem(spec=spec(3, name="victim"), status=status(State.RUNNING, 1))])
    assert view.index.get(container_id(3)) is None
    envelope, body = container_event("rename", status(State.RUNNING, 3), seed=2, node="n2")
    renamed = body.model_copy(update={"spec": spec(2, name="victim")})
    assert not view.apply(envelope, renamed), "the node is asked again"
    assert view.index.find("victim").id == container_id(1)
    kept = view.index.get(container_id(2))
    assert kept is not None and (kept.spec.name, kept.status.seq, kept.spec_seq) == ("box2", 3, 0)
    view.remove(container_id(1))
    view.apply_inventory("n2", [InventoryItem(spec=spec(2, name="victim"), status=status(State.RUNNING, 3))])
    assert view.index.find("victim").id == container_id(2)


def test_a_spec_of_another_container_is_not_taken() -> None:
    envelope, body = LIFE[0]
    view = empty_view()
    view.apply(envelope, body.model_copy(update={"spec": spec(2)}))
    found = view.index.get(container_id())
    assert found is not None and found.spec == spec()


def test_inventory() -> None:
    def item(seq: int) -> InventoryItem:
        return InventoryItem(spec=spec(), status=ContainerStatus(state=State.RUNNING, seq=seq))

    old = record(seq=3)
    made = apply_inventory(None, "n1", item(2))
    assert made is not None and made.status.seq == 2
    newer = apply_inventory(old, "n1", item(4))
    assert newer is not None and newer.status.seq == 4
    assert apply_inventory(old, "n1", item(2)) == old.model_copy(update={"spec_seq": 2})
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
    (left,) = view.left_claims(container_id())
    assert left.claim == NAMES.claim("box1")
    view.released(container_id(), left)
    assert view.left_claims(container_id()) == ()


def test_an_inventory_brings_a_spec_that_no_event_has_told_of() -> None:
    item = InventoryItem(spec=spec(name="other"), status=status(State.RUNNING, 4))
    after = apply_inventory(record(seq=3), "n1", item)
    assert after is not None and (after.spec.name, after.spec_seq) == ("other", 4)
