"""The container's machine where something happens that does not fit: that container breaks, and can be removed."""

import signal as signals
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule
from tests.unit.seaway_agent.core.test_machine_properties import ENDPOINT, World

from seaway_agent.core.instructions import (
    Answer,
    Delete,
    Exit,
    Instruction,
    Launch,
    Launched,
    LogError,
    Record,
    SendSignal,
    TearDown,
    Waiter,
)
from seaway_agent.core.phases import Phase
from seaway_contracts.containers import RestartPolicy, State
from seaway_contracts.errors import SeawayError, internal
from seaway_contracts.execs import ExecSpec, exec_id
from seaway_testing import builders

MakeBox = Callable[..., Any]
CONFLICT = 409
ID = builders.spec(1).id[:12]


def lost(box: Any) -> str:
    """The sentence that the container's status has."""
    text: str = box.machine.status.error
    assert text.startswith(f"the agent lost track of container {ID} (")
    assert text.endswith("remove it by force")
    return text


def test_what_does_not_fit_is_logged_with_the_containers_history(make_box: MakeBox) -> None:
    box = make_box().running()
    assert box.launched() == [
        f"log: container {ID} is running at 'launched'; it went: idle → launching, launching → running",
        "timer stop off",
        "timer restart off",
        "record running: status",
    ]
    assert (box.machine.phase, box.state, box.machine.status.pid) == (Phase.BROKEN, "running", 42)
    assert "running at 'launched'" in lost(box)
    for report in ("torn_down", "deleted", "launch_failed", "delete_failed"):
        other = make_box().running()
        assert f"is running at '{report}'; it went: " in getattr(other, report)()[0]
        assert other.machine.phase is Phase.BROKEN
    assert make_box().exited()[0] == f"log: container {ID} is idle at 'exited'; it went: no steps yet"


def test_everybody_who_waits_gets_the_error(make_box: MakeBox) -> None:
    box = make_box().running()
    box.stop("t")
    box.restart("r")
    box.kill("k")
    done = box.machine.torn_down(box.now_ns)
    answers = {what.waiter.command: what.error for what in done if isinstance(what, Answer)}
    assert list(answers) == ["t", "k", "r"]
    assert {error.message for error in answers.values() if error} == {lost(box)}
    (record,) = (what for what in done if isinstance(what, Record))
    assert record.pending_stop is None


