"""What the next agent must know of a run that this one may not live to record: `run.json` in the bundle."""

import json
from dataclasses import dataclass
from typing import Any, Final

from seaway_agent.core.instructions import Launch, Waiter
from seaway_contracts.containers import Endpoint, PublishedPort

NAME: Final = "run.json"
_UNKNOWN: Final = Launch(0)


@dataclass(frozen=True)
class RunNote:
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
    def load(cls, body: dict[str, Any]) -> "RunNote":
        """What was written, perhaps by an earlier release; empty fields for what it lacks."""
        return cls(
            Launch(int(body.get("run", 0)), _waiters(body.get("starters")), _waiters(body.get("restarters"))),
            tuple(Endpoint.model_validate(endpoint) for endpoint in body.get("endpoints") or ()),
            tuple(PublishedPort.model_validate(port) for port in body.get("ports") or ()),
            body.get("apparmor"),
        )


def _waiters(pairs: Any) -> tuple[Waiter, ...]:
    return tuple(Waiter(str(command), str(actor)) for command, actor in pairs or ())
