"""What becomes of a container's run under the next agent. Pure."""

from enum import Enum, auto

from seaway_agent.core.phases import Phase
from seaway_agent.recovery.leftovers import RunLeftovers
from seaway_contracts.containers import ContainerStatus


class Fate(Enum):
    """How recovery proceeds with a container."""

    ADOPT = auto()
    """Its run was recorded, and continues."""
    ADOPT_UNRECORDED = auto()
    """Its run was launched but not recorded, and continues."""
    ENDED = auto()
    """Its run was recorded, and has ended since."""
    ENDED_UNRECORDED = auto()
    """Its run was launched but not recorded, and has ended since."""
    UNDO = auto()
    """There are leftovers of a run that has ended, or whose program never began."""
    RESUME = auto()
    """Nothing runs, and nothing is left of a run but what hooks may have made."""

    @property
    def is_adopted(self) -> bool:
        """Whether the run continues."""
        return self in (Fate.ADOPT, Fate.ADOPT_UNRECORDED)

    @property
    def is_unrecorded(self) -> bool:
        """Whether the database does not know the run yet."""
        return self in (Fate.ADOPT_UNRECORDED, Fate.ENDED_UNRECORDED)


def fate_of(phase: Phase, status: ContainerStatus, found: RunLeftovers) -> Fate:
    """What becomes of a container in this phase, with this status and these leftovers."""
    if phase in (Phase.RUNNING, Phase.PAUSED):
        return Fate.ADOPT if found.is_live else Fate.ENDED
    if phase in (Phase.IDLE, Phase.TEARING_DOWN) and found.note.order.run > status.run:
        if found.started and found.is_live:
            return Fate.ADOPT_UNRECORDED
        return Fate.ENDED_UNRECORDED if found.started and found.ended is not None else Fate.UNDO
    return Fate.UNDO if found.has_bundle and phase is Phase.IDLE else Fate.RESUME
