"""Execs: further processes in a running container.

An exec's id begins with half of its container's id: with it, container and node can be found.
"""

from enum import StrEnum
from typing import Final

from seaway_contracts.base import Payload
from seaway_contracts.ids import is_container_id

_PREFIX: Final = 32


class ExecState(StrEnum):
    """The states of an exec."""

    CREATED = "created"
    RUNNING = "running"
    ENDED = "ended"


class ExecSpec(Payload):
    """An exec as asked for. Empty `user`, `workdir`: the container's; `height`, `width`: a terminal's, in cells."""

    id: str
    args: tuple[str, ...]
    env: tuple[str, ...] = ()
    user: str = ""
    workdir: str = ""
    tty: bool = False
    privileged: bool = False
    attach_stdin: bool = False
    attach_stdout: bool = False
    attach_stderr: bool = False
    detach_keys: str = ""
    height: int = 0
    width: int = 0

    @property
    def command(self) -> str:
        """The command as Docker's events show it: the program, a blank, the arguments."""
        return f"{self.args[0]} {' '.join(self.args[1:])}"


class ExecStatus(Payload):
    """An exec's status. `pid`: on the node, 0 if it never ran; `exit_code`: None until it ends; times in Unix ns.

    `command`: the id of the command that started it.
    """

    state: ExecState = ExecState.CREATED
    command: str = ""
    pid: int = 0
    exit_code: int | None = None
    started_ns: int = 0
    ended_ns: int = 0


class CreateExec(Payload):
    """Create an exec; the same id twice creates it once."""

    container: str
    spec: ExecSpec


class ExecId(Payload):
    """A command with the exec's id alone."""

    id: str


class StartExec(Payload):
    """Start an exec. Its output goes through the byte stream `stream`; with an empty `stream` it starts detached.

    `raw`: without Docker's frames.
    """

    id: str
    stream: str = ""
    raw: bool = False
    height: int = 0
    width: int = 0


class ExecStarted(Payload):
    """What the other end of the stream needs to know."""

    stdin: bool = False
    tty: bool = False
    detach_keys: str = ""


class ResizeExec(Payload):
    """The size of its terminal in character cells."""

    id: str
    height: int
    width: int


class ExecInfo(Payload):
    """An exec's container, spec and status."""

    container: str
    spec: ExecSpec
    status: ExecStatus = ExecStatus()


def exec_id(container: str, random: str) -> str:
    """The id of a new exec in that container; `random` are 32 hex digits."""
    return container[:_PREFIX] + random


def is_exec_id(text: str) -> bool:
    """Whether `text` has the form of an exec's id."""
    return is_container_id(text)


def container_prefix(identifier: str) -> str:
    """The prefix of the container's id, from the id of an exec or container."""
    return identifier[:_PREFIX]
