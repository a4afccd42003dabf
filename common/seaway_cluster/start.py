"""Start a container. Where whoever began to make it died before its node heard of it, whoever needs it has it made."""

from collections.abc import Awaitable, Callable
from typing import TypeVar

from seaway_bus.bus import Bus, Command
from seaway_cluster.records import FindRecord
from seaway_contracts import catalogue as cat
from seaway_contracts.commands import ContainerId, CreateContainer
from seaway_contracts.containers import ContainerRecord, ContainerStatus
from seaway_contracts.errors import Code, SeawayError

T = TypeVar("T")


async def start(bus: Bus, actor: str, find: FindRecord, identifier: str, node: str) -> ContainerStatus:
    """Run a container; the status after that. Raises SeawayError: NOT_MODIFIED where it runs."""

    async def ask() -> ContainerStatus:
        reply = await bus.call(cat.START, ContainerId(id=identifier), node=node, command=Command.new(actor))
        return reply.status

    return await made_first(bus, actor, find, identifier, node, ask)


async def made_first(
    bus: Bus, actor: str, find: FindRecord, identifier: str, node: str, ask: Callable[[], Awaitable[T]]
) -> T:
    """Ask a container's node; where it was never told to make the container, it is now, and is asked again.

    Raises SeawayError.
    """
    try:
        return await ask()
    except SeawayError as error:
        if error.code is not Code.NOT_FOUND:
            raise
        record = await half_made(find, identifier, error)
    await bus.call(cat.CREATE, CreateContainer(spec=record.spec), node=node, command=Command.new(actor))
    return await ask()


async def half_made(find: FindRecord, identifier: str, error: SeawayError) -> ContainerRecord:
    """The record of a container that is registered, and of which its node has never published anything.

    Raises `error`, with which the node has refused, for every other one.
    """
    try:
        record = await find(identifier)
    except SeawayError:
        raise error from None
    if record.status.seq:
        raise error
    return record
