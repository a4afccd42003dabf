"""The health of a process at /healthz (it lives) and /readyz (it can do its work)."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Condition:
    """A condition for readiness, and why it doesn't hold."""

    ok: bool
    detail: str = ""


class Health:
    """Named readiness conditions. A process is ready when all of them hold."""

    def __init__(self) -> None:
        self._set: dict[str, Condition] = {}
        self._watched: dict[str, Callable[[], str]] = {}

    def set(self, name: str, ok: bool, detail: str = "") -> None:
        """Set whether `name` holds from now on; `detail` says why not."""
        self._set[name] = Condition(ok, detail)

    def watch(self, name: str, trouble: Callable[[], str]) -> None:
        """Call `trouble` at each query: it returns why `name` doesn't hold, or an empty text. It must be quick."""
        self._watched[name] = trouble

    def drop(self, name: str) -> None:
        """Forget a condition; an unknown one is no error."""
        self._set.pop(name, None)
        self._watched.pop(name, None)

    @property
    def conditions(self) -> dict[str, Condition]:
        """All conditions as of now."""
        watched = {name: trouble() for name, trouble in self._watched.items()}
        return self._set | {name: Condition(not why, why) for name, why in watched.items()}

    @property
    def ready(self) -> bool:
        """Whether all conditions hold."""
        return all(condition.ok for condition in self.conditions.values())

    def report(self) -> dict[str, Any]:
        """The body of /readyz."""
        conditions = self.conditions
        return {
            "ready": all(condition.ok for condition in conditions.values()),
            "conditions": {
                name: {"ok": condition.ok, "detail": condition.detail} for name, condition in conditions.items()
            },
        }
