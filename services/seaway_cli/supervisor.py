"""Starts a suite's processes, watches them, restarts the fallen, and stops them in reverse order."""

import json
import logging
import os
import signal
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Final, Literal

from seaway_cli import logfiles, process
from seaway_cli.backoff import Backoff
from seaway_cli.reactor import Reactor, SignalPipe

log = logging.getLogger(__name__)

State = Literal["starting", "ready", "restarting", "stopping", "stopped"]
_PROBE_S: Final = 0.02
_CRASHES_AT_START: Final = 3
_WRONG_SETTINGS: Final = 2


@dataclass(frozen=True)
class ServiceSpec:
    """A process to supervise: `run` is called in a fork of the supervisor and gives the exit code.

    It says that it is ready on the descriptor in SEAWAY_READY_FD (see seaway_kit.notify); or, where the
    program can't, `probe` is asked until it is true. `share` are descriptors that it has beside those that all have.
    """

    name: str
    run: Callable[[], int]
    probe: Callable[[], bool] | None = None
    share: tuple[int, ...] = ()


@dataclass
class _Service:
    """A service and what has become of it."""

    spec: ServiceSpec
    state: State = "stopped"
    child: process.Child | None = None
    restarts: int = 0
    metrics: str = ""
    registry: str = ""
    started: float = 0.0
    backoff: Backoff = field(default_factory=Backoff)

    def row(self) -> dict[str, Any]:
        """This service in `seaway status`."""
        return {
            "service": self.spec.name,
            "pid": self.child.pid if self.child else 0,
            "state": self.state,
            "restarts": self.restarts,
            "metrics": self.metrics,
        } | ({"registry": self.registry} if self.registry else {})


@dataclass(frozen=True)
class StartFailure:
    """Why the suite as a whole did not come up."""

    services: tuple[str, ...]
    reason: str


