"""What the agent counts and times while it works: launches, exits, health probes and endpoints."""

import time
from collections.abc import Callable
from typing import Final, Literal, get_args

from prometheus_client import Counter, Histogram

from seaway_agent.core.instructions import Exit
from seaway_kit.metrics import DOCKERD_BUCKETS

Phase = Literal["create", "start"]
Outcome = Literal["success", "failure", "signal", "oom", "unknown"]

LAUNCH_SECONDS: Final = Histogram(
    "seaway_agent_launch_seconds",
    "Time that the steps of a container's launch took: create (with its network), start, all of it (total).",
    ("phase",),
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.02, 0.03, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
)
LAUNCH_FAILURES: Final = Counter("seaway_agent_launch_failures", "Launches that failed.")
EXITS: Final = Counter("seaway_agent_exits", "Containers that ended, by outcome.", ("outcome",))
for _outcome in get_args(Outcome):  # from 0 on: PromQL's `increase` misses the first count of a new series
    EXITS.labels(_outcome)
# Those that follow are named as dockerd's.
PROBES: Final = Counter("engine_daemon_health_checks", "The total number of health checks.")
FAILED_PROBES: Final = Counter("engine_daemon_health_checks_failed", "The total number of failed health checks.")
PROBE_START_SECONDS: Final = Histogram(
    "engine_daemon_health_check_start_duration_seconds",
    "The time that it takes to prepare a health check.",
    buckets=DOCKERD_BUCKETS,
)
NETWORK_SECONDS: Final = Histogram(
    "engine_daemon_network_actions_seconds",
    "The time that each network action takes.",
    ("action",),
    buckets=DOCKERD_BUCKETS,
)
ALLOCATE_SECONDS: Final = NETWORK_SECONDS.labels("allocate")
CONNECT_SECONDS: Final = NETWORK_SECONDS.labels("connect")
RELEASE_SECONDS: Final = NETWORK_SECONDS.labels("release")

_SIGNALLED: Final = range(129, 193)


def outcome(how: Exit) -> Outcome:
    """One word for an exit; an OOM kill comes before the signal that it was done by."""
    if how.oom:
        return "oom"
    if how.code in _SIGNALLED:
        return "signal"
    if how.code < 0:
        return "unknown"
    return "failure" if how.code else "success"


def exited(how: Exit) -> None:
    """Count an exit."""
    EXITS.labels(outcome(how)).inc()


class LaunchTimer:
    """Times one launch: `lap` after each step, then `done`, or `failed`."""

    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        self._clock = clock
        self._began = self._last = clock()

    def lap(self, phase: Phase) -> None:
        """The step that began at the last lap is over."""
        now = self._clock()
        LAUNCH_SECONDS.labels(phase).observe(now - self._last)
        self._last = now

    def done(self) -> None:
        """The container runs."""
        LAUNCH_SECONDS.labels("total").observe(self._clock() - self._began)

    def failed(self) -> None:
        """It does not; what has been timed so far stays."""
        LAUNCH_FAILURES.inc()
