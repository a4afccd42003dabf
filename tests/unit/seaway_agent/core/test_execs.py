"""Execs of a container's machine: what may be done when, what is told and stored of it."""

from collections.abc import Callable
from typing import Any

import pytest

from seaway_agent.core.execs import KEPT_NS, MOST
from seaway_agent.core.instructions import Exit, Instruction, Record, Waiter
from seaway_agent.core.machine import Machine
from seaway_contracts.errors import Reason, SeawayError
from seaway_contracts.execs import ExecInfo, ExecSpec, ExecState, ExecStatus, exec_id
from seaway_testing import builders

MakeBox = Callable[..., Any]
WAITER = Waiter("c", "uid:0")
NOW = 1_000_000_000


def spec(number: int = 1) -> ExecSpec:
    return ExecSpec(id=exec_id(builders.container_id(1), f"{number:032x}"), args=("sh", "-c", "ls"))


def record_of(done: list[Instruction]) -> Record:
    return next(do for do in done if isinstance(do, Record))


def told(done: list[Instruction]) -> list[tuple[str, dict[str, str]]]:
    return [(event.action, dict(event.attributes)) for event in record_of(done).events if event.noun == "container"]


@pytest.fixture
def machine(make_box: MakeBox) -> Machine:
    """Of a container that runs."""
    found: Machine = make_box().running().machine
    return found


def started(machine: Machine, number: int = 1) -> ExecSpec:
    one = spec(number)
    machine.execs.create(WAITER, one, NOW)
    machine.execs.start(WAITER, one.id, NOW + 1)
    return one


def test_a_life(machine: Machine) -> None:
    one = spec()
    done = machine.execs.create(WAITER, one, NOW)
    assert told(done) == [("exec_create", {"execID": one.id, "execCommand": "sh -c ls"})]
    assert [info.spec for info in record_of(done).execs] == [one]
    assert machine.status.exec_ids == (one.id,)
    assert told(machine.execs.start(WAITER, one.id, NOW + 1)) == [
        ("exec_start", {"execID": one.id, "execCommand": "sh -c ls"})
    ]
    machine.execs.loaded(one.id, 77)
    assert machine.execs.info(one.id).status == ExecStatus(
        state=ExecState.RUNNING, command=WAITER.command, pid=77, started_ns=NOW + 1
    )
    done = machine.execs.died(one.id, 3, NOW + 2)
    assert told(done) == [("exec_die", {"execID": one.id, "exitCode": "3"})]
    assert record_of(done).execs[0].status.exit_code == 3
    assert list(machine.status.exec_ids) == []


def test_made_once_however_often_it_is_asked_for(machine: Machine) -> None:
    machine.execs.create(WAITER, spec(), NOW)
    assert [type(do).__name__ for do in machine.execs.create(WAITER, spec(), NOW)] == ["Answer"]


def test_an_end_is_told_once(machine: Machine) -> None:
    one = started(machine)
    machine.execs.died(one.id, 0, NOW)
    assert machine.execs.died(one.id, 137, NOW) == []


def test_one_that_cannot_be_run_has_126_and_no_die(machine: Machine) -> None:
    one = started(machine)
    assert told(machine.execs.failed(one.id, NOW)) == [("status", {})]
    assert machine.execs.info(one.id).status.exit_code == 126


def test_a_second_start(machine: Machine) -> None:
    one = started(machine)
    with pytest.raises(SeawayError, match=f"Error: Exec command {one.id} is already running"):
        machine.execs.start(WAITER, one.id, NOW)
    machine.execs.died(one.id, 0, NOW)
    with pytest.raises(SeawayError, match=f"Error: Exec command {one.id} has already run"):
        machine.execs.start(WAITER, one.id, NOW)


def test_only_in_one_that_runs(make_box: MakeBox) -> None:
    for box, word in (
        (make_box(), "is not running"),
        (make_box().ended(), "is not running"),
        (make_box().running(), ""),
    ):
        if word:
            with pytest.raises(SeawayError, match=word) as caught:
                box.machine.execs.create(WAITER, spec(), NOW)
            assert caught.value.status == 409
        else:
            box.machine.execs.create(WAITER, spec(), NOW)
            box.machine.pause(WAITER, NOW)
            with pytest.raises(SeawayError, match="is paused, unpause the container before exec") as caught:
                box.machine.execs.start(WAITER, spec().id, NOW)
            assert caught.value.reason is Reason.PAUSED


def test_it_ends_with_its_container_before_that_ones_die(machine: Machine) -> None:
    one = started(machine)
    waiting = spec(2)
    machine.execs.create(WAITER, waiting, NOW)
    done = machine.exited(Exit(137, NOW + 5))
    assert [action for action, _ in told(done)] == ["exec_die", "die"]
    assert told(done)[0][1] == {"execID": one.id, "exitCode": "137"}
    assert record_of(done).forgotten_execs == (waiting.id,)
    assert machine.status.exec_ids == ()
    with pytest.raises(SeawayError, match="No such exec instance"):
        machine.execs.info(waiting.id)


def test_one_that_ended_long_ago_is_forgotten(machine: Machine) -> None:
    old = started(machine, 1)
    machine.execs.died(old.id, 0, NOW)
    young = started(machine, 2)
    machine.execs.died(young.id, 0, NOW + KEPT_NS)
    done = machine.execs.create(WAITER, spec(3), NOW + KEPT_NS + 1)
    assert record_of(done).forgotten_execs == (old.id,)
    assert machine.execs.info(young.id).status.exit_code == 0


def test_there_is_a_bound(machine: Machine) -> None:
    for number in range(MOST):
        machine.execs.create(WAITER, spec(number), NOW)
    with pytest.raises(SeawayError, match=f"has {MOST} execs that have not ended"):
        machine.execs.create(WAITER, spec(MOST), NOW)


def test_the_next_agent_goes_on_with_what_was_stored(machine: Machine, make_box: MakeBox) -> None:
    one = started(machine)
    heir = make_box().running().machine
    heir.execs.restore([ExecInfo(container=machine.spec.id, spec=one, status=machine.execs.info(one.id).status)])
    assert [info.spec.id for info in heir.execs.running()] == [one.id]
    assert told(heir.execs.died(one.id, 9, NOW)) == [("exec_die", {"execID": one.id, "exitCode": "9"})]


def test_leaving_is_told(machine: Machine) -> None:
    one = started(machine)
    assert told(machine.execs.detached(WAITER, one.id, NOW)) == [("exec_detach", {"execID": one.id})]


def test_no_more_than_a_thousand_ends_are_kept(machine: Machine) -> None:
    for number in range(MOST + 2):
        one = started(machine, number)
        machine.execs.died(one.id, 0, NOW)
    machine.execs.create(WAITER, spec(MOST + 2), NOW)
    with pytest.raises(SeawayError, match="No such exec instance"):
        machine.execs.info(spec(1).id)
    assert machine.execs.info(spec(2).id).status.exit_code == 0


def test_a_start_asked_again_by_the_same_command_is_known(machine: Machine) -> None:
    one = started(machine)
    assert machine.execs.begun_by(one.id, WAITER.command)
    assert not machine.execs.begun_by(one.id, "another")
    machine.execs.failed(one.id, NOW + 2)
    with pytest.raises(SeawayError, match="was not started"):
        machine.execs.begun_by(one.id, WAITER.command)