class Supervisor:
    """Runs services until it is told to stop, or until the first start fails.

    `share` are descriptors (locks) that live on in the children. `start_s` bounds the time until all are ready
    for the first time, `stop_s` the time that each is given to stop before it is killed. `on_stop` is called before
    the first is stopped.
    """

    def __init__(
        self,
        logs: Path,
        *,
        share: Sequence[int] = (),
        start_s: float = 30.0,
        stop_s: float = 10.0,
        on_ready: Callable[[], None] = lambda: None,
        on_stop: Callable[[], None] = lambda: None,
    ) -> None:
        self.reactor = Reactor()
        self.failure: StartFailure | None = None
        self._logs = logs
        self._share = tuple(share)
        self._start_s = start_s
        self._stop_s = stop_s
        self._on_ready = on_ready
        self._on_stop = on_stop
        self._services: list[_Service] = []
        self._signals = SignalPipe()
        self.reactor.on_readable(self._signals.fileno(), self._signalled)
        self._keep_logs_short()
        self._complete = False  # all services have been added
        self._was_ready = False
        self._stopping = False

    def _keep_logs_short(self) -> None:
        logfiles.shorten_all(self._logs)
        self.reactor.later(logfiles.CHECK_S, self._keep_logs_short)

    def rows(self) -> list[dict[str, Any]]:
        """The state of every service, in the order of their start."""
        return [service.row() for service in self._services]

    def add(self, spec: ServiceSpec) -> None:
        """Start one more service."""
        service = _Service(spec)
        self._services.append(service)
        self._start(service)

    def signal(self, name: str, number: signal.Signals) -> None:
        """Signal a service, if it runs just now."""
        for service in self._services:
            if service.spec.name == name and service.child is not None:
                process.kill(service.child, number)

    def run(self) -> int:
        """Watch over the added services; returns 0 after an orderly stop, 1 if they never came up."""
        self._complete = True
        self.reactor.later(self._start_s, self._start_overdue)
        self._check_ready()
        while not (self._stopping and all(service.child is None for service in self._services)):
            self.reactor.step()
        return 0 if self.failure is None else 1

    def stop(self) -> None:
        """Begin to stop everything, the service started last first."""
        if not self._stopping:
            self._stopping = True
            self._on_stop()
            self._stop_next()

    def close(self) -> None:
        """Kill what still runs (nothing, after `run`) and let go of all descriptors."""
        for service in reversed(self._services):
            if service.child is not None:
                process.kill(service.child, signal.SIGKILL)
                self._release(service)
        self._signals.close()
        self.reactor.close()

    # --- starting

    def _start(self, service: _Service) -> None:
        spec = service.spec
        service.child = process.spawn(spec.run, self._logs / f"{spec.name}.log", (*self._share, *spec.share))
        service.state, service.metrics, service.registry, service.started = "starting", "", "", time.monotonic()
        self.reactor.on_readable(service.child.pidfd, lambda: self._ended(service))
        if spec.probe is None:
            self.reactor.on_readable(service.child.ready, lambda: self._spoke(service))
        else:
            self._probe(service, service.child, spec.probe)

    def _spoke(self, service: _Service) -> None:
        """A service's readiness line, or the end of its pipe without one."""
        assert service.child is not None
        text = os.read(service.child.ready, 4096)
        self.reactor.forget(service.child.ready)
        if text:
            service.metrics, service.registry = _told(text, "metrics"), _told(text, "registry")
            self._ready(service)

    def _probe(self, service: _Service, child: process.Child, holds: Callable[[], bool]) -> None:
        if service.child is not child or service.state != "starting":
            return
        if holds():
            self._ready(service)
        else:
            self.reactor.later(_PROBE_S, lambda: self._probe(service, child, holds))

    def _ready(self, service: _Service) -> None:
        if service.state == "starting":
            service.state = "ready"
            if self._was_ready:
                log.info("%s is ready again (restart %d)", service.spec.name, service.restarts)
            self._check_ready()

    def _check_ready(self) -> None:
        if self._complete and not self._was_ready and all(service.state == "ready" for service in self._services):
            self._was_ready = True
            self._on_ready()

    def _start_overdue(self) -> None:
        if self._was_ready or self._stopping:
            return
        late = tuple(service.spec.name for service in self._services if service.state != "ready")
        self._give_up(late, f"{', '.join(late)} not ready after {self._start_s:g} s")

    def _give_up(self, services: tuple[str, ...], reason: str) -> None:
        self.failure = StartFailure(services, reason)
        log.error("%s", reason)
        self.stop()

    # --- an end that was not asked for

    def _ended(self, service: _Service) -> None:
        how = process.describe_end(code := self._release(service))
        if self._stopping:
            service.state = "stopped"
            self._stop_next()
            return
        delay = service.backoff.after_crash(time.monotonic() - service.started)
        if not self._was_ready and (code == _WRONG_SETTINGS or service.backoff.crashes >= _CRASHES_AT_START):
            service.state = "stopped"
            self._give_up((service.spec.name,), f"{service.spec.name} does not start ({how})")
            return
        service.state = "restarting"
        service.restarts += 1
        when = f"in {delay:g} s" if delay else "now"
        log.warning("%s ended (%s); starting it again %s", service.spec.name, how, when)
        self.reactor.later(delay, lambda: self._restart(service))

    def _restart(self, service: _Service) -> None:
        if self._stopping or service.child is not None:
            return
        try:
            self._start(service)
        except OSError as error:
            delay = service.backoff.after_crash(0.0)
            log.error("can't start %s: %s; trying again in %g s", service.spec.name, error.strerror, delay)
            self.reactor.later(delay, lambda: self._restart(service))

    def _release(self, service: _Service) -> int:
        """Reap a child that has ended or is about to; its exit code."""
        child = service.child
        assert child is not None
        service.child = None
        for fd in (child.pidfd, child.ready):
            try:
                self.reactor.forget(fd)
            except KeyError:
                continue
        os.close(child.ready)
        return process.reap(child)

    # --- stopping

    def _signalled(self) -> None:
        for number in self._signals.read():
            if self._stopping:
                log.warning("%s again: killing what is left", number.name)
                self._kill_all()
            else:
                log.info("%s: stopping", number.name)
                self.stop()

    def _stop_next(self) -> None:
        """Stop the youngest service that still runs; its end brings us back here."""
        for service in reversed(self._services):
            if service.child is None:
                service.state = "stopped"
            elif service.state == "stopping":
                return
            else:
                service.state = "stopping"
                process.kill(service.child, signal.SIGTERM)
                self.reactor.later(self._stop_s, partial(self._overdue, service, service.child))
                return

    def _overdue(self, service: _Service, child: process.Child) -> None:
        if service.child is child:
            log.warning("%s has not stopped within %g s: killing it", service.spec.name, self._stop_s)
            process.kill(child, signal.SIGKILL)

    def _kill_all(self) -> None:
        for service in self._services:
            if service.child is not None:
                service.state = "stopping"
                process.kill(service.child, signal.SIGKILL)


def _told(line: bytes, what: str) -> str:
    """The address that a service has told of something; empty where it hasn't."""
    try:
        return str(json.loads(line)[what])
    except (ValueError, KeyError, TypeError):
        return ""
