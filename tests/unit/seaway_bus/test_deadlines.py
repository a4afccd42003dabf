"""Dead-lines in headers: the monotonic clock counts on one machine, Unix time between machines."""

import time

import pytest

from seaway_bus import deadlines

_HOUR_NS = 3600 * 10**9


def deadline_of(headers: dict[str, str]) -> int:
    return int(headers[deadlines.DEADLINE])


def test_in_time_and_too_late() -> None:
    sent, late = deadlines.headers(60), deadlines.headers(-1)
    assert not deadlines.passed(sent, deadline_of(sent))
    assert deadlines.passed(late, deadline_of(late))


@pytest.mark.parametrize("step_ns", [_HOUR_NS, -_HOUR_NS])
def test_a_step_of_the_clock_changes_nothing(monkeypatch: pytest.MonkeyPatch, step_ns: int) -> None:
    sent, late = deadlines.headers(60), deadlines.headers(-1)
    now = time.time_ns()
    monkeypatch.setattr(time, "time_ns", lambda: now + step_ns)
    assert not deadlines.passed(sent, deadline_of(sent))
    assert deadlines.passed(late, deadline_of(late))


def test_another_machine_goes_by_unix_time() -> None:
    elsewhere = {deadlines.MONOTONIC: "another-boot:1"}
    assert not deadlines.passed(elsewhere, time.time_ns() + _HOUR_NS)
    assert deadlines.passed(elsewhere, time.time_ns() - 1)


def test_without_a_dead_line_nothing_is_late() -> None:
    assert not deadlines.passed({}, 0)
