"""Small words of the container core: events and refusals that several steps use."""

from typing import Final

from seaway_agent.core.instructions import (
    Ask,
    Emit,
)
from seaway_contracts.containers import ContainerStatus
from seaway_contracts.errors import SeawayError, conflict

JOINED: Final = "container"
"""The name of an endpoint that is another container's."""


def first_of(*lists: list[Ask]) -> Ask | None:
    """Who has waited longest, of the first list in which anyone waits."""
    return next((asks[0] for asks in lists if asks), None)


def marked_for_removal() -> SeawayError:
    """Docker's refusal of a start."""
    return conflict("container is marked for removal and cannot be started")


def sooner(wait_s: int, planned_s: int) -> bool:
    """Whether a stop would end earlier than planned; a negative wait has no end."""
    return wait_s >= 0 and (planned_s < 0 or wait_s < planned_s)


def killed(signal: int) -> Emit:
    """A signal was sent."""
    return Emit("kill", attributes={"signal": str(int(signal))})


def network_events(action: str, status: ContainerStatus) -> list[Emit]:
    """It joins or leaves each network in which it has an endpoint of its own, not one of another container's."""
    return [
        Emit(action, "network", {"name": e.network, "type": e.network if e.network != "none" else "null"}, e)
        for e in status.endpoints
        if e.network != JOINED
    ]
