"""Health checks: when a container is probed, and what its probes say about it (moby 26.1 `daemon/health.go`). Pure.

A check continues while its container runs and isn't paused. It begins as `starting`; a probe that succeeds makes it
`healthy`, as many failures in a row as there are retries `unhealthy`. Failures in the start period don't count
while it is `starting`. Where the check is suspended the container counts as unhealthy, as with Docker.
"""

from dataclasses import dataclass
from typing import Final

from seaway_agent.core.instructions import Instruction, RunProbe, SetTimer, StopProbe
from seaway_contracts.containers import ContainerSpec, ContainerStatus, Health, Probe

LOG_ENTRIES: Final = 5
OUTPUT_BYTES: Final = 4096
NOT_RUN: Final = -1
_SECOND_NS: Final = 1_000_000_000
_INTERVAL_NS: Final = 30 * _SECOND_NS
_TIMEOUT_NS: Final = 30 * _SECOND_NS
_START_INTERVAL_NS: Final = 5 * _SECOND_NS
_RETRIES: Final = 3
_SHELL: Final = ("/bin/sh", "-c")


@dataclass(frozen=True, slots=True)
class Plan:
    """A check with all defaults filled in; times in nanoseconds."""

    argv: tuple[str, ...]
    interval_ns: int = _INTERVAL_NS
    timeout_ns: int = _TIMEOUT_NS
    start_period_ns: int = 0
    start_interval_ns: int = _START_INTERVAL_NS
    retries: int = _RETRIES


def plan_of(spec: ContainerSpec) -> Plan | None:
    """The container's check; None where it has none (`NONE`, no test, a kind that Docker doesn't know either)."""
    asked = spec.healthcheck
    argv = _argv(asked.test, spec.command.shell or _SHELL) if asked is not None else ()
    if asked is None or not argv:
        return None
    return Plan(
        argv=argv,
        interval_ns=asked.interval_ns or _INTERVAL_NS,
        timeout_ns=asked.timeout_ns or _TIMEOUT_NS,
        start_period_ns=asked.start_period_ns,
        start_interval_ns=asked.start_interval_ns or _START_INTERVAL_NS,
        retries=asked.retries or _RETRIES,
    )


def _argv(test: tuple[str, ...], shell: tuple[str, ...]) -> tuple[str, ...]:
    kind, rest = test[:1], test[1:]
    if kind == ("CMD",):
        return rest
    return (*shell, *rest) if kind == ("CMD-SHELL",) and rest else ()


def begun(health: Health | None) -> Health:
    """At the start of a run. The log of the run before stays."""
    return Health(log=health.log if health is not None else ())


def suspended(health: Health | None) -> Health | None:
    """While nobody probes."""
    return health.model_copy(update={"status": "unhealthy"}) if health is not None else None


def judged(plan: Plan, health: Health, probe: Probe, *, grace: bool) -> Health:
    """After a probe, which began in the start period or not (`grace`)."""
    log = (*health.log, probe)[-LOG_ENTRIES:]
    if probe.exit_code == 0:
        return Health(status="healthy", log=log)
    if health.status == "starting" and grace:
        return health.model_copy(update={"log": log})
    streak = health.failing_streak + 1
    status = "unhealthy" if streak >= plan.retries else health.status
    return Health(status=status, failing_streak=streak, log=log)


def wait_ns(plan: Plan, health: Health, *, grace: bool) -> int:
    """How long to wait for the next probe, in the start period or not."""
    return plan.start_interval_ns if health.status == "starting" and grace else plan.interval_ns


class HealthCheck:
    """One container's check: whether it goes on, and which probe is under way. Its verdicts stand in the status.

    The start period is a timer: times of day say nothing about it, as the clock may be set.
    """

    def __init__(self, spec: ContainerSpec) -> None:
        self.plan = plan_of(spec)
        self._on = False
        self._number = 0
        self._grace = False
        self._began_in_grace = False

    def start_period(self, ran_ns: int) -> list[Instruction]:
        """A run is there that has lasted so long: what is left of its start period begins."""
        left_ns = self.plan.start_period_ns - ran_ns if self.plan is not None else 0
        self._grace = left_ns > 0
        return [SetTimer("grace", left_ns)] if self._grace else []

    def start_period_over(self) -> None:
        """From now on failures count."""
        self._grace = False

    def begin(self, status: ContainerStatus) -> list[Instruction]:
        """The container runs: the first probe comes after a wait."""
        if self.plan is None or status.health is None:
            return []
        self._on = True
        return [SetTimer("health", wait_ns(self.plan, status.health, grace=self._grace))]

    def end(self) -> list[Instruction]:
        """It has ended, or is paused."""
        if not self._on:
            return []
        self._on = False
        self._number += 1
        return [SetTimer("health", None), StopProbe()]

    def over(self) -> list[Instruction]:
        """The run has ended."""
        grace: list[Instruction] = [SetTimer("grace", None)] if self._grace else []
        self._grace = False
        return [*self.end(), *grace]

    def due(self) -> list[Instruction]:
        """The wait is over."""
        if self.plan is None or not self._on:
            return []
        self._number += 1
        self._began_in_grace = self._grace
        return [RunProbe(self._number, self.plan.argv, self.plan.timeout_ns)]

    def verdict(self, number: int, probe: Probe, status: ContainerStatus) -> Health | None:
        """What the container's health is after that probe; None where it came too late to count."""
        if self.plan is None or status.health is None or not self._on or number != self._number:
            return None
        return judged(self.plan, status.health, probe, grace=self._began_in_grace)