def test_a_command_that_is_refused_by_the_table_has_an_answer(
    make_box: MakeBox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The table is the judge, not the code of the command."""
    changes = {(None, Phase.IDLE): "", (Phase.IDLE, Phase.BROKEN): ""}
    monkeypatch.setattr("seaway_agent.core.phases.CHANGES", changes)
    box = make_box()
    assert box.start("a")[0].startswith(f"log: container {ID} is idle at 'change to launching'")
    assert make_box().remove("d")[-1] == "answer d 500"


def test_its_timers_and_probes_end(make_box: MakeBox) -> None:
    box = make_box(restart=RestartPolicy(name="always")).backing_off()
    assert box.exited()[1:4] == ["timer stop off", "timer restart off", "record exited: status"]
    assert box.timer("restart") == box.timer("stop") == []


# --- commands to a broken one


def broken_running(make_box: MakeBox) -> Any:
    box = make_box().running()
    box.torn_down()
    return box


def test_what_runs_is_removed_by_force(make_box: MakeBox) -> None:
    """It is killed and torn down before it is deleted; its end is recorded, though nobody reports it."""
    box = broken_running(make_box)
    assert box.remove("d") == [f"answer d {CONFLICT}"]
    assert box.remove("d", force=True) == ["record running: kill 9 by d", "signal 9", "thaw", "tear down"]
    assert box.torn_down() == ["record exited: network disconnect, die 137", "record removing", "delete"]
    assert box.deleted() == ["record removing: destroy by d", "answer d"]


def test_the_end_is_the_reported_one_where_it_is_reported(make_box: MakeBox) -> None:
    box = broken_running(make_box)
    box.remove("d", force=True)
    assert box.exited(143) == ["record exited: network disconnect, die 143"]
    assert box.exited(143) == []
    assert box.torn_down() == ["record removing", "delete"]


def test_what_is_paused_is_removed_by_force(make_box: MakeBox) -> None:
    box = make_box().paused()
    box.torn_down()
    assert box.state == "paused"
    assert box.remove("d", force=True) == ["record paused: kill 9 by d", "signal 9", "thaw", "tear down"]


def test_what_does_not_run_is_removed(make_box: MakeBox) -> None:
    box = make_box()
    box.exited()
    assert box.remove("d") == ["tear down"]
    assert box.remove("e") == []
    assert box.torn_down() == ["record removing", "delete"]
    assert box.deleted()[1:] == ["answer d", "answer e"]


def test_other_commands_are_refused_with_the_error(make_box: MakeBox) -> None:
    box = broken_running(make_box)
    now = box.now_ns
    waiter, execution = Waiter("x"), ExecSpec(id=exec_id(builders.container_id(1), "1" * 32), args=("sh",))
    for done in (
        box.machine.start(waiter),
        box.machine.stop(waiter, None, None, now),
        box.machine.restart(waiter, None, None, now),
        box.machine.kill(waiter, 9, now),
        box.machine.unpause(waiter, now),
        box.machine.pause(waiter, now),
    ):
        answer = done[-1]
        assert isinstance(answer, Answer)
        assert answer.error is not None
        assert (answer.error.status, answer.error.message) == (CONFLICT, lost(box))
    assert box.pause("p")[0] == "thaw"
    with pytest.raises(SeawayError, match="lost track"):
        box.machine.execs.create(waiter, execution, now)


def test_one_that_does_not_run_is_as_any_other_to_stop_and_kill(make_box: MakeBox) -> None:
    box = make_box()
    box.exited()
    assert (box.stop("t"), box.kill("k")) == (["answer t 304"], [f"answer k {CONFLICT}"])


# --- what happens to a broken one


def test_its_process_is_recorded_as_it_is(make_box: MakeBox) -> None:
    box = make_box().launching()
    assert box.exited()[-1] == "answer s 500"
    assert box.launched() == ["record running: network connect, start"]
    assert lost(box)
    assert box.launched() == []
    assert box.exited(3) == ["record exited: network disconnect, die 3"]
    assert box.machine.phase is Phase.BROKEN


def test_a_deletion_that_was_under_way_is_its_end(make_box: MakeBox) -> None:
    box = make_box().removing()
    assert box.torn_down()[-2:] == ["record dead: status", "answer r 500"]
    assert box.deleted() == ["record dead: destroy"]
    assert box.machine.phase is Phase.GONE


def test_nothing_is_recorded_of_one_that_is_gone(make_box: MakeBox) -> None:
    box = make_box().removing()
    box.deleted()
    assert [line.split(":")[0] for line in box.torn_down()] == ["log"]
    assert box.machine.phase is Phase.GONE


# --- whatever happens


class Bewildered(World):
    """Reports come that are not true. Whatever the machine makes of them, everybody is answered and it can go."""

    def carry_out_one(self, do: Instruction) -> None:
        match do:
            case Answer() | Record():
                super().carry_out_one(do)
            case Launch():
                assert not self.launching, "two launches at once"
                self.launching = True
            case SendSignal():
                if self.alive:
                    self.pending.append(do.signal)
            case TearDown():
                self.tearing_down = True
            case Delete():
                assert not self.alive, "what runs is deleted"
                self.deleting = True
            case LogError():
                assert self.machine.phase in (Phase.BROKEN, Phase.GONE)
            case _:
                pass

    @precondition(lambda self: hasattr(self, "machine"))
    @rule(what=st.sampled_from(["launched", "failed", "exited", "torn down", "deleted", "not deleted"]))
    def a_report_is_wrong(self, what: str) -> None:
        machine, now = self.machine, self.now_ns
        if what == "launched" and not self.launching:
            self.carry_out(machine.launched(Launched(7, now, (ENDPOINT,))))
        elif what == "failed" and not self.launching:
            self.carry_out(machine.launch_failed(internal("no"), 127, now))
        elif what == "exited" and not self.alive:
            self.carry_out(machine.exited(Exit(0, now)))
        elif what == "torn down" and not self.tearing_down and not self.alive:
            self.carry_out(machine.torn_down(now))
        elif what == "deleted" and not self.deleting and not self.alive:
            self.carry_out(machine.deleted(now))
        elif what == "not deleted" and not self.deleting:
            self.carry_out(machine.delete_failed(internal("busy"), now))

    @precondition(lambda self: self.tearing_down and not self.launching)
    @rule()
    def torn_down(self) -> None:
        """It waits for a launch under way, and kills what still runs."""
        self.alive = self.frozen = self.tearing_down = self.sandbox = False
        self.pending.clear()
        self.carry_out(self.machine.torn_down(self.now_ns))

    def check_order(self, event: Any) -> None:
        """A process that is only reported has a start and an end like any other."""
        if self.machine.phase is not Phase.BROKEN:
            assert "destroy" not in self.events

    def status_says_what_is(self) -> None:
        if hasattr(self, "machine") and self.machine.phase is Phase.BROKEN:
            assert self.machine.status.error
            assert self.machine.status.state not in (State.RESTARTING, State.REMOVING)

    def health_is_looked_after_while_it_runs(self) -> None:
        pass

    def an_old_probe_ends_late(self, number: int) -> None:
        pass

    def teardown(self) -> None:
        if not hasattr(self, "machine"):
            return
        for _ in range(100):
            self.catch_up()
        if self.machine.phase is not Phase.GONE:
            self.carry_out(self.machine.remove(self.ask(), True, False, self.now_ns))
        for _ in range(100):
            self.catch_up()
        assert self.machine.phase is Phase.GONE, self.machine.history
        unanswered = [command for command, count in self.answers.items() if count != 1]
        assert not unanswered, f"nobody answered {unanswered}; {self.machine.phase}: {self.machine.history}"

    def catch_up(self) -> None:
        if self.alive and signals.SIGKILL in self.pending:
            self.process_ends(137, False)
        elif self.tearing_down and not self.launching:
            self.torn_down()
        else:
            super().catch_up()


Bewildered.TestCase.settings = settings(max_examples=150, stateful_step_count=30)
test_any_wrong_report = Bewildered.TestCase
