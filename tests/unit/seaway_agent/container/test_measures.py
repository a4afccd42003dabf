"""Exits by outcome, launches by step."""

from collections.abc import Iterator

import pytest
from prometheus_client import REGISTRY

from seaway_agent.container import measures
from seaway_agent.core.instructions import Exit


def value(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(name, labels) or 0.0


@pytest.mark.parametrize(
    ("how", "word"),
    [
        (Exit(0, 1), "success"),
        (Exit(1, 1), "failure"),
        (Exit(128, 1), "failure"),
        (Exit(137, 1), "signal"),
        (Exit(137, 1, oom=True), "oom"),
        (Exit(0, 1, oom=True), "oom"),
        (Exit(192, 1), "signal"),
        (Exit(255, 1), "failure"),
        (Exit(-1, 1), "unknown"),
    ],
)
def test_an_exit_counts_once_under_its_outcome(how: Exit, word: str) -> None:
    before = value("seaway_agent_exits_total", outcome=word)
    measures.exited(how)
    assert measures.outcome(how) == word
    assert value("seaway_agent_exits_total", outcome=word) == before + 1


def test_a_launch_is_timed_step_by_step_and_as_a_whole() -> None:
    moments: Iterator[float] = iter((10.0, 12.5, 13.0, 13.0))
    steps = ("create", "start", "total")
    before = {step: value("seaway_agent_launch_seconds_sum", phase=step) for step in steps}
    timer = measures.LaunchTimer(clock=lambda: next(moments))
    timer.lap("create")
    timer.lap("start")
    timer.done()
    after = {step: value("seaway_agent_launch_seconds_sum", phase=step) - before[step] for step in before}
    assert after == pytest.approx({"create": 2.5, "start": 0.5, "total": 3.0})


def test_a_failed_launch_has_no_total() -> None:
    failures = value("seaway_agent_launch_failures_total")
    totals = value("seaway_agent_launch_seconds_count", phase="total")
    measures.LaunchTimer().failed()
    assert value("seaway_agent_launch_failures_total") == failures + 1
    assert value("seaway_agent_launch_seconds_count", phase="total") == totals
