"""Health checks: plans, verdicts, waits, and the conversation that the machine leads about them."""

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seaway_agent.core.health import LOG_ENTRIES, Plan, begun, judged, plan_of, suspended, wait_ns
from seaway_agent.core.instructions import Thaw
from seaway_contracts.containers import Command, Health, Probe
from seaway_contracts.images import Healthcheck
from seaway_testing import builders

MakeBox = Callable[..., Any]
SECOND_NS = 1_000_000_000
CHECK = Healthcheck(test=("CMD", "ok?"), interval_ns=10 * SECOND_NS, timeout_ns=SECOND_NS, retries=2)


def probe(code: int, at_s: float = 0.0) -> Probe:
    return Probe(started_ns=int(at_s * SECOND_NS), ended_ns=int(at_s * SECOND_NS) + 5, exit_code=code)


def plan(**fields: Any) -> Plan:
    return Plan(("ok?",), **fields)


# --- plans


@pytest.mark.parametrize(
    ("test", "shell", "argv"),
    [
        (("CMD", "a", "b"), (), ("a", "b")),
        (("CMD-SHELL", "a | b"), (), ("/bin/sh", "-c", "a | b")),
        (("CMD-SHELL", "a"), ("/bin/bash", "-ec"), ("/bin/bash", "-ec", "a")),
        (("NONE",), (), None),
        (("HUH", "a"), (), None),
        (("CMD",), (), None),
        ((), (), None),
    ],
)
def test_what_is_run(test: tuple[str, ...], shell: tuple[str, ...], argv: tuple[str, ...] | None) -> None:
    spec = builders.spec(1, healthcheck=Healthcheck(test=test), command=Command(cmd=("x",), shell=shell))
    found = plan_of(spec)
    assert (found.argv if found else None) == argv


def test_defaults_are_docker_s() -> None:
    assert plan_of(builders.spec(1)) is None
    found = plan_of(builders.spec(1, healthcheck=Healthcheck(test=("CMD", "a"))))
    assert found == Plan(("a",), 30 * SECOND_NS, 30 * SECOND_NS, 0, 5 * SECOND_NS, 3)


# --- verdicts


def test_a_success_is_healthy_and_ends_the_streak() -> None:
    after = judged(plan(), Health(status="unhealthy", failing_streak=7), probe(0), grace=False)
    assert (after.status, after.failing_streak) == ("healthy", 0)


def test_failures_count_up_to_the_retries() -> None:
    health, seen = begun(None), []
    for _ in range(4):
        health = judged(plan(retries=3), health, probe(1), grace=False)
        seen.append((health.status, health.failing_streak))
    assert seen == [("starting", 1), ("starting", 2), ("unhealthy", 3), ("unhealthy", 4)]


def test_failures_in_the_start_period_do_not_count_while_starting() -> None:
    slow = plan(retries=1, start_period_ns=5 * SECOND_NS)
    early = judged(slow, begun(None), probe(1), grace=True)
    assert (early.status, early.failing_streak, len(early.log)) == ("starting", 0, 1)
    assert judged(slow, early, probe(1), grace=False).status == "unhealthy"
    was_up = judged(slow, begun(None), probe(0), grace=True)
    assert judged(slow, was_up, probe(1), grace=True).status == "unhealthy"


def test_a_new_run_starts_anew_and_keeps_the_log() -> None:
    old = Health(status="unhealthy", failing_streak=3, log=(probe(1),))
    assert begun(old) == Health(status="starting", log=(probe(1),))
    assert suspended(Health(status="healthy", log=(probe(0),))) == Health(status="unhealthy", log=(probe(0),))
    assert suspended(None) is None


@pytest.mark.parametrize(
    ("status", "grace", "wait_s"), [("starting", True, 5), ("starting", False, 30), ("healthy", True, 30)]
)
def test_the_start_interval_holds_in_the_start_period_alone(status: Any, grace: bool, wait_s: int) -> None:
    assert wait_ns(plan(), Health(status=status), grace=grace) == wait_s * SECOND_NS


@given(
    codes=st.lists(st.sampled_from([0, 1, 2, 126, -1]), max_size=30),
    retries=st.integers(1, 4),
    period_s=st.integers(0, 10),
)
def test_whatever_the_probes_say(codes: list[int], retries: int, period_s: int) -> None:
    """One probe a second from the start on."""
    made = plan(retries=retries, start_period_ns=period_s * SECOND_NS)
    health, succeeded = begun(None), False
    for second, code in enumerate(codes):
        before, health = health, judged(made, health, probe(code, second), grace=second < period_s)
        succeeded = succeeded or code == 0
        assert health.log[-1].exit_code == code
        assert len(health.log) == min(second + 1, LOG_ENTRIES)
        assert health.log[:-1] == before.log[-(LOG_ENTRIES - 1) :]
        assert (health.status == "healthy") == (succeeded and health.failing_streak < retries)
        assert (health.status == "unhealthy") == (health.failing_streak >= retries)
        if code == 0:
            assert (health.status, health.failing_streak) == ("healthy", 0)
        elif second < period_s and before.status == "starting":
            assert (health.status, health.failing_streak) == ("starting", 0)
        else:
            assert health.failing_streak == before.failing_streak + 1


# --- the machine's part


