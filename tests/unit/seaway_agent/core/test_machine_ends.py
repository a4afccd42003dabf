"""The container's machine, as conversations: removal, restart policies, agents that die."""

from collections.abc import Callable
from typing import Any

import pytest

from seaway_agent.core.instructions import Answer, Exit, Record, Waiter
from seaway_agent.core.phases import Phase
from seaway_contracts.containers import RestartPolicy, State
from seaway_testing import builders

MakeBox = Callable[..., Any]
SECOND_NS = 1_000_000_000
NOT_FOUND, CONFLICT, NOT_MODIFIED = 404, 409, 304


# --- remove


def test_remove(box: Any) -> None:
    assert box.remove("d") == ["record removing", "delete"]
    assert box.deleted() == ["record removing: destroy by d", "answer d"]
    assert box.machine.phase is Phase.GONE


def test_remove_with_volumes(box: Any) -> None:
    assert box.remove("d", volumes=True) == ["record removing", "delete with volumes"]


def test_remove_by_force_in_dockers_order(make_box: MakeBox) -> None:
    box = make_box().running()
    assert box.remove("d", force=True) == ["record running: kill 9 by d", "signal 9"]
    assert box.exited(137) == ["timer stop off", "record exited: network disconnect, die 137 by d", "tear down"]
    assert box.torn_down() == ["record removing", "delete"]
    assert box.deleted() == ["record removing: destroy by d", "answer d"]


def test_remove_by_force_of_a_paused_container(make_box: MakeBox) -> None:
    assert make_box().paused().remove("d", force=True) == ["record running: kill 9 by d", "signal 9", "thaw"]


def test_remove_of_what_runs_or_will_run(make_box: MakeBox, always: RestartPolicy) -> None:
    running = (make_box().running(), make_box().paused(), make_box().launching())
    restarting = (make_box(restart=always).backing_off(), make_box(restart=always).tearing_down(1))
    for box in (*running, *restarting):
        assert box.remove("d") == [f"answer d {CONFLICT}"]


@pytest.mark.parametrize(
    ("situation", "text"),
    [
        ("running", "container is running: stop the container before removing or force remove"),
        ("paused", "container is paused and must be unpaused first"),
        ("backing_off", "container is restarting: stop the container before removing or force remove"),
    ],
)
def test_the_refusal_is_dockers(make_box: MakeBox, always: RestartPolicy, situation: str, text: str) -> None:
    box = getattr(make_box(restart=always), situation)()
    (answer,) = box.machine.remove(Waiter("d"), False, False, 0)
    assert isinstance(answer, Answer)
    assert answer.error is not None
    assert answer.error.message == f'cannot remove container "/box1": {text}'


def test_remove_by_force_while_launching(make_box: MakeBox) -> None:
    box = make_box().launching()
    assert box.remove("d", force=True) == []
    assert box.launched() == [
        "record running: network connect, start by s",
        "answer s",
        "record running: kill 9 by d",
        "signal 9",
    ]


def test_remove_by_force_of_a_launch_that_fails(make_box: MakeBox) -> None:
    box = make_box().launching()
    box.remove("d", force=True)
    assert box.launch_failed() == ["record created: status by s", "answer s 500", "record removing", "delete"]


def test_remove_while_tearing_down_waits(make_box: MakeBox) -> None:
    box = make_box().tearing_down()
    assert box.remove("d") == []
    assert box.start("b") == [f"answer b {CONFLICT}"]
    assert box.torn_down() == ["record removing", "delete"]


def test_remove_by_force_beats_a_start_that_waits(make_box: MakeBox) -> None:
    box = make_box().tearing_down()
    box.start("b")
    box.restart("r")
    box.stop("t")
    assert box.remove("d", force=True) == []
    assert box.torn_down() == [f"answer b {CONFLICT}", f"answer r {CONFLICT}", "answer t", "record removing", "delete"]


def test_remove_by_force_while_backing_off(make_box: MakeBox, always: RestartPolicy) -> None:
    box = make_box(restart=always).backing_off()
    assert box.remove("d", force=True) == ["timer restart off", "record removing", "delete"]


