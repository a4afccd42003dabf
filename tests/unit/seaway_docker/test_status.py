from typing import Any

import pytest

from seaway_docker.status import human_duration, status_text
from seaway_docker.timestamps import HOUR, MINUTE, SECOND

DAY = 24 * HOUR


@pytest.mark.parametrize(
    ("span", "text"),
    [
        (-5, "Less than a second"),
        (0, "Less than a second"),
        (SECOND, "1 second"),
        (59 * SECOND, "59 seconds"),
        (60 * SECOND, "About a minute"),
        (2 * MINUTE, "2 minutes"),
        (59 * MINUTE, "59 minutes"),
        (HOUR, "About an hour"),
        (89 * MINUTE, "About an hour"),
        (90 * MINUTE, "2 hours"),
        (47 * HOUR, "47 hours"),
        (48 * HOUR, "2 days"),
        (13 * DAY, "13 days"),
        (14 * DAY, "2 weeks"),
        (59 * DAY, "8 weeks"),
        (60 * DAY, "2 months"),
        (729 * DAY, "24 months"),
        (730 * DAY, "2 years"),
    ],
)
def test_human_duration(span: int, text: str) -> None:
    assert human_duration(span) == text


@pytest.mark.parametrize(
    ("state", "times", "text"),
    [
        ("running", {"started_ns": 0}, "Up 5 minutes"),
        ("running", {"started_ns": 0, "health": "healthy"}, "Up 5 minutes (healthy)"),
        ("running", {"started_ns": 0, "health": "starting"}, "Up 5 minutes (health: starting)"),
        ("running", {"started_ns": 0, "health": "none"}, "Up 5 minutes"),
        ("paused", {"started_ns": 0, "health": "healthy"}, "Up 5 minutes (Paused)"),
        ("restarting", {"started_ns": 0, "finished_ns": 295 * SECOND, "exit_code": 1}, "Restarting (1) 5 seconds ago"),
        ("exited", {"started_ns": 0, "finished_ns": 298 * SECOND}, "Exited (0) 2 seconds ago"),
        ("exited", {"started_ns": 0}, ""),
        ("exited", {}, "Created"),
        ("created", {}, "Created"),
        ("removing", {}, "Removal In Progress"),
        ("dead", {}, "Dead"),
    ],
)
def test_status_column(state: str, times: dict[str, Any], text: str) -> None:
    assert status_text(state, now_ns=300 * SECOND, **times) == text
