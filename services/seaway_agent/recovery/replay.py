"""What metadata knows of this node's containers, and the database has lost: its last commits in a power cut, or more
where an older copy of it was restored.

The database isn't synced at each commit, the stream of events is. So after a reboot the agent asks metadata for its
containers' records, and brings the database after them: whatever was told is true. Where metadata isn't there just
then, all that is told from now on counts as newer all the same, as sequence numbers leap ahead.
"""

import logging
from collections.abc import AsyncIterator
from typing import Final

from seaway_agent.state.database import Store, Stored
from seaway_bus.bus import Bus
from seaway_contracts.catalogue import KNOWN_CONTAINERS
from seaway_contracts.commands import KnownContainers, ListKnown
from seaway_contracts.containers import ContainerRecord
from seaway_contracts.errors import Code, SeawayError

log = logging.getLogger(__name__)
_LEAP: Final = 1 << 32
_PER_SECOND: Final = 1 << 20
_AT_ONCE: Final = 32


def leapt(seq: int, now_s: int) -> int:
    """A sequence number above all that can have been told since `seq`. Pure.

    By the clock, as an older copy may lack earlier leaps; by a step as well, as the clock may have been lost, too.
    """
    return max(seq + _LEAP, now_s * _PER_SECOND)


def brought_after(stored: Stored, record: ContainerRecord) -> Stored:
    """The container as the record has it, where that is newer; status and spec each by its own number. Pure."""
    seq = stored.status.seq
    spec = record.spec if record.spec_seq > seq else stored.spec
    status = record.status if record.status.seq > seq else stored.status
    return Stored(spec, status, stored.lowers)


async def replay(store: Store, bus: Bus, node: str) -> None:
    """Bring the database after what metadata knows. Raises SeawayError with nothing changed."""
    known = list(store.containers())
    records: dict[str, ContainerRecord] = {}
    removed: set[str] = set()
    for first in range(0, len(known), _AT_ONCE):
        asked = tuple(stored.spec.id for stored in known[first : first + _AT_ONCE])
        async for answer in _answers(bus, node, asked):
            records |= {record.id: record for record in answer.containers}
            removed |= set(answer.removed)
    with store.transaction():
        for stored in known:
            record = records.get(stored.spec.id)
            if stored.spec.id in removed:
                _keep(store, stored, None)
            elif record is not None:
                _keep(store, stored, brought_after(stored, record))


async def _answers(bus: Bus, node: str, asked: tuple[str, ...]) -> AsyncIterator[KnownContainers]:
    """What is known of these containers; in several answers where one would be too large for the bus."""
    try:
        yield await bus.call(KNOWN_CONTAINERS, ListKnown(ids=asked), node=node)
        return
    except SeawayError as error:
        if error.code is not Code.TOO_LARGE or len(asked) == 1:
            raise
    half = len(asked) // 2
    for part in (asked[:half], asked[half:]):
        async for answer in _answers(bus, node, part):
            yield answer


def _keep(store: Store, before: Stored, after: Stored | None) -> None:
    container = before.spec.id
    if after is None:
        log.warning("container %s was removed, which this node's database had lost", container[:12])
        store.remove(container)
    elif after != before:
        log.warning("container %s was %s, which this node's database had lost", container[:12], after.status.state)
        store.set_spec(after.spec)
        store.set_status(container, after.status)


def leap(store: Store, now_s: int) -> None:
    """Let all that is told from now on count as newer than anything before."""
    with store.transaction():
        for stored in list(store.containers()):
            status = stored.status.model_copy(update={"seq": leapt(stored.status.seq, now_s)})
            store.set_status(stored.spec.id, status)
