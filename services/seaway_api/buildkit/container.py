"""The container that is Seaway's own builder, as far as it can be known without BuildKit's protocol."""

from typing import Final

from seaway_bus.bus import Bus
from seaway_contracts import catalogue as cat
from seaway_contracts.containers import ContainerRecord, State
from seaway_contracts.errors import Code, SeawayError
from seaway_contracts.records import ResolveContainer

NAME: Final = "seaway-builder"
"""Of the container, and of the volume with its cache."""
LABEL: Final = "com.seaway.builder"
"""Its value is the image that the container was made of."""


async def find_builder(bus: Bus) -> ContainerRecord | None:
    """Its record; None where no build has needed it. Raises SeawayError."""
    try:
        record = await bus.call(cat.GET_CONTAINER, ResolveContainer(ref=NAME))
    except SeawayError as error:
        if error.code is not Code.NOT_FOUND:
            raise
        return None
    return record if LABEL in record.spec.labels else None


def is_running(record: ContainerRecord | None) -> bool:
    """Whether a build could use it at once."""
    return record is not None and record.status.state is State.RUNNING


def builder_line(record: ContainerRecord | None, image: str) -> str:
    """What `docker info` says of it. `image`: what it is made of, when it is made."""
    if record is None:
        return f"container {NAME} (the first build makes it, of {image})"
    return f"container {NAME} ({record.spec.labels[LABEL]}, {record.status.state.value} on {record.node})"
