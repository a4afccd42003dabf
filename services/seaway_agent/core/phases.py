"""What the node is doing with a container: its phases, and the table of the changes between them. Pure.

The status that users see is `status.state`. `CHANGES` says what leads from which phase to which; `diagram` draws it:

               (none) ── created, recovered ─────────► idle
               (none) ── recovered ──────────────────► running
               (none) ── recovered ──────────────────► paused
               (none) ── recovered ──────────────────► tearing down
               (none) ── recovered ──────────────────► removing
                 idle ── start ──────────────────────► launching
            launching ── launched ───────────────────► running
            launching ── launch failed ──────────────► idle
              running ── pause ──────────────────────► paused
               paused ── unpause, kill ──────────────► running
      running, paused ── exited ─────────────────────► tearing down
                 idle ── restored after a reboot ────► tearing down
         tearing down ── torn down ──────────────────► idle
         tearing down ── torn down, start waits ─────► launching
         tearing down ── torn down, restart policy ──► backing off
         tearing down ── torn down, remove waits ────► removing
          backing off ── restart timer, start ───────► launching
          backing off ── stop, kill ─────────────────► idle
    idle, backing off ── remove ─────────────────────► removing
     removing, broken ── deleted ────────────────────► gone
             removing ── delete failed ──────────────► idle
         any but gone ── no rule ────────────────────► broken
               broken ── remove ─────────────────────► tearing down
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Final


class Phase(StrEnum):
    """What the node is doing with the container."""

    IDLE = "idle"
    LAUNCHING = "launching"
    RUNNING = "running"
    PAUSED = "paused"
    TEARING_DOWN = "tearing down"
    BACKING_OFF = "backing off"
    REMOVING = "removing"
    GONE = "gone"
    BROKEN = "broken"
    """Something happened that the machine has no rule for: the container can only be removed."""


class AfterTeardown(StrEnum):
    """What follows when a run has been torn down."""

    REST = "rest"
    LAUNCH = "launch"
    BACK_OFF = "back off"


class PhaseError(Exception):
    """What happened, in a word, does not fit the container's phase."""


CHANGES: Final[Mapping[tuple[Phase | None, Phase], str]] = {
    (None, Phase.IDLE): "created, recovered",
    (None, Phase.RUNNING): "recovered",
    (None, Phase.PAUSED): "recovered",
    (None, Phase.TEARING_DOWN): "recovered",
    (None, Phase.REMOVING): "recovered",
    (Phase.IDLE, Phase.LAUNCHING): "start",
    (Phase.LAUNCHING, Phase.RUNNING): "launched",
    (Phase.LAUNCHING, Phase.IDLE): "launch failed",
    (Phase.RUNNING, Phase.PAUSED): "pause",
    (Phase.PAUSED, Phase.RUNNING): "unpause, kill",
    (Phase.RUNNING, Phase.TEARING_DOWN): "exited",
    (Phase.PAUSED, Phase.TEARING_DOWN): "exited",
    (Phase.IDLE, Phase.TEARING_DOWN): "restored after a reboot",
    (Phase.TEARING_DOWN, Phase.IDLE): "torn down",
    (Phase.TEARING_DOWN, Phase.LAUNCHING): "torn down, start waits",
    (Phase.TEARING_DOWN, Phase.BACKING_OFF): "torn down, restart policy",
    (Phase.TEARING_DOWN, Phase.REMOVING): "torn down, remove waits",
    (Phase.BACKING_OFF, Phase.LAUNCHING): "restart timer, start",
    (Phase.BACKING_OFF, Phase.IDLE): "stop, kill",
    (Phase.IDLE, Phase.REMOVING): "remove",
    (Phase.BACKING_OFF, Phase.REMOVING): "remove",
    (Phase.REMOVING, Phase.GONE): "deleted",
    (Phase.REMOVING, Phase.IDLE): "delete failed",
    (Phase.IDLE, Phase.BROKEN): "no rule",
    (Phase.LAUNCHING, Phase.BROKEN): "no rule",
    (Phase.RUNNING, Phase.BROKEN): "no rule",
    (Phase.PAUSED, Phase.BROKEN): "no rule",
    (Phase.TEARING_DOWN, Phase.BROKEN): "no rule",
    (Phase.BACKING_OFF, Phase.BROKEN): "no rule",
    (Phase.REMOVING, Phase.BROKEN): "no rule",
    (Phase.BROKEN, Phase.TEARING_DOWN): "remove",
    (Phase.BROKEN, Phase.GONE): "deleted",
}
"""What leads from one phase to another; from None to the one in which an agent finds or makes the container."""

_FEW: Final = 4


def check_change(before: Phase | None, after: Phase) -> None:
    """Raise PhaseError for a change that the table does not list."""
    if (before, after) not in CHANGES:
        raise PhaseError(f"change to {after}")


def diagram(changes: Mapping[tuple[Phase | None, Phase], str] = CHANGES) -> str:
    """The table as text: a line for all changes to one phase for the same reason."""
    arrows: dict[tuple[str, Phase], list[Phase | None]] = {}
    for (before, after), what in changes.items():
        arrows.setdefault((what, after), []).append(before)
    rows = [(_names(before, after), what, after) for (what, after), before in arrows.items()]
    left, middle = (max(len(row[column]) for row in rows) for column in (0, 1))
    return "\n".join(f"{before:>{left}} ── {what + ' ':─<{middle + 1}}──► {after}" for before, what, after in rows)


def _names(phases: list[Phase | None], after: Phase) -> str:
    if len(phases) > _FEW:
        return "any but " + ", ".join(phase for phase in Phase if phase not in (*phases, after))
    return ", ".join(phase or "(none)" for phase in phases)