def test_remove_by_force_of_a_restarting_container_that_is_torn_down(make_box: MakeBox, always: RestartPolicy) -> None:
    box = make_box(restart=always).tearing_down(1)
    assert box.remove("d", force=True) == []
    assert box.torn_down() == ["record removing", "delete"]


def test_a_second_remove_waits_for_the_first(make_box: MakeBox) -> None:
    box = make_box().removing()
    assert box.remove("e") == []
    assert box.deleted()[1:] == ["answer r", "answer e"]
    assert box.remove("f") == [f"answer f {NOT_FOUND}"]


def test_a_failed_delete_can_be_tried_again(make_box: MakeBox) -> None:
    box = make_box().removing()
    assert box.delete_failed() == ["record dead: status", "answer r 500"]
    assert box.remove("again") == ["record removing", "delete"]
    assert box.deleted() == ["record removing: destroy by again", "answer again"]


def test_auto_remove(make_box: MakeBox) -> None:
    box = make_box(auto_remove=True).running()
    box.exited()
    assert box.torn_down() == ["record removing", "delete with volumes"]
    assert box.deleted() == ["record removing: destroy"]


# --- restart policies


def test_always_backs_off_longer_and_longer(make_box: MakeBox, always: RestartPolicy) -> None:
    box = make_box(restart=always).running()
    waits = []
    for count in range(1, 5):
        assert box.exited(0)[1] == "record restarting: network disconnect, die 0"
        waits += box.torn_down()
        assert box.timer("restart") == ["timer restart off", f"launch {count + 1}"]
        assert box.launched() == ["record running: network connect, start"]
    assert waits == ["timer restart 0.1s", "timer restart 0.2s", "timer restart 0.4s", "timer restart 0.8s"]
    assert box.machine.status.restart_count == 4


def test_a_long_run_takes_the_backoff_back(make_box: MakeBox, always: RestartPolicy) -> None:
    box = make_box(restart=always).running()
    for _ in range(3):
        box.exited()
        box.torn_down()
        box.timer("restart")
        box.launched()
    box.wait(10)
    box.exited()
    assert box.torn_down() == ["timer restart 0.1s"]


def test_on_failure_ends_after_its_retries(make_box: MakeBox) -> None:
    box = make_box(restart=RestartPolicy(name="on-failure", max_retries=2)).running()
    for _ in range(2):
        assert box.exited(1)[1].startswith("record restarting")
        box.torn_down()
        box.timer("restart")
        box.launched()
    assert box.exited(1)[1] == "record exited: network disconnect, die 1"
    assert (box.torn_down(), box.machine.status.restart_count) == ([], 2)


def test_on_failure_leaves_success_alone(make_box: MakeBox) -> None:
    box = make_box(restart=RestartPolicy(name="on-failure")).running()
    assert box.exited(0)[1] == "record exited: network disconnect, die 0"


def test_stop_ends_a_restarting_container_for_good(make_box: MakeBox, always: RestartPolicy) -> None:
    box = make_box(restart=always).backing_off()
    assert box.stop("t") == ["timer restart off", "record exited: stop by t", "answer t"]
    assert box.timer("restart") == []
    assert box.machine.status.manually_stopped


def test_stop_while_a_restarting_container_is_torn_down(make_box: MakeBox, always: RestartPolicy) -> None:
    box = make_box(restart=always).tearing_down(1)
    assert box.stop("t") == ["timer restart off", "record exited: stop by t", "answer t"]
    assert box.torn_down() == []


@pytest.mark.parametrize("policy", ["always", "unless-stopped", "on-failure"])
def test_a_stopped_container_does_not_come_back(make_box: MakeBox, policy: str) -> None:
    box = make_box(restart=RestartPolicy(name=policy)).running()
    box.stop("t")
    assert box.exited(143)[1].startswith("record exited")


def test_a_late_timer_does_nothing(make_box: MakeBox) -> None:
    box = make_box().ended()
    assert box.timer("stop") == []
    assert box.timer("restart") == []


# --- after an agent's death


