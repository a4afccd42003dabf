"""What an update makes of a spec, and the machine's updates and renames."""

from collections.abc import Callable
from typing import Any

import pytest

from seaway_agent.core.instructions import Record, Waiter
from seaway_agent.core.update import updated
from seaway_contracts.containers import Resources, RestartPolicy
from seaway_contracts.errors import Code, SeawayError
from seaway_testing import builders

MakeBox = Callable[..., Any]
ALWAYS = RestartPolicy(name="always")
HALF = 500_000_000


def test_what_is_at_its_default_stays() -> None:
    spec = builders.spec(1, resources=Resources(memory=64, memory_swap=128, cpu_shares=5, pids_limit=9))
    after = updated(spec, Resources(cpu_shares=7), None)
    assert after.resources == Resources(memory=64, memory_swap=128, cpu_shares=7, pids_limit=9)
    assert after.restart == spec.restart
    assert updated(spec, Resources(), None) == spec


def test_everything_that_can_be_changed() -> None:
    asked = Resources(
        memory=1, memory_swap=2, memory_reservation=3, nano_cpus=4, cpu_shares=5, cpuset_cpus="0", cpuset_mems="1",
        pids_limit=0, blkio_weight=10, cpu_realtime_period=1_000_000, cpu_realtime_runtime=950_000,
    )  # fmt: skip
    assert updated(builders.spec(1), asked, ALWAYS).resources == asked
    assert updated(builders.spec(1), asked, ALWAYS).restart == ALWAYS


def test_what_can_not_be_changed_is_passed_over() -> None:
    asked = Resources(oom_score_adj=5, device_cgroup_rules=("a",))
    assert updated(builders.spec(1), asked, None) == builders.spec(1)


@pytest.mark.parametrize(
    ("before", "asked", "restart", "part"),
    [
        (Resources(cpu_period=1000), Resources(nano_cpus=HALF), None, "Nano CPUs cannot be updated as CPU Period"),
        (Resources(cpu_quota=1000), Resources(nano_cpus=HALF), None, "Nano CPUs cannot be updated as CPU Quota"),
        (Resources(nano_cpus=HALF), Resources(cpu_period=1), None, "CPU Period cannot be updated as NanoCPUs"),
        (Resources(nano_cpus=HALF), Resources(cpu_quota=1), None, "CPU Quota cannot be updated as NanoCPUs"),
        (Resources(memory=1, memory_swap=2), Resources(memory=3), None, "already set memoryswap limit"),
        (Resources(), Resources(memory=3), None, "already set memoryswap limit"),
        (Resources(), Resources(), ALWAYS, "because AutoRemove is enabled"),
    ],
)
def test_what_does_not_go_together(
    before: Resources, asked: Resources, restart: RestartPolicy | None, part: str
) -> None:
    spec = builders.spec(1, resources=before, auto_remove=restart is not None)
    with pytest.raises(SeawayError, match=part) as caught:
        updated(spec, asked, restart)
    assert caught.value.code is Code.CONFLICT
    assert caught.value.message.startswith(f"Cannot update container {spec.id}: ")


def test_auto_remove_takes_the_policy_no() -> None:
    spec = builders.spec(1, auto_remove=True)
    assert updated(spec, Resources(), RestartPolicy()) == spec


# --- the machine


def test_an_update_is_told_and_keeps(make_box: MakeBox) -> None:
    box = make_box().running()
    done = box.machine.update(Waiter("u"), Resources(cpu_shares=7), ALWAYS, box.now_ns)
    assert box._say(done) == ["record running: update by u", "answer u"]
    assert (box.machine.spec.resources.cpu_shares, box.machine.spec.restart) == (7, ALWAYS)
    assert box.exited(1)[1] == "record restarting: network disconnect, die 1"


def test_a_rename_tells_the_old_name(make_box: MakeBox) -> None:
    box = make_box(name="before").running()
    done = box.machine.rename(Waiter("r"), "after", box.now_ns)
    assert box._say(done) == ["record running: rename by r", "answer r"]
    record = next(do for do in done if isinstance(do, Record))
    assert record.events[0].attributes == {"oldName": "/before"}
    assert box.machine.spec.name == "after"
    assert box._say(box.machine.rename(Waiter("r"), "after", box.now_ns)) == ["answer r"]


def test_what_is_being_removed_changes_no_more(make_box: MakeBox) -> None:
    box = make_box().removing()
    assert box._say(box.machine.rename(Waiter("r"), "after", 1)) == ["answer r 409"]
    assert box._say(box.machine.update(Waiter("u"), Resources(), ALWAYS, 1)) == ["answer u 409"]
