"""Timers of one container: one of each name."""

from tests.unit.seaway_agent.runner_bench import Timers as Clock

from seaway_agent.container.timers import Timers


def test_one_that_runs_out_says_its_name_once() -> None:
    clock, names = Clock(), list[str]()
    timers = Timers(names.append, clock.later)
    timers.set("stop", 2.5)
    assert clock.set == [(2.5, "stop")]
    clock.run_out("stop")
    assert (names, clock.running) == (["stop"], set())


def test_a_later_one_of_the_same_name_is_set_instead() -> None:
    clock = Clock()
    timers = Timers(lambda _: None, clock.later)
    timers.set("stop", 10)
    timers.set("stop", 1)
    timers.set("health", 3)
    assert clock.running == {"stop", "health"}
    timers.set("stop", None)
    timers.set("stop", None)
    assert clock.running == {"health"}
    timers.close()
    assert clock.running == set()
