"""The container's machine, as conversations: what is said to it, and exactly what it says."""

from collections.abc import Callable
from typing import Any

import pytest

from seaway_agent.core.instructions import Answer, Ask, Exit, Launched, Record
from seaway_agent.core.machine import Phase
from seaway_contracts.containers import Command, Endpoint, RestartPolicy, State
from seaway_contracts.errors import SeawayError
from seaway_testing import builders

MakeBox = Callable[..., Any]
NOT_FOUND, CONFLICT, NOT_MODIFIED = 404, 409, 304


# --- a plain life


def test_create(make_box: MakeBox) -> None:
    box = make_box()
    assert box.create("c") == ["record created: create by c", "answer c"]


def test_start_until_the_end(box: Any) -> None:
    assert box.start("a") == ["timer restart off", "launch 1"]
    assert box.launched() == ["record running: network connect, start by a", "answer a"]
    assert box.exited(3) == ["timer stop off", "record exited: network disconnect, die 3", "tear down"]
    assert box.torn_down() == []
    assert (box.state, box.machine.status.exit_code, box.machine.status.pid) == ("exited", 3, 0)


def test_a_second_start_is_a_second_run(make_box: MakeBox) -> None:
    box = make_box().ended()
    assert box.start("b") == ["timer restart off", "launch 2"]
    assert box.launched() == ["record running: network connect, start by b", "answer b"]


def test_oom_comes_before_die(make_box: MakeBox) -> None:
    box = make_box().running()
    assert box.exited(137, oom=True)[1] == "record exited: oom, network disconnect, die 137"
    assert box.machine.status.oom_killed


def test_die_tells_code_and_whole_seconds(make_box: MakeBox) -> None:
    box = make_box().running()
    done = box.machine.exited(Exit(7, box.now_ns + 2_900_000_000))
    died = next(do for do in done if isinstance(do, Record)).events[-1]
    assert died.attributes == {"exitCode": "7", "execDuration": "2"}


def test_network_events_name_the_network(make_box: MakeBox) -> None:
    box = make_box().launching()
    none = Endpoint(network="none", network_id="0" * 64)
    done = box.machine.launched(Launched(42, box.now_ns, (none,)))
    connected = next(do for do in done if isinstance(do, Record)).events[0]
    assert (connected.noun, connected.network, connected.attributes) == (
        "network",
        none,
        {"name": "none", "type": "null"},
    )


# --- start in every other situation


def test_start_while_it_runs(make_box: MakeBox) -> None:
    assert make_box().running().start("b") == [f"answer b {NOT_MODIFIED}"]


def test_start_while_paused(make_box: MakeBox) -> None:
    assert make_box().paused().start("b") == [f"answer b {CONFLICT}"]


def test_start_while_launching_waits_for_the_same_launch(make_box: MakeBox) -> None:
    box = make_box().launching()
    assert box.start("b") == []
    assert box.launched() == ["record running: network connect, start by s", "answer s", "answer b"]


def test_start_while_tearing_down_waits_and_launches(make_box: MakeBox) -> None:
    box = make_box().tearing_down()
    assert box.start("b") == []
    assert box.torn_down() == ["timer restart off", "launch 2"]


def test_start_while_backing_off_launches_at_once(make_box: MakeBox, always: RestartPolicy) -> None:
    box = make_box(restart=always).backing_off()
    assert box.start("b") == ["timer restart off", "launch 2"]
    assert box.machine.status.restart_count == 0


def test_start_while_removing(make_box: MakeBox) -> None:
    assert make_box().removing().start("b") == [f"answer b {CONFLICT}"]


def test_start_of_what_could_not_be_deleted(make_box: MakeBox) -> None:
    box = make_box().removing()
    box.delete_failed()
    assert box.start("b") == [f"answer b {CONFLICT}"]


# --- launches that fail


