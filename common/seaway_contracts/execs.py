"""Execs: further processes in a running container. An exec's id begins with half of its container's, so that anybody
who has it finds container and node.
"""

from enum import StrEnum
from typing import Final

from seaway_contracts.base import Payload
from seaway_contracts.ids import is_container_id

_PREFIX: Final = 32


class ExecState(StrEnum):
    """Where an exec is in its life."""

    CREATED = "created"
    RUNNING = "running"
    ENDED = "ended"


class ExecSpec(Payload):
    """What was asked for. Empty `user` and `workdir`: the container's; `height`, `width` of a terminal, in cells."""

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
    """What is. `pid` on the node, 0 where it never ran; `exit_code` None until it has ended; times in Unix ns.

    `command`: the id of the command that began it.
    """

    state: ExecState = ExecState.CREATED
    command: str = ""
    pid: int = 0
    exit_code: int | None = None
    started_ns: int = 0
    ended_ns: int = 0


class CreateExec(Payload):
    """Make it ready; the same id twice makes it once."""

    container: str
    spec: ExecSpec


class ExecId(Payload):
    """A command that needs no more than the exec."""

    id: str


class StartExec(Payload):
    """Run it. Its output goes through the byte stream `stream`, raw where `raw` (else in Docker's frames); an empty
    `stream` starts it detached.
    """

    id: str
    stream: str = ""
    raw: bool = False
    height: int = 0
    width: int = 0


class ExecStarted(Payload):
    """What the other end of the stream must know."""

    stdin: bool = False
    tty: bool = False
    detach_keys: str = ""


class ResizeExec(Payload):
    """The size of its terminal in character cells."""

    id: str
    height: int
    width: int


class ExecInfo(Payload):
    """All about one exec."""

    container: str
    spec: ExecSpec
    status: ExecStatus = ExecStatus()


def exec_id(container: str, random: str) -> str:
    """The id of a new exec in that container; `random` are 32 hex digits."""
    return container[:_PREFIX] + random


def is_exec_id(text: str) -> bool:
    """Whether it has the form of an exec's id."""
    return is_container_id(text)


def container_prefix(identifier: str) -> str:
    """The beginning of the id of the exec's (or any) container, by which it is found."""
    return identifier[:_PREFIX]
