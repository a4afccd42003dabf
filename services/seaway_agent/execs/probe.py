"""A probe: a command that a health check runs in a container. It publishes events as any exec does, as in Docker."""

import asyncio
import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from seaway_agent.core.execs import NOT_STARTED
from seaway_agent.execs.execs import Execs
from seaway_agent.execs.session import Session
from seaway_bus.bus import Command
from seaway_contracts.errors import SeawayError
from seaway_contracts.execs import ExecSpec, exec_id

OUTPUT: Final = 4096
_DIES_S: Final = 5.0


@dataclass(frozen=True)
class ProbeResult:
    """How a probe went. `output`: at most the first 4096 bytes of stdout and stderr as they came; times in Unix ns.

    `exit_code` is the command's own (126 where it can't be run, with the reason as output), and -1 after `timed_out`.
    """

    exit_code: int
    output: bytes
    started_ns: int
    ended_ns: int
    timed_out: bool = False


class _Output:
    """The first bytes of a probe's output."""

    def __init__(self) -> None:
        self.data = bytearray()

    def hear(self, data: bytes) -> None:
        self.data += data[: OUTPUT - len(self.data)]


async def run_probe(execs: Execs, argv: Sequence[str], timeout_s: float) -> ProbeResult:
    """Run `argv` (a shell's included: `/bin/sh -c …`) with the container's user, environment and working directory.

    Publishes exec_create, exec_start and exec_die. A probe that takes longer than `timeout_s` is killed. Raises
    SeawayError (409) where the container doesn't run or is paused; cancelled, it kills the command.
    """
    identifier, output = exec_id(execs.container, secrets.token_hex(16)), _Output()
    spec = ExecSpec(id=identifier, args=tuple(argv), attach_stdout=True, attach_stderr=True)
    execs.warm()
    await execs.create(Command.new(), spec)
    began = time.time_ns()
    try:
        session = await execs.start(spec, output.hear)
    except SeawayError as error:
        if execs.refusal() is not None:
            raise
        return ProbeResult(NOT_STARTED, error.message.encode()[:OUTPUT], began, time.time_ns())
    timed_out = not await _over(session, timeout_s)
    code = execs.info(identifier).status.exit_code
    ended = time.time_ns()
    return ProbeResult(-1 if timed_out or code is None else code, bytes(output.data), began, ended, timed_out)


async def _over(session: Session, seconds: float) -> bool:
    """Whether it ends within that time; it is killed otherwise."""
    try:
        async with asyncio.timeout(seconds):
            await session.over.wait()
        return True
    except TimeoutError:
        await _end(session)
        return False
    except asyncio.CancelledError:
        session.kill()
        raise


async def _end(session: Session) -> None:
    session.kill()
    try:
        async with asyncio.timeout(_DIES_S):
            await session.over.wait()
    except TimeoutError:
        return
