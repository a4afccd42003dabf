"""Execs: further processes in a container."""

from typing import Final

from seaway_contracts import commands as c
from seaway_contracts import execs as e
from seaway_contracts.base import Empty
from seaway_contracts.catalogue.declare import AGENT, COMMAND_S, call, event
from seaway_contracts.channels import EventChannel, Repeat
from seaway_contracts.lifecycle import ContainerEvent, PublicContainerEvent


def _event(action: str, about: str) -> EventChannel[ContainerEvent]:
    return event("container", action, ContainerEvent, about, lossy=True, public=PublicContainerEvent)


EXEC_CREATE: Final = _event("exec_create", "A further process was made ready in it.")
EXEC_START: Final = _event("exec_start", "A further process is being started in it.")
EXEC_DIE: Final = _event("exec_die", "A further process in it ended; `exitCode` says how.")
EXEC_DETACH: Final = _event("exec_detach", "A client left a further process in it by its detach keys.")

CREATE_EXEC: Final = call(
    AGENT, "exec.create", e.CreateExec, c.StatusReply, "Make a further process ready.", repeat=Repeat.UNANSWERED
)
START_EXEC: Final = call(
    AGENT, "exec.start", e.StartExec, e.ExecStarted, "Run it.", timeout_s=COMMAND_S, repeat=Repeat.UNANSWERED
)
RESIZE_EXEC: Final = call(AGENT, "exec.resize", e.ResizeExec, Empty, "Size its terminal.", timeout_s=30)
DETACH_EXEC: Final = call(AGENT, "exec.detach", e.ExecId, Empty, "A client has left it by its detach keys.")
INSPECT_EXEC: Final = call(AGENT, "exec.inspect", e.ExecId, e.ExecInfo, "How is it?", repeat=Repeat.UNANSWERED)
