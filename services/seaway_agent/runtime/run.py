"""One run of a container: its plan, the processes that it holds, and its record for the next agent."""

import json
from dataclasses import dataclass
from typing import Any, Final

from seaway_agent.core.instructions import Launch, Waiter
from seaway_agent.runtime.contribution import Contribution
from seaway_contracts.containers import ContainerSpec, Endpoint, PublishedPort

RUN_FILE: Final = "run.json"
"""A run's record, in its bundle."""
_UNKNOWN: Final = Launch(0)


@dataclass(frozen=True)
class RunPlan:
    """A run to create. `order`: its number and who asked for it; `parts`: what the hooks prepared."""

    spec: ContainerSpec
    order: Launch
    parts: Contribution


@dataclass
class ContainerRun:
    """A run's processes. `pidfd`: the first one; `conmon_fd`: its shim (-1: gone); `child`: the shim is our child.

    `filtered`: the run must have a seccomp filter when it is started.
    """

    pid: int
    pidfd: int
    conmon_fd: int
    child: bool
    filtered: bool = False


@dataclass(frozen=True)
class RunRecord:
    """What the next agent must know of a run, should this one die before it stores it.

    `order`: the run's number (0: unknown) and who asked for it; `apparmor` None: unknown.
    """

    order: Launch = _UNKNOWN
    endpoints: tuple[Endpoint, ...] = ()
    ports: tuple[PublishedPort, ...] = ()
    apparmor: str | None = None

    def dump(self) -> bytes:
        """The file's content."""
        body = {
            "run": self.order.run,
            "starters": [(waiter.command, waiter.actor) for waiter in self.order.starters],
            "restarters": [(waiter.command, waiter.actor) for waiter in self.order.restarters],
            "endpoints": [endpoint.model_dump(exclude_defaults=True) for endpoint in self.endpoints],
            "ports": [port.model_dump() for port in self.ports],
            "apparmor": self.apparmor,
        }
        return json.dumps(body).encode()

    @classmethod
    def load(cls, body: dict[str, Any]) -> "RunRecord":
        """The record in a file, perhaps of an earlier release; missing fields are empty."""
        return cls(
            Launch(int(body.get("run", 0)), _waiters(body.get("starters")), _waiters(body.get("restarters"))),
            tuple(Endpoint.model_validate(endpoint) for endpoint in body.get("endpoints") or ()),
            tuple(PublishedPort.model_validate(port) for port in body.get("ports") or ()),
            body.get("apparmor"),
        )


def _waiters(pairs: Any) -> tuple[Waiter, ...]:
    return tuple(Waiter(str(command), str(actor)) for command, actor in pairs or ())