def test_a_failed_launch_tells_everybody_and_stays_created(make_box: MakeBox) -> None:
    box = make_box().launching()
    box.start("b")
    assert box.launch_failed(127) == ["record created: status by s", "answer s 500", "answer b 500"]
    assert (box.machine.status.exit_code, box.machine.status.error) == (127, "no such program")


def test_what_never_ran_stays_created_however_often_it_fails(make_box: MakeBox) -> None:
    box = make_box().launching()
    box.launch_failed()
    box.start("b")
    assert box.launch_failed() == ["record created: status by b", "answer b 500"]


def test_a_failed_launch_after_a_run_is_exited(make_box: MakeBox) -> None:
    box = make_box().ended()
    box.start("b")
    assert box.launch_failed()[0] == "record exited: status by b"


def test_the_error_goes_with_the_next_run(make_box: MakeBox) -> None:
    box = make_box().launching()
    box.launch_failed()
    box.start("b")
    box.launched()
    assert (box.machine.status.exit_code, box.machine.status.error) == (0, "")


def test_a_failed_launch_without_anybody_waiting(make_box: MakeBox, always: RestartPolicy) -> None:
    box = make_box(restart=always).backing_off()
    box.timer("restart")
    assert box.launch_failed() == ["record exited: status"]
    assert box.machine.phase is Phase.IDLE


def test_a_failed_launch_with_auto_remove_leaves_nothing(make_box: MakeBox) -> None:
    box = make_box(auto_remove=True).launching()
    words = ["record created: status by s", "answer s 500", "record removing", "delete with volumes"]
    assert box.launch_failed() == words
    assert box.deleted() == ["record removing: destroy"]


def test_a_failed_launch_that_was_to_be_stopped(make_box: MakeBox) -> None:
    box = make_box().launching()
    box.stop("t")
    assert box.launch_failed() == ["record created: status by s", "answer s 500", "answer t"]


# --- stop


def test_stop_in_dockers_order(make_box: MakeBox) -> None:
    box = make_box().running()
    assert box.stop("t") == ["record running: kill 15 by t", "signal 15", "timer stop 10s"]
    assert box.exited(143) == [
        "timer stop off",
        "record exited: network disconnect, stop, die 143 by t",
        "tear down",
        "answer t",
    ]


def test_stop_kills_when_time_is_up(make_box: MakeBox) -> None:
    box = make_box().running()
    box.stop("t", 3)
    assert box.timer("stop") == ["record running: kill 9 by t", "signal 9"]
    assert box.exited(137)[1] == "record exited: network disconnect, stop, die 137 by t"


def test_stop_without_patience_kills_at_once(make_box: MakeBox) -> None:
    assert make_box().running().stop("t", 0) == ["record running: kill 9 by t", "signal 9"]


def test_stop_with_endless_patience_has_no_timer(make_box: MakeBox) -> None:
    assert make_box().running().stop("t", -1) == ["record running: kill 15 by t", "signal 15"]


@pytest.mark.parametrize(
    ("command", "timeout_s", "signal", "words"),
    [
        (Command(stop_signal="SIGINT", stop_timeout=4), None, None, ("signal 2", "timer stop 4s")),
        (Command(stop_signal="SIGINT", stop_timeout=4), 7, 1, ("signal 1", "timer stop 7s")),
        (Command(stop_signal="37"), None, None, ("signal 37", "timer stop 10s")),
        (Command(stop_signal="quit"), None, None, ("signal 3", "timer stop 10s")),
        (Command(stop_signal="SIGRTMIN+3"), None, None, ("signal 37", "timer stop 10s")),
        (Command(stop_signal="SIGNONSENSE"), None, None, ("signal 15", "timer stop 10s")),
        (Command(stop_timeout=-1), None, None, ("signal 15",)),
    ],
)
def test_stop_has_the_containers_signal_and_patience(
    make_box: MakeBox, command: Command, timeout_s: int | None, signal: int | None, words: tuple[str, ...]
) -> None:
    assert tuple(make_box(command=command).running().stop("t", timeout_s, signal)[1:]) == words


