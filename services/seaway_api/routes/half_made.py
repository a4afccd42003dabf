"""Containers of which no node has told yet, as whoever began to make them died: who needs one makes it."""

from collections.abc import Awaitable, Callable
from typing import TypeVar

from seaway_api.routes.call import Call
from seaway_contracts import catalogue as cat
from seaway_contracts.commands import CreateContainer
from seaway_contracts.containers import ContainerRecord
from seaway_contracts.errors import Code, SeawayError

T = TypeVar("T")


async def made_first(call: Call, identifier: str, node: str, ask: Callable[[], Awaitable[T]]) -> T:
    """Ask a container's node; where it was never told to make the container, it is now, and is asked again.

    Raises SeawayError.
    """
    try:
        return await ask()
    except SeawayError as error:
        if error.code is not Code.NOT_FOUND:
            raise
        record = await half_made(call, identifier, error)
    await call.api.bus.call(cat.CREATE, CreateContainer(spec=record.spec), node=node, command=call.command())
    return await ask()


async def half_made(call: Call, identifier: str, error: SeawayError) -> ContainerRecord:
    """The record of one of which its node has never told.

    Raises `error`, with which the node has refused, for every other one.
    """
    try:
        record = await call.api.record(identifier)
    except SeawayError:
        raise error from None
    if record.status.seq:
        raise error
    return record
