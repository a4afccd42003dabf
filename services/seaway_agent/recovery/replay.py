"""Restores from metadata what this node's database has lost: its last commits, or more if an older copy was restored.

The database isn't synced at each commit; the stream of events is. So after a reboot the agent asks metadata for its
containers' records, and updates the database from them. Where metadata doesn't answer, the agent raises all sequence
numbers so far that its later events count as newer in any case.
"""

import logging
from collections.abc import AsyncIterator
from typing import Final

from seaway_agent.state.database import Store, StoredContainer
from seaway_bus.bus import Bus
from seaway_contracts.catalogue import KNOWN_CONTAINERS
from seaway_contracts.containers import ContainerRecord
from seaway_contracts.errors import Code, SeawayError
from seaway_contracts.records import KnownContainers, ListKnown

log = logging.getLogger(__name__)
_LEAP: Final = 1 << 32
_PER_SECOND: Final = 1 << 20
_AT_ONCE: Final = 32


def leapt_seq(seq: int, now_s: int) -> int:
    """A sequence number above all that can have been published since `seq`. Pure.

    Derived from the clock, as an older copy may lack earlier leaps, and from a step, as the clock may be wrong too.
    """
    return max(seq + _LEAP, now_s * _PER_SECOND)


def updated_from(stored: StoredContainer, record: ContainerRecord) -> StoredContainer:
    """The container with the record's spec and status, each where its number is newer. Pure."""
    seq = stored.status.seq
    spec = record.spec if record.spec_seq > seq else stored.spec
    status = record.status if record.status.seq > seq else stored.status
    return StoredContainer(spec, status, stored.lowers)


async def replay(store: Store, bus: Bus, node: str) -> None:
    """Update the database from metadata's records. Raises SeawayError with nothing changed."""
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
                _update(store, stored, None)
            elif record is not None:
                _update(store, stored, updated_from(stored, record))


async def _answers(bus: Bus, node: str, asked: tuple[str, ...]) -> AsyncIterator[KnownContainers]:
    """Metadata's records of these containers; several answers where one would be too large for the bus."""
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


def _update(store: Store, before: StoredContainer, after: StoredContainer | None) -> None:
    container = before.spec.id
    if after is None:
        log.warning("container %s: restores its removal, which the database has lost", container[:12])
        store.remove(container)
    elif after != before:
        log.warning("container %s: restores state %s, which the database has lost", container[:12], after.status.state)
        store.set_spec(after.spec)
        store.set_status(container, after.status)


def leap_sequences(store: Store, now_s: int) -> None:
    """Raise all sequence numbers above those that have been published."""
    with store.transaction():
        for stored in list(store.containers()):
            status = stored.status.model_copy(update={"seq": leapt_seq(stored.status.seq, now_s)})
            store.set_status(stored.spec.id, status)