def test_a_second_stop_waits_for_the_first(make_box: MakeBox) -> None:
    box = make_box().running()
    box.stop("t")
    assert box.stop("u") == []
    assert box.exited()[-2:] == ["answer t", "answer u"]


def test_a_second_stop_with_less_patience_is_carried_out(make_box: MakeBox) -> None:
    box = make_box().running()
    box.stop("t", -1)
    assert box.stop("u", 5) == ["record running: kill 15 by u", "signal 15", "timer stop 5s"]
    assert box.stop("v", 60) == []
    assert box.stop("w", 0) == ["record running: kill 9 by w", "signal 9"]
    assert box.exited(137)[-4:] == ["answer t", "answer u", "answer v", "answer w"]


def test_stop_of_a_paused_container_thaws_after_the_signal(make_box: MakeBox) -> None:
    box = make_box().paused()
    assert box.stop("t") == ["record running: kill 15 by t", "signal 15", "thaw", "timer stop 10s"]


def test_pause_while_stopping_is_taken_back(make_box: MakeBox) -> None:
    box = make_box().running()
    box.stop("t")
    assert box.pause("p") == ["thaw", f"answer p {CONFLICT}"]
    assert box.timer("stop") == ["record running: kill 9 by t", "signal 9"]


def test_stop_while_launching_waits_for_the_launch(make_box: MakeBox) -> None:
    box = make_box().launching()
    assert box.stop("t", 2) == []
    assert box.launched() == [
        "record running: network connect, start by s",
        "answer s",
        "record running: kill 15 by t",
        "signal 15",
        "timer stop 2s",
    ]


def test_stop_where_nothing_runs(make_box: MakeBox) -> None:
    for box in (make_box(), make_box().ended(), make_box().tearing_down(), make_box().removing()):
        assert box.stop("t") == [f"answer t {NOT_MODIFIED}"]


def test_stop_while_tearing_down_for_a_start_stops_the_new_run(make_box: MakeBox) -> None:
    box = make_box().tearing_down()
    box.start("b")
    assert box.stop("t") == []
    box.torn_down()
    assert box.launched()[1:4] == ["answer b", "record running: kill 15 by t", "signal 15"]


# --- restart


def test_restart_in_dockers_order(make_box: MakeBox) -> None:
    box = make_box().running()
    assert box.restart("r") == ["record running: kill 15 by r", "signal 15", "timer stop 10s"]
    assert box.exited(143) == ["timer stop off", "record exited: network disconnect, stop, die 143 by r", "tear down"]
    assert box.torn_down() == ["timer restart off", "launch 2"]
    assert box.launched() == ["record running: network connect, start, restart by r", "answer r"]


def test_restart_of_what_does_not_run_starts_it(make_box: MakeBox) -> None:
    box = make_box().ended()
    assert box.restart("r") == ["timer restart off", "launch 2"]
    assert box.launched() == ["record running: network connect, start, restart by r", "answer r"]


def test_restart_does_not_count_as_stopped_by_hand(make_box: MakeBox) -> None:
    box = make_box().running()
    box.restart("r")
    assert not box.machine.status.manually_stopped


def test_restart_while_launching_is_content_with_that_launch(make_box: MakeBox) -> None:
    box = make_box().launching()
    assert box.restart("r") == []
    assert box.launched() == ["record running: network connect, start, restart by s", "answer s", "answer r"]


def test_restart_after_a_stop_of_a_launch_leaves_it_running(make_box: MakeBox) -> None:
    box = make_box().launching()
    box.stop("t")
    box.restart("r")
    assert box.launched()[1:] == ["answer s", "answer r", "answer t"]
    assert box.state == "running"


def test_restart_while_tearing_down(make_box: MakeBox) -> None:
    box = make_box().tearing_down()
    assert box.restart("r") == []
    assert box.torn_down() == ["timer restart off", "launch 2"]


def test_restart_while_stopping_runs_again(make_box: MakeBox) -> None:
    box = make_box().running()
    box.stop("t")
    assert box.restart("r") == []
    assert box.exited()[-1] == "answer t"
    assert box.torn_down() == ["timer restart off", "launch 2"]


