"""Remove a container; one that was only registered has its registration taken back."""

from typing import Final

from seaway_bus.bus import Bus, Command
from seaway_cluster.records import FindRecord
from seaway_cluster.start import half_made
from seaway_contracts import catalogue as cat
from seaway_contracts.commands import ForgetContainer, RemoveContainer
from seaway_contracts.errors import Code, SeawayError

_UNHEARD: Final = (Code.UNAVAILABLE, Code.TIMEOUT)


async def remove(bus: Bus, actor: str, find: FindRecord, request: RemoveContainer, node: str) -> bool:
    """Whether its node has removed it; False where it was registered alone. Raises SeawayError."""
    try:
        await bus.call(cat.REMOVE, request, node=node, command=Command.new(actor))
        return True
    except SeawayError as error:
        if error.code not in (Code.NOT_FOUND, *_UNHEARD):
            raise
        await half_made(find, request.id, error)
        forgotten = ForgetContainer(id=request.id, unheard=error.code in _UNHEARD)
    await bus.call(cat.FORGET, forgotten, command=Command.new(actor))
    return False
