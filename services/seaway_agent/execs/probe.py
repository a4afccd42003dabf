"""A probe: a command run in a container to learn how it is. Docker's events tell of it as of any other exec."""

import asyncio
import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from seaway_agent.core.exec_steps import NOT_STARTED
from seaway_agent.execs.session import Session
from seaway_agent.streams.console import Console
from seaway_bus.bus import Command
from seaway_contracts.errors import SeawayError
from seaway_contracts.execs import ExecSpec, exec_id

if TYPE_CHECKING:
    from seaway_agent.container.runner import ContainerRunner

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
    """The first bytes of it."""

    def __init__(self) -> None:
        self.data = bytearray()

    def hear(self, data: bytes) -> None:
        self.data += data[: OUTPUT - len(self.data)]


async def run_probe(runner: "ContainerRunner", argv: Sequence[str], timeout_s: float) -> ProbeResult:
    """Run `argv` (a shell's included: `/bin/sh -c …`) with the container's user, environment and working directory.

    Publishes exec_create, exec_start and exec_die. A probe that takes longer than `timeout_s` is killed. Raises
    SeawayError (409) where the container doesn't run or is paused; cancelled, it kills the command.
    """
    spec = ExecSpec(
        id=exec_id(runner.spec.id, secrets.token_hex(16)), args=tuple(argv), attach_stdout=True, attach_stderr=True
    )
    runner.node.attach_lock.warm()
    await runner.execs.create(Command.new(), spec)
    output, node = _Output(), runner.node
    name = f"a probe of container {runner.spec.id[:12]}"
    console = Console(name, tty=True, stdin=False, stdin_once=False, spill=node.spill, tasks=node.tasks)
    console.listen(output.hear)
    began = time.time_ns()
    try:
        session = await _started(runner, spec, console)
    except SeawayError as error:
        if runner.machine.why_no_exec() is not None:
            raise
        return ProbeResult(NOT_STARTED, error.message.encode()[:OUTPUT], began, time.time_ns())
    timed_out = not await _over(session, timeout_s)
    code = runner.execs.info(spec.id).status.exit_code
    ended = time.time_ns()
    return ProbeResult(-1 if timed_out or code is None else code, bytes(output.data), began, ended, timed_out)


async def _started(runner: "ContainerRunner", spec: ExecSpec, console: Console) -> Session:
    """A start is never broken off in the middle: one that nobody waits for any more is killed when it has come."""
    starting = runner.node.tasks.spawn(f"probe-start-{spec.id[32:44]}", runner.execs.start(spec, console))
    try:
        return await asyncio.shield(starting)
    except asyncio.CancelledError:
        starting.add_done_callback(_kill_started)
        raise


def _kill_started(starting: "asyncio.Task[Session]") -> None:
    if not starting.cancelled() and starting.exception() is None:
        starting.result().kill()


async def _over(session: Session, seconds: float) -> bool:
    """Whether it ends within that time; killed otherwise."""
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
