"""The order of a container's events, as a check for tests (the table stands in `seaway_contracts.lifecycle`)."""

from collections.abc import Iterable
from typing import Final

from seaway_contracts.lifecycle import Envelope

_BEFORE_A_RUN: Final = frozenset({"create", "start", "destroy", "status", "attach", "resize", "stop", "restart"})
_IN_A_RUN: Final = frozenset({"die", "oom", "kill", "pause", "unpause", "status", "attach", "resize", "restart"})


def faults(events: Iterable[Envelope]) -> list[str]:
    """What is wrong with the order of one container's events; empty if nothing is."""
    found: list[str] = []
    running = created = destroyed = ended = False
    last = 0
    for event in events:
        word = event.action
        if event.seq != last + 1:
            found.append(f"{word} has seq {event.seq} after {last}")
        last = event.seq
        if destroyed:
            found.append(f"{word} after destroy")
        if (word == "create") == created:
            found.append("create twice" if created else f"{word} before create")
        created = True
        if word not in (_IN_A_RUN if running else _BEFORE_A_RUN):
            found.append(f"{word} {'while it runs' if running else 'while it does not run'}")
        if word in ("stop", "restart") and not ended:
            found.append(f"{word} without a die before it")
        destroyed = destroyed or word == "destroy"
        ended = ended or word == "die"
        running = word == "start" or (running and word != "die")
    return found
