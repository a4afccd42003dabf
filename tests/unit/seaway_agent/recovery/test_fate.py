"""What becomes of a container's run under the next agent."""

import pytest

from seaway_agent.core.instructions import Exit, Launch
from seaway_agent.core.phases import Phase
from seaway_agent.recovery.fate import Fate, fate_of
from seaway_agent.recovery.leftovers import RunLeftovers
from seaway_agent.runtime.run import RunRecord
from seaway_contracts.containers import ContainerStatus

RECORDED = ContainerStatus(run=2)
ENDED = Exit(3, 4)
LIVE = {"has_bundle": True, "pid": 7, "pidfd": 9}


def leftovers(run: int = 2, **fields: object) -> RunLeftovers:
    return RunLeftovers(**{"note": RunRecord(Launch(run)), **fields})  # type: ignore[arg-type]


@pytest.mark.parametrize("phase", [Phase.RUNNING, Phase.PAUSED])
def test_a_recorded_run_continues_or_has_ended(phase: Phase) -> None:
    assert fate_of(phase, RECORDED, leftovers(**LIVE)) is Fate.ADOPT
    assert fate_of(phase, RECORDED, leftovers(has_bundle=True, conmon_fd=9)) is Fate.ADOPT
    assert fate_of(phase, RECORDED, leftovers(**LIVE, ended=ENDED)) is Fate.ENDED
    assert fate_of(phase, RECORDED, leftovers()) is Fate.ENDED


@pytest.mark.parametrize("phase", [Phase.IDLE, Phase.TEARING_DOWN])
def test_a_run_that_was_not_recorded(phase: Phase) -> None:
    assert fate_of(phase, RECORDED, leftovers(3, **LIVE, started=True)) is Fate.ADOPT_UNRECORDED
    assert fate_of(phase, RECORDED, leftovers(3, has_bundle=True, started=True, ended=ENDED)) is Fate.ENDED_UNRECORDED
    assert fate_of(phase, RECORDED, leftovers(3, **LIVE)) is Fate.UNDO
    assert fate_of(phase, RECORDED, leftovers(3, has_bundle=True, ended=ENDED)) is Fate.UNDO
    assert fate_of(phase, RECORDED, leftovers(3, has_bundle=True, started=True)) is Fate.UNDO


def test_what_is_left_of_a_recorded_run_that_is_over() -> None:
    assert fate_of(Phase.IDLE, RECORDED, leftovers(has_bundle=True)) is Fate.UNDO
    assert fate_of(Phase.IDLE, RECORDED, leftovers()) is Fate.RESUME
    assert fate_of(Phase.TEARING_DOWN, RECORDED, leftovers(has_bundle=True)) is Fate.RESUME
    assert fate_of(Phase.REMOVING, RECORDED, leftovers(3, has_bundle=True)) is Fate.RESUME


def test_what_a_fate_means() -> None:
    assert [fate for fate in Fate if fate.is_adopted] == [Fate.ADOPT, Fate.ADOPT_UNRECORDED]
    assert [fate for fate in Fate if fate.is_unrecorded] == [Fate.ADOPT_UNRECORDED, Fate.ENDED_UNRECORDED]
