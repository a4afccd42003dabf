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
    """`order` says which run it is, and who asked; `parts` is what the hooks have prepared for it."""

    spec: ContainerSpec
    order: Launch
    parts: Contribution


@dataclass
class ContainerRun:
    """What a run holds. `pidfd` is the first process, `conmon_fd` its shim (-1: it is gone), a child of ours or not.

    `filtered`: it must have a seccomp filter when it is started.
    """

    pid: int
    pidfd: int
    conmon_fd: int
    child: bool
    filtered: bool = False


@dataclass(frozen=True)
class RunRecord:
    """`order` says which run it is (0: unknown), and who asked; `apparmor` None: unknown."""

    order: Launch = _UNKNOWN
    endpoints: tuple[Endpoint, ...] = ()
    ports: tuple[PublishedPort, ...] = ()
    apparmor: str | None = None

    def dump(self) -> bytes:
        """As it is written."""
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
        """What was written, perhaps by an earlier release; empty fields for what it lacks."""
        return cls(
            Launch(int(body.get("run", 0)), _waiters(body.get("starters")), _waiters(body.get("restarters"))),
            tuple(Endpoint.model_validate(endpoint) for endpoint in body.get("endpoints") or ()),
            tuple(PublishedPort.model_validate(port) for port in body.get("ports") or ()),
            body.get("apparmor"),
        )


def _waiters(pairs: Any) -> tuple[Waiter, ...]:
    return tuple(Waiter(str(command), str(actor)) for command, actor in pairs or ())