def test_restart_while_removing(make_box: MakeBox) -> None:
    assert make_box().removing().restart("r2") == [f"answer r2 {CONFLICT}"]


def test_a_restart_whose_launch_fails(make_box: MakeBox) -> None:
    box = make_box().running()
    box.restart("r")
    box.exited()
    box.torn_down()
    assert box.launch_failed() == ["record exited: status", "answer r 500"]


def test_restart_of_an_auto_removed_container_keeps_it(make_box: MakeBox) -> None:
    box = make_box(auto_remove=True).running()
    box.restart("r")
    box.exited()
    assert box.torn_down() == ["timer restart off", "launch 2"]


# --- kill, pause


def test_kill(make_box: MakeBox) -> None:
    box = make_box().running()
    assert box.kill("k", 10) == ["record running: kill 10 by k", "signal 10", "answer k"]
    assert not box.machine.status.manually_stopped
    assert box.exited(138)[1] == "record exited: network disconnect, die 138"


@pytest.mark.parametrize("signal", [9, 15])
def test_kill_by_a_signal_that_ends_it_counts_as_stopped_by_hand(
    make_box: MakeBox, always: RestartPolicy, signal: int
) -> None:
    box = make_box(restart=always).running()
    box.kill("k", signal)
    box.exited(128 + signal)
    assert (box.torn_down(), box.state) == ([], "exited")


def test_kill_of_a_paused_container_thaws_it_only_to_die(make_box: MakeBox) -> None:
    assert make_box().paused().kill("k", 9) == ["record running: kill 9 by k", "signal 9", "thaw", "answer k"]
    assert make_box().paused().kill("k", 15) == ["record running: kill 15 by k", "signal 15", "thaw", "answer k"]
    assert make_box().paused().kill("k", 10) == ["record paused: kill 10 by k", "signal 10", "answer k"]


def test_kill_where_nothing_runs(make_box: MakeBox, always: RestartPolicy) -> None:
    idle = (make_box(), make_box().launching(), make_box().ended(), make_box().removing())
    for box in (*idle, make_box(restart=always).backing_off()):
        assert box.kill("k") == [f"answer k {CONFLICT}"]


def test_pause_and_unpause(make_box: MakeBox) -> None:
    box = make_box().running()
    assert box.pause("p") == ["record paused: pause by p", "answer p"]
    assert box.pause("q") == [f"answer q {CONFLICT}"]
    assert box.unpause("u") == ["thaw", "record running: unpause by u", "answer u"]
    assert box.unpause("v") == [f"answer v {CONFLICT}"]


def test_pause_where_nothing_runs(make_box: MakeBox) -> None:
    for box in (make_box(), make_box().launching(), make_box().ended()):
        assert box.pause("p") == [f"answer p {CONFLICT}"]


def test_a_paused_container_can_end(make_box: MakeBox) -> None:
    assert make_box().paused().exited(137)[1] == "record exited: network disconnect, die 137"


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
        ("paused", "container is paused: unpause and then stop the container before removing or force remove"),
        ("backing_off", "container is restarting: stop the container before removing or force remove"),
    ],
)
def test_the_refusal_is_dockers(make_box: MakeBox, always: RestartPolicy, situation: str, text: str) -> None:
    box = getattr(make_box(restart=always), situation)()
    (answer,) = box.machine.remove(Ask("d"), False, False, 0)
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


# --- what can't be


def test_what_can_not_be_raises_with_the_containers_story(make_box: MakeBox) -> None:
    box = make_box().running()
    with pytest.raises(SeawayError, match=r"is running at .*; it went: idle → launching, launching → running"):
        box.launched()
    for impossible in (box.torn_down, box.deleted, box.launch_failed):
        with pytest.raises(SeawayError):
            impossible()
    with pytest.raises(SeawayError, match="no steps yet"):
        make_box().exited()


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
