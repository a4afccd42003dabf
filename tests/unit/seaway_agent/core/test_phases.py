"""The table of phases: it is what the docstring draws, each change occurs, and no other one."""

import inspect
from collections.abc import Callable
from itertools import product
from textwrap import indent
from typing import Any

import pytest

from seaway_agent.core import phases
from seaway_agent.core.phases import CHANGES, Phase, PhaseError, diagram
from seaway_agent.core.state import ContainerState
from seaway_contracts.containers import ContainerStatus, RestartPolicy, State
from seaway_testing import builders

MakeBox = Callable[..., Any]
ALWAYS = RestartPolicy(name="always")
FOUND_AS = {
    Phase.IDLE: State.EXITED,
    Phase.RUNNING: State.RUNNING,
    Phase.PAUSED: State.PAUSED,
    Phase.TEARING_DOWN: State.RESTARTING,
    Phase.REMOVING: State.REMOVING,
}


def test_the_docstring_draws_the_table() -> None:
    """Where this fails, paste what `diagram()` gives."""
    drawn = indent(diagram(), "    ")
    assert f"\n\n{drawn}\n" in (inspect.getsource(phases).split('"""')[1])


def test_the_drawing_joins_what_happens_for_the_same_reason() -> None:
    changes = {(None, Phase.IDLE): "made", (Phase.IDLE, Phase.GONE): "end", (Phase.PAUSED, Phase.GONE): "end"}
    assert diagram(changes).splitlines() == [
        "      (none) ── made ──► idle",
        "idle, paused ── end ───► gone",
    ]


# --- each change of the table, by the shortest conversation


def backing_off(make: MakeBox) -> Any:
    return make(restart=ALWAYS).backing_off()


def broken(box: Any) -> Any:
    """By a report that fits no phase but one in which the container is not."""
    box.launch_failed() if box.machine.phase is not Phase.LAUNCHING else box.deleted()
    return box


def waits_for(situation: str, command: str) -> Callable[[MakeBox], Any]:
    def lead(make: MakeBox) -> Any:
        box = getattr(make(), situation)()
        getattr(box, command)("x")
        return box

    return lead


WAYS: dict[tuple[Phase, Phase], tuple[Callable[[MakeBox], Any], Callable[[Any], object]]] = {
    (Phase.IDLE, Phase.LAUNCHING): (lambda make: make(), lambda box: box.start("a")),
    (Phase.LAUNCHING, Phase.RUNNING): (lambda make: make().launching(), lambda box: box.launched()),
    (Phase.LAUNCHING, Phase.IDLE): (lambda make: make().launching(), lambda box: box.launch_failed()),
    (Phase.RUNNING, Phase.PAUSED): (lambda make: make().running(), lambda box: box.pause("a")),
    (Phase.PAUSED, Phase.RUNNING): (lambda make: make().paused(), lambda box: box.unpause("a")),
    (Phase.RUNNING, Phase.TEARING_DOWN): (lambda make: make().running(), lambda box: box.exited()),
    (Phase.PAUSED, Phase.TEARING_DOWN): (lambda make: make().paused(), lambda box: box.exited()),
    (Phase.IDLE, Phase.TEARING_DOWN): (
        lambda make: make(ContainerStatus(state=State.RUNNING)),
        lambda box: box.restored("m"),
    ),
    (Phase.TEARING_DOWN, Phase.IDLE): (lambda make: make().tearing_down(), lambda box: box.torn_down()),
    (Phase.TEARING_DOWN, Phase.LAUNCHING): (waits_for("tearing_down", "start"), lambda box: box.torn_down()),
    (Phase.TEARING_DOWN, Phase.BACKING_OFF): (
        lambda make: make(restart=ALWAYS).tearing_down(),
        lambda box: box.torn_down(),
    ),
    (Phase.TEARING_DOWN, Phase.REMOVING): (waits_for("tearing_down", "remove"), lambda box: box.torn_down()),
    (Phase.BACKING_OFF, Phase.LAUNCHING): (backing_off, lambda box: box.timer("restart")),
    (Phase.BACKING_OFF, Phase.IDLE): (backing_off, lambda box: box.stop("a")),
    (Phase.IDLE, Phase.REMOVING): (lambda make: make(), lambda box: box.remove("a")),
    (Phase.BACKING_OFF, Phase.REMOVING): (backing_off, lambda box: box.remove("a", force=True)),
    (Phase.REMOVING, Phase.GONE): (lambda make: make().removing(), lambda box: box.deleted()),
    (Phase.REMOVING, Phase.IDLE): (lambda make: make().removing(), lambda box: box.delete_failed()),
    (Phase.IDLE, Phase.BROKEN): (lambda make: make(), broken),
    (Phase.LAUNCHING, Phase.BROKEN): (lambda make: make().launching(), broken),
    (Phase.RUNNING, Phase.BROKEN): (lambda make: make().running(), broken),
    (Phase.PAUSED, Phase.BROKEN): (lambda make: make().paused(), broken),
    (Phase.TEARING_DOWN, Phase.BROKEN): (lambda make: make().tearing_down(), broken),
    (Phase.BACKING_OFF, Phase.BROKEN): (backing_off, broken),
    (Phase.REMOVING, Phase.BROKEN): (lambda make: make().removing(), broken),
    (Phase.BROKEN, Phase.TEARING_DOWN): (
        lambda make: broken(make().running()),
        lambda box: box.remove("a", force=True),
    ),
    (Phase.BROKEN, Phase.GONE): (lambda make: broken(make().removing()), lambda box: box.deleted()),
}


def test_there_is_a_way_to_each_change_of_the_table() -> None:
    assert WAYS.keys() | {(None, phase) for phase in FOUND_AS} == CHANGES.keys()


@pytest.mark.parametrize(("before", "after"), WAYS, ids=str)
def test_each_change_of_the_table_occurs(make_box: MakeBox, before: Phase, after: Phase) -> None:
    lead, step = WAYS[before, after]
    box = lead(make_box)
    assert box.machine.phase is before
    box.machine.history.clear()
    step(box)
    assert box.machine.phase is after
    assert box.machine.history == [f"{before} → {after}"]


# --- no other one


def ways() -> dict[Phase, list[Phase]]:
    """A way through the table to each phase."""
    found = {phase: [phase] for phase in FOUND_AS}
    while len(found) < len(Phase):
        for before, after in CHANGES:
            if before in found and after not in found:
                found[after] = [*found[before], after]
    return found


def state_in(phase: Phase) -> ContainerState:
    first, *others = ways()[phase]
    state = ContainerState(builders.spec(1), builders.status(FOUND_AS[first]), first)
    for other in others:
        state.to(other)
    return state


@pytest.mark.parametrize("pair", set(product(Phase, Phase)) - CHANGES.keys(), ids=str)
def test_no_other_change_is_made(pair: tuple[Phase, Phase]) -> None:
    state = state_in(pair[0])
    with pytest.raises(PhaseError, match=f"change to {pair[1]}"):
        state.to(pair[1])
    assert state.phase is pair[0]


@pytest.mark.parametrize("phase", set(Phase) - FOUND_AS.keys(), ids=str)
def test_no_container_begins_in_another_phase(phase: Phase) -> None:
    with pytest.raises(PhaseError, match=f"change to {phase}"):
        ContainerState(builders.spec(1), ContainerStatus(), phase)