@pytest.mark.parametrize(
    ("state", "phase", "words"),
    [
        (State.EXITED, Phase.IDLE, []),
        (State.RUNNING, Phase.RUNNING, []),
        (State.EXITED, Phase.TEARING_DOWN, ["tear down"]),
        (State.RESTARTING, Phase.TEARING_DOWN, ["tear down"]),
        (State.REMOVING, Phase.REMOVING, ["delete"]),
    ],
)
def test_resume(make_box: MakeBox, state: State, phase: Phase, words: list[str]) -> None:
    assert make_box(builders.status(state), phase).resume() == words


@pytest.mark.parametrize(("volumes", "words"), [(True, ["delete with volumes"]), (False, ["delete"])])
def test_resume_of_a_removal_remembers_what_goes_with_it(make_box: MakeBox, volumes: bool, words: list[str]) -> None:
    before = make_box()
    before.remove("d", volumes=volumes)
    assert make_box(before.machine.status, Phase.REMOVING).resume() == words


def test_resume_of_an_auto_removal_takes_the_volumes(make_box: MakeBox) -> None:
    before = make_box(auto_remove=True).running()
    before.exited()
    before.torn_down()
    assert make_box(before.machine.status, Phase.REMOVING).resume() == ["delete with volumes"]


def test_resume_of_a_restarting_container_backs_off(make_box: MakeBox, always: RestartPolicy) -> None:
    box = make_box(builders.status(State.RESTARTING, run=1), Phase.TEARING_DOWN, restart=always)
    box.resume()
    assert box.torn_down() == ["timer restart 0.1s"]


def test_resume_of_an_auto_removed_container_removes_it(make_box: MakeBox) -> None:
    box = make_box(builders.status(State.EXITED, run=1), Phase.TEARING_DOWN, auto_remove=True)
    box.resume()
    assert box.torn_down() == ["record removing", "delete with volumes"]


def test_start_again_after_a_reboot_keeps_the_restart_count(make_box: MakeBox, always: RestartPolicy) -> None:
    box = make_box(builders.status(State.EXITED, run=4, restart_count=3), restart=always)
    assert [type(do).__name__ for do in box.machine.start_again()] == ["SetTimer", "Launch"]
    assert box.machine.status.restart_count == 3


# --- numbers and times


def test_every_container_event_has_its_own_number(make_box: MakeBox) -> None:
    box = make_box()
    box.create()
    assert box.machine.status.seq == 1
    box.start("s")
    box.launched()
    assert box.machine.status.seq == 2
    box.restart("r")
    box.exited(137, oom=True)
    assert box.machine.status.seq == 2 + 1 + 3


def test_what_ended_with_its_node_is_started_by_the_node(make_box: MakeBox) -> None:
    """In an order that this container doesn't know; else it would come back by itself."""
    policy = RestartPolicy(name="always")
    box = make_box(restart=policy).running()
    box.machine.exited(Exit(255, box.now_ns), with_node=True)
    assert (box.state, box.torn_down()) == ("exited", [])
    waited = make_box(builders.status(State.RESTARTING), Phase.TEARING_DOWN, restart=policy)
    assert waited._say(waited.machine.resume(with_node=True)) == ["tear down"]
    assert waited.torn_down() == []


def test_the_wait_before_a_restart_goes_by_how_long_it_ran_not_by_the_clock(make_box: MakeBox) -> None:
    box = make_box(restart=RestartPolicy(name="always")).running()
    for wait in ("0.1s", "0.2s"):
        box.machine.exited(Exit(1, box.now_ns, ran_ns=SECOND_NS))
        assert box.torn_down() == [f"timer restart {wait}"]
        box.timer("restart")
        box.launched()
    box.wait(-86_400)  # the clock is set back
    box.machine.exited(Exit(1, box.now_ns, ran_ns=11 * SECOND_NS))
    assert box.torn_down() == ["timer restart 0.1s"]


def test_events_have_the_present_time_though_the_clock_was_set_back(make_box: MakeBox) -> None:
    box = make_box().running()
    box.wait(-86_400)
    times = [do.time_ns for do in box.machine.kill(Waiter("k"), 10, box.now_ns) if isinstance(do, Record)]
    assert times == [box.now_ns]


def test_start_again_leaves_alone_what_a_user_was_quicker_with_and_what_is_half_deleted(make_box: MakeBox) -> None:
    assert make_box().running().machine.start_again() == []
    assert make_box(builders.status(State.DEAD)).machine.start_again() == []
