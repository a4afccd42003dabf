"""The container's machine, as conversations: stop, restart, kill, pause."""

from collections.abc import Callable
from typing import Any

import pytest

from seaway_agent.core.instructions import Waiter
from seaway_contracts.containers import Command, RestartPolicy
from seaway_contracts.errors import Reason

MakeBox = Callable[..., Any]
NOT_FOUND, CONFLICT, NOT_MODIFIED = 404, 409, 304


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
    assert make_box().running().stop("t", 0) == [
        "record running: kill 15 by t",
        "signal 15",
        "record running: kill 9 by t",
        "signal 9",
    ]


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
    assert box.stop("w", 0)[-3:] == ["record running: kill 9 by w", "signal 9", "timer stop off"]
    assert box.exited(137)[-4:] == ["answer t", "answer u", "answer v", "answer w"]


def test_stop_of_a_paused_container_thaws_after_the_signal(make_box: MakeBox) -> None:
    box = make_box().paused()
    assert box.stop("t") == [
        "record running: kill 15 by t",
        "signal 15",
        "thaw",
        "record running: unpause by t",
        "timer stop 10s",
    ]


def test_stop_at_once_of_a_paused_container_tells_of_the_thaw_last(make_box: MakeBox) -> None:
    box = make_box().paused()
    assert box.stop("t", 0) == [
        "record running: kill 15 by t",
        "signal 15",
        "thaw",
        "record running: kill 9 by t",
        "signal 9",
        "record running: unpause by t",
    ]


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
    assert make_box().paused().kill("k", 9) == ["record running: kill 9 by k", "signal 9", "thaw"]
    assert make_box().paused().kill("k", 15) == ["record running: kill 15 by k", "signal 15", "thaw", "answer k"]
    assert make_box().paused().kill("k", 10) == ["record paused: kill 10 by k", "signal 10", "answer k"]


def test_kill_where_nothing_runs(make_box: MakeBox, always: RestartPolicy) -> None:
    for box in (make_box(), make_box().launching(), make_box().ended(), make_box().removing()):
        assert box.kill("k") == [f"answer k {CONFLICT}"]
        (answer,) = box.machine.kill(Waiter("k"), 9, box.now_ns)
        assert answer.error.reason is Reason.NOT_RUNNING


def test_sigkill_is_answered_when_the_process_is_gone(make_box: MakeBox) -> None:
    box = make_box().running()
    assert box.kill("k") == ["record running: kill 9 by k", "signal 9"]
    assert box.kill("again") == ["record running: kill 9 by again", "signal 9"]
    died = ["timer stop off", "record exited: network disconnect, die 137 by k", "tear down"]
    assert box.exited(137) == [*died, "answer k", "answer again"]


def test_kill_of_what_waits_to_be_restarted_ends_the_wait(make_box: MakeBox, always: RestartPolicy) -> None:
    box = make_box(restart=always).backing_off()
    assert box.kill("k", 15) == ["timer restart off", "record exited: status by k", "answer k"]
    assert box.machine.status.manually_stopped
    box = make_box(restart=always).tearing_down(1)
    assert box.kill("k") == ["timer restart off", "record exited: status by k", "answer k"]
    assert box.torn_down() == []


def test_pause_of_what_waits_to_be_restarted(make_box: MakeBox, always: RestartPolicy) -> None:
    box = make_box(restart=always).backing_off()
    assert box.pause("p") == [f"answer p {CONFLICT}"]
    assert "is restarting, wait until" in box.machine.why_no_pause().message


def test_pause_and_unpause(make_box: MakeBox) -> None:
    box = make_box().running()
    assert box.pause("p") == ["record paused: pause by p", "answer p"]
    assert box.pause("q") == [f"answer q {CONFLICT}"]
    assert box.unpause("u") == ["record running: unpause by u", "thaw", "answer u"]
    assert box.unpause("v") == ["answer v 500"]


def test_pause_where_nothing_runs(make_box: MakeBox) -> None:
    for box in (make_box(), make_box().launching(), make_box().ended()):
        assert box.pause("p") == [f"answer p {CONFLICT}"]


def test_a_paused_container_can_end(make_box: MakeBox) -> None:
    assert make_box().paused().exited(137)[1] == "record exited: network disconnect, die 137"
