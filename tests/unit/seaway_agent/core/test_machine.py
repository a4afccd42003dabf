"""The container's machine, as conversations: a plain life, starts, launches that fail."""

from collections.abc import Callable
from typing import Any

import pytest

from seaway_agent.core.events import JOINED, JOINED_ID, mount_events, unmount_events
from seaway_agent.core.instructions import Exit, Launch, Launched, PendingStop, Record, Waiter
from seaway_agent.core.phases import Phase
from seaway_contracts.containers import ContainerStatus, Endpoint, Mount, RestartPolicy, State
from seaway_contracts.volumes import VolumeRecord

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


def test_the_profile_of_the_last_run_stays_known(make_box: MakeBox) -> None:
    box = make_box().launching()
    assert box.machine.status.apparmor is None
    box.machine.launched(Launched(42, box.now_ns, apparmor="docker-default"))
    box.exited(0)
    assert box.machine.status.apparmor == "docker-default"


def test_network_events_name_the_network(make_box: MakeBox) -> None:
    box = make_box().launching()
    none = Endpoint(network="none", network_id="0" * 64)
    done = box.machine.launched(Launched(42, box.now_ns, (none,)))
    connected = next(do for do in done if isinstance(do, Record)).events[0]
    assert (connected.noun, connected.action, connected.network) == ("network", "connect", none)


TWO = VolumeRecord(id="2", name="two", created_ns=1)
VOLUMES = (
    Mount(type="volume", source="one", target="/1", read_only=True),
    Mount(type="bind", source="/b", target="/2"),
    Mount(type="volume", source="two", target="/3"),
)


def test_volumes_are_told_of_in_dockers_order(make_box: MakeBox) -> None:
    box = make_box(mounts=VOLUMES)
    made = box._say(box.machine.create(Waiter("c"), box.now_ns, [TWO]))
    assert made == ["record created: volume create two, create by c", "answer c"]
    box.start("a")
    assert box.launched()[0] == "record running: network connect, volume mount one, volume mount two, start by a"
    ended = box.exited(3, oom=True)[1]
    assert ended == "record exited: oom, network disconnect, volume unmount one, volume unmount two, die 3"
    box.torn_down()
    box.remove("r")
    gone = box._say(box.machine.deleted(box.now_ns, [TWO]))
    assert gone == ["record removing: volume destroy two, destroy by r", "answer r"]


def test_volume_events_say_how_it_is_mounted(make_box: MakeBox) -> None:
    box = make_box(mounts=VOLUMES).running()
    mounted = mount_events(box.machine.spec)
    held = {"driver": "local", "container": box.machine.spec.id}
    assert [dict(event.attributes) for event in mounted] == [
        {**held, "destination": "/1", "read/write": "false", "propagation": ""},
        {**held, "destination": "/3", "read/write": "true", "propagation": ""},
    ]
    assert [dict(event.attributes) for event in unmount_events(box.machine.spec)] == [held, held]


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


@pytest.mark.parametrize(("code", "then"), [(128, 3), (127, 127)])
def test_a_failed_launch_keeps_the_code_of_the_last_run(make_box: MakeBox, code: int, then: int) -> None:
    box = make_box().running()
    box.exited(3)
    box.torn_down()
    box.start("b")
    box.launch_failed(code)
    assert box.machine.status.exit_code == then


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


def test_launch_of_an_earlier_agent_is_answered_to_those_who_asked_for_it(make_box: MakeBox) -> None:
    box = make_box()
    box.machine.launching(4, [Waiter("a"), Waiter("b")], [Waiter("c")])
    assert (box.machine.phase, box.machine.status.run) == (Phase.LAUNCHING, 4)
    assert box.launched() == [
        "record running: network connect, start, restart by a",
        "answer a",
        "answer b",
        "answer c",
    ]


def test_launch_tells_who_asked(make_box: MakeBox) -> None:
    launches = [do for do in make_box().machine.start(Waiter("a", "me")) if isinstance(do, Launch)]
    assert launches == [Launch(1, (Waiter("a", "me"),))]


def test_another_containers_network_is_no_news(make_box: MakeBox) -> None:
    box = make_box().launching()
    done = box.machine.launched(Launched(42, box.now_ns, (Endpoint(network=JOINED, network_id=JOINED_ID),)))
    assert [event.action for do in done if isinstance(do, Record) for event in do.events] == ["start"]


@pytest.mark.parametrize(
    ("state", "who", "count"),
    [(State.RESTARTING, "", 3), (State.RESTARTING, "a", 0), (State.EXITED, "", 2), (State.EXITED, "a", 0)],
)
def test_a_launch_of_the_agent_before_counts_as_it_would_have_there(
    make_box: MakeBox, state: State, who: str, count: int
) -> None:
    """By the restart policy: one more; for a user: from nothing again; with the node after a reboot: no change."""
    status = ContainerStatus(state=state, run=2, restart_count=2, exit_code=1)
    box = make_box(status=status, phase=Phase.TEARING_DOWN if state is State.RESTARTING else Phase.IDLE)
    box.machine.launching(3, [Waiter(who)] if who else [], [])
    box.launched()
    assert box.machine.status.restart_count == count


@pytest.mark.parametrize("restarters", [[], [Waiter("r")]])
def test_a_launch_that_the_agent_before_has_counted_counts_once(make_box: MakeBox, restarters: list[Waiter]) -> None:
    """A rename during the launch recorded the new run. Whoever asked for a restart meanwhile only waits for it."""
    status = ContainerStatus(state=State.RESTARTING, run=3, restart_count=3, exit_code=1)
    box = make_box(status=status, phase=Phase.TEARING_DOWN)
    box.machine.restore_stop(PendingStop(3, restarters=tuple(restarters)))
    box.machine.launching(3, [], [])
    box.launched()
    assert box.machine.status.restart_count == 3


def test_what_the_agent_before_left_frozen_goes_on(make_box: MakeBox) -> None:
    running = make_box(status=ContainerStatus(state=State.RUNNING, pid=7), phase=Phase.RUNNING)
    assert running.adopted() == ["thaw"]
    paused = make_box(status=ContainerStatus(state=State.PAUSED, pid=7), phase=Phase.PAUSED)
    assert paused.adopted() == []
    committed = ContainerStatus(state=State.PAUSED, pid=7, paused_by_commit=True)
    box = make_box(status=committed, phase=Phase.PAUSED)
    assert box.adopted() == ["record running: unpause", "thaw"]
    assert not box.machine.status.paused_by_commit


@pytest.mark.parametrize(
    ("state", "said", "after"),
    [
        (State.RUNNING, ["timer stop off", "record exited: die 255", "tear down", "answer m"], State.EXITED),
        (State.CREATED, ["record created: status", "answer m"], State.CREATED),
        (State.RESTARTING, ["record exited: status", "answer m"], State.EXITED),
        (State.EXITED, ["record exited: status", "answer m"], State.EXITED),
    ],
)
def test_what_was_forgotten_in_a_reboot_is_here_again_and_has_ended(
    make_box: MakeBox, state: State, said: list[str], after: State
) -> None:
    box = make_box(status=ContainerStatus(state=state, seq=7), restart=RestartPolicy(name="always"))
    done = box.machine.restored(Waiter("m"), box.now_ns)
    assert [line.removesuffix(" by m") for line in box._say(done)] == said
    assert [do.new for do in done if isinstance(do, Record)] == [True]
    assert (box.machine.status.state, box.machine.status.seq) == (after, 8)
