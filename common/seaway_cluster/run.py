"""Run a command in a container."""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass

from seaway_bus.bus import Bus, Command
from seaway_contracts import catalogue as cat
from seaway_contracts.containers import ContainerStatus
from seaway_contracts.errors import unavailable
from seaway_contracts.execs import CreateExec, ExecId, ExecInfo, ExecSpec, StartExec, exec_id
from seaway_contracts.ids import short_id
from seaway_kit.tasks import Tasks


@dataclass(frozen=True)
class CommandResult:
    """How a command ended; `output` is what it wrote, standard output and error as they came."""

    exit_code: int
    output: bytes


@dataclass(frozen=True)
class PreparedExec:
    """A command that is ready to run, by its id, and the status of its container after that."""

    id: str
    status: ContainerStatus


async def prepare(bus: Bus, actor: str, container: str, node: str, spec: ExecSpec) -> PreparedExec:
    """Make a command ready in a container, under a fresh id whatever the spec has. Raises SeawayError."""
    identifier = exec_id(container, secrets.token_hex(16))
    request = CreateExec(container=container, spec=spec.model_copy(update={"id": identifier}))
    reply = await bus.call(cat.CREATE_EXEC, request, node=node, command=Command.new(actor))
    return PreparedExec(identifier, reply.status)


async def run(
    bus: Bus, tasks: Tasks, actor: str, container: str, node: str, args: Sequence[str], *, user: str = ""
) -> CommandResult:
    """Run a command in a container to its end, as `user` or as the container's own. Its output is held in memory.

    Raises SeawayError where it can't be run, or its node is lost.
    """
    spec = ExecSpec(id="", args=tuple(args), user=user, attach_stdout=True, attach_stderr=True)
    ready = await prepare(bus, actor, container, node, spec)
    async with bus.new_stream(tasks, node) as stream:
        request = StartExec(id=ready.id, stream=stream.id, raw=True)
        await bus.call(cat.START_EXEC, request, node=node, command=Command.new(actor))
        output = bytearray()
        while data := await stream.read():
            output += data
        told = stream.last_words
    code = (await _info(bus, node, ready.id, told)).status.exit_code
    if code is None:
        raise unavailable(f"the output of a command in container {short_id(container)} ended before it did")
    return CommandResult(code, bytes(output))


async def _info(bus: Bus, node: str, identifier: str, told: bytes) -> ExecInfo:
    """What the node has said at the command's end; where that was too long to say, it is asked."""
    if told:
        return ExecInfo.model_validate_json(told)
    return await bus.call(cat.INSPECT_EXEC, ExecId(id=identifier), node=node)