class Checked:
    """A container with a health check, spoken to in short words."""

    def __init__(self, make_box: MakeBox) -> None:
        self.box = make_box(healthcheck=CHECK)
        self.number = 0

    def due(self) -> list[str]:
        said: list[str] = self.box.timer("health")
        self.number += said != []
        return said

    def probed(self, code: int, number: int | None = None) -> list[str]:
        done = self.box.machine.probed(number or self.number, Probe(started_ns=1, ended_ns=2, exit_code=code))
        return list(self.box._say(done))

    @property
    def health(self) -> Health:
        found: Health | None = self.box.machine.status.health
        assert found is not None
        return found


@pytest.fixture
def checked(make_box: MakeBox) -> Checked:
    return Checked(make_box)


def test_a_run_begins_to_be_probed(checked: Checked) -> None:
    box = checked.box.launching()
    assert box.machine.status.health is None
    assert box.launched() == ["record running: network connect, start by s", "answer s", "timer health 10s"]
    assert checked.health.status == "starting"


def test_only_a_change_of_mind_is_an_event(checked: Checked) -> None:
    checked.box.running()
    assert checked.due() == ["probe 1 ok?"]
    assert checked.probed(0) == ["record running: health_status", "timer health 10s"]
    checked.due()
    assert checked.probed(0) == ["record running", "timer health 10s"]
    checked.due()
    assert checked.probed(1) == ["record running", "timer health 10s"]
    checked.due()
    assert checked.probed(1) == ["record running: health_status", "timer health 10s"]
    assert [one.exit_code for one in checked.health.log] == [0, 0, 1, 1]


def test_the_end_of_a_run_ends_the_probe(checked: Checked) -> None:
    checked.box.running()
    checked.due()
    said = checked.box.exited(0)
    assert said[:3] == ["timer stop off", "timer health off", "stop probe"]
    assert checked.health.status == "unhealthy"
    assert checked.probed(0) == []
    assert checked.due() == []


@pytest.mark.parametrize("ended", ["stop", "remove", "kill"])
def test_a_probe_that_fails_as_its_container_is_ended_does_not_count(checked: Checked, ended: str) -> None:
    checked.box.running()
    checked.due()
    checked.probed(0)
    checked.due()
    if ended == "stop":
        checked.box.stop("t")
    elif ended == "remove":
        checked.box.remove("r", force=True)
    else:
        checked.box.kill("k", 9)
    for _ in range(3):
        assert checked.probed(137) == []
    assert checked.health.status == "healthy"


def test_a_pause_suspends_and_unpause_goes_on(checked: Checked) -> None:
    checked.box.running()
    checked.due()
    checked.probed(0)
    checked.due()
    assert checked.box.pause("p") == ["timer health off", "stop probe", "record paused: pause by p", "answer p"]
    assert (checked.health.status, checked.probed(0), checked.due()) == ("unhealthy", [], [])
    assert checked.box.unpause("u")[-1] == "timer health 10s"
    checked.number += 1
    checked.due()
    assert checked.probed(0) == ["record running: health_status", "timer health 10s"]


def test_the_next_run_is_starting_again_with_the_old_log(checked: Checked) -> None:
    checked.box.running()
    checked.due()
    checked.probed(0)
    checked.box.exited(0)
    checked.box.torn_down()
    checked.box.start("again")
    checked.box.launched()
    assert (checked.health.status, len(checked.health.log)) == ("starting", 1)


def test_the_next_agent_goes_on(checked: Checked, make_box: MakeBox) -> None:
    checked.box.running()
    later = make_box(status=checked.box.machine.status, phase=checked.box.machine.phase, healthcheck=CHECK)
    assert later._say(later.machine.adopted(later.now_ns, 0)) == ["thaw", "timer health 10s"]


def test_without_a_check_there_is_no_health(make_box: MakeBox) -> None:
    box = make_box().running()
    assert box.machine.status.health is None
    assert (box.machine.adopted(1, 0), box.timer("health")) == ([Thaw()], [])


def test_the_start_period_is_a_timer_whatever_the_clock_says(make_box: MakeBox) -> None:
    slow = CHECK.model_copy(update={"start_period_ns": 60 * SECOND_NS, "retries": 1})
    checked = Checked(make_box)
    checked.box = make_box(healthcheck=slow).launching()
    assert checked.box.launched()[-2:] == ["timer grace 60s", "timer health 5s"]
    checked.box.wait(86_400)  # the clock is set
    checked.due()
    checked.probed(1)
    assert checked.health.status == "starting"
    checked.due()
    checked.box.timer("grace")
    checked.probed(1)
    assert checked.health.status == "starting", "it began in the start period"
    checked.due()
    checked.probed(1)
    assert checked.health.status == "unhealthy"


def test_what_is_left_of_the_start_period_goes_on_under_the_next_agent(make_box: MakeBox) -> None:
    slow = CHECK.model_copy(update={"start_period_ns": 60 * SECOND_NS})
    before = make_box(healthcheck=slow).running().machine

    def later() -> Any:
        return make_box(status=before.status, phase=before.phase, healthcheck=slow)

    box = later()
    assert box._say(box.machine.adopted(1, 20 * SECOND_NS)) == ["thaw", "timer grace 40s", "timer health 5s"]
    box = later()
    assert box._say(box.machine.adopted(1, 70 * SECOND_NS)) == ["thaw", "timer health 10s"]
    box = later()
    box.machine.adopted(1, 0)
    assert box.exited(0)[:4] == ["timer stop off", "timer health off", "stop probe", "timer grace off"]
