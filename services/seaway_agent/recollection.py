"""What the stream knows of this node's containers, and the database has lost: its last commits in a power cut, or more
where an older copy of it was restored.

The database isn't synced at each commit, the stream is. So after a reboot the agent asks the stream for the newest
event of each container, and brings the database after it: whatever was told is true. Where the bus isn't there just
then, all that is told from now on counts as newer all the same, as sequence numbers leap ahead.
"""

import asyncio
import logging
from collections.abc import Iterable
from typing import Final

from seaway_agent.store import Store, Stored
from seaway_bus.feed import Event, read_event
from seaway_bus.transport import Transport
from seaway_contracts import catalogue
from seaway_contracts.lifecycle import ContainerEvent

log = logging.getLogger(__name__)
_LEAP: Final = 1 << 32
_PER_SECOND: Final = 1 << 20
_AT_ONCE: Final = 64
_TELLING: Final = tuple(c for c in catalogue.EVENTS.values() if c.payload is ContainerEvent and not c.lossy)


def leapt(seq: int, now_s: int) -> int:
    """A sequence number above all that can have been told since `seq`. Pure.

    By the clock, as an older copy may lack earlier leaps; by a step as well, as the clock may have been lost, too.
    """
    return max(seq + _LEAP, now_s * _PER_SECOND)


def brought_after(stored: Stored, told: Iterable[Event]) -> Stored | None:
    """The container as the newest of these events has it; None where it was removed. Pure."""
    newer = sorted((e for e in told if e.envelope.seq > stored.status.seq), key=lambda e: e.envelope.seq)
    spec, status = stored.spec, stored.status
    for event in newer:
        if event.envelope.action == catalogue.CONTAINER_DESTROY.action:
            return None
        try:
            body = ContainerEvent.model_validate_json(event.data)
        except ValueError as error:
            reason = str(error).partition("\n")[0]
            log.warning("an event of container %s is left alone: %s", stored.spec.id[:12], reason)
            continue
        spec, status = body.spec or spec, body.status
    return Stored(spec, status, stored.lowers)


async def recollect(store: Store, transport: Transport, node: str) -> None:
    """Bring the database after the stream. Raises TransportError with nothing changed."""
    slots = asyncio.Semaphore(_AT_ONCE)

    async def told(stored: Stored) -> list[Event]:
        async with slots:
            subjects = [channel.subject(node, stored.spec.id) for channel in _TELLING]
            last = [await transport.last(catalogue.EVENT_STREAM.name, subject) for subject in subjects]
        return [event for message in last if message is not None and (event := read_event(message)) is not None]

    known = list(store.containers())
    events = await asyncio.gather(*map(told, known))
    with store.transaction():
        for stored, found in zip(known, events, strict=True):
            _keep(store, stored, brought_after(stored, found))


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
