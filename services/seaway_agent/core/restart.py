"""Restart policies with Docker's backoff (moby `restartmanager`). Pure."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Final

from seaway_contracts.containers import RestartPolicy, State

FIRST_NS: Final = 100_000_000
LONGEST_NS: Final = 60_000_000_000
LOST_WITH_NODE: Final = 255
"""The exit code of a container that ended with its node."""
RAN: Final = (State.RUNNING, State.PAUSED, State.RESTARTING)
"""The states of a container that would run if its node had not gone."""
_LONG_ENOUGH_NS: Final = 10_000_000_000


@dataclass(frozen=True)
class Backoff:
    """How long the last wait was (nanoseconds; 0: none yet)."""

    last_ns: int = 0

    def next(self, ran_ns: int) -> "Backoff":
        """Twice as long as before, up to a minute; from the start again after a run of ten seconds."""
        if ran_ns >= _LONG_ENOUGH_NS or not self.last_ns:
            return Backoff(FIRST_NS)
        return Backoff(min(self.last_ns * 2, LONGEST_NS))


def should_restart(policy: RestartPolicy, exit_code: int, restarts: int, manually_stopped: bool) -> bool:
    """Whether a container that has just ended is started again. `restarts` counts those before."""
    if manually_stopped or policy.name == "no":
        return False
    if policy.name == "on-failure":
        return exit_code != 0 and (policy.max_retries == 0 or restarts < policy.max_retries)
    return True


def starts_with_node(policy: RestartPolicy, state_was_running: bool, manually_stopped: bool) -> bool:
    """Whether a container that ended with its node (a reboot) is started when the agent is back."""
    if policy.name == "always":
        return True
    if policy.name == "unless-stopped":
        return not manually_stopped
    return policy.name == "on-failure" and state_was_running and not manually_stopped


def in_order_of_need(needs: Mapping[str, Collection[str]]) -> list[list[str]]:
    """Who can be started side by side, first those that need nobody of the others; a ring goes together."""
    left = {one: set(others) & needs.keys() - {one} for one, others in needs.items()}
    found = []
    while left:
        ready = [one for one, others in left.items() if not others] or list(left)
        found.append(ready)
        left = {one: others.difference(ready) for one, others in left.items() if one not in ready}
    return found
