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


EXEC_CREATE: Final = _event("exec_create", "An exec was created in it.")
EXEC_START: Final = _event("exec_start", "An exec is being started in it.")
EXEC_DIE: Final = _event("exec_die", "An exec in it ended, with `exitCode`.")
EXEC_DETACH: Final = _event("exec_detach", "A client detached from an exec in it with its detach keys.")

CREATE_EXEC: Final = call(
    AGENT, "exec.create", e.CreateExec, c.StatusReply, "Create an exec.", repeat=Repeat.UNANSWERED
)
START_EXEC: Final = call(
    AGENT, "exec.start", e.StartExec, e.ExecStarted, "Start an exec.", timeout_s=COMMAND_S, repeat=Repeat.UNANSWERED
)
RESIZE_EXEC: Final = call(AGENT, "exec.resize", e.ResizeExec, Empty, "Resize its terminal.", timeout_s=30)
DETACH_EXEC: Final = call(AGENT, "exec.detach", e.ExecId, Empty, "Publish that a client detached with its detach keys.")
INSPECT_EXEC: Final = call(
    AGENT, "exec.inspect", e.ExecId, e.ExecInfo, "Return its spec and status.", repeat=Repeat.UNANSWERED
)
