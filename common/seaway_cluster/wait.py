"""Wait for a container's end, by its events."""

import asyncio
import logging
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Protocol

from pydantic import ValidationError

from seaway_bus.events import Event
from seaway_bus.feed import EventFeed
from seaway_bus.transport import Transport
from seaway_cluster.records import FindRecord
from seaway_contracts.containers import ContainerRecord, ContainerStatus, State
from seaway_contracts.lifecycle import ContainerEvent
from seaway_kit.tasks import Tasks

log = logging.getLogger(__name__)
_DESTROY: Final = "destroy"
_UP: Final = frozenset((State.RUNNING, State.PAUSED, State.RESTARTING))


class Watch:
    """What happens to one container from now on."""

    def __init__(self) -> None:
        self._events: deque[tuple[str, ContainerStatus]] = deque()
        self._wake = asyncio.Event()

    def feed(self, action: str, status: ContainerStatus) -> None:
        """An event of the container happened."""
        self._events.append((action, status))
        self._wake.set()

    async def next(self) -> tuple[str, ContainerStatus]:
        """The next event's action and the status after it."""
        while not self._events:
            self._wake.clear()
            await self._wake.wait()
        return self._events.popleft()


class WatchList:
    """Who watches which containers."""

    def __init__(self) -> None:
        self._watches: dict[str, list[Watch]] = {}

    def __len__(self) -> int:
        """How many containers are watched."""
        return len(self._watches)

    def watch(self, container_id: str) -> Watch:
        """A watch over one container from now on; give it back with `unwatch`."""
        watch = Watch()
        self._watches.setdefault(container_id, []).append(watch)
        return watch

    def unwatch(self, container_id: str, watch: Watch) -> None:
        """This watch is over."""
        watches = self._watches.get(container_id, [])
        if watch in watches:
            watches.remove(watch)
        if not watches:
            self._watches.pop(container_id, None)

    def receive(self, event: Event) -> None:
        """Hand a container's event to those who watch it."""
        identifier = event.envelope.subject_id
        watches = self._watches.get(identifier)
        if not watches or event.envelope.noun != "container":
            return
        try:
            body = ContainerEvent.model_validate_json(event.data)
        except ValidationError as error:
            log.warning("an event of container %s has an unreadable body: %s", identifier, error)
            return
        for watch in list(watches):
            watch.feed(event.envelope.action, body.status)


class Watches(Protocol):
    """A WatchList that a feed of events fills."""

    async def current(self) -> None:
        """Wait, for a moment at most, until all that had come is handed on."""

    def watch(self, container_id: str) -> Watch:
        """See WatchList."""

    def unwatch(self, container_id: str, watch: Watch) -> None:
        """See WatchList."""


class FedWatches(WatchList):
    """Watches with a feed of their own: for whoever has no other use for events."""

    def __init__(self, transport: Transport, tasks: Tasks) -> None:
        super().__init__()
        self._feed = EventFeed(transport, self.receive, tasks)

    async def start(self) -> None:
        """Listen to all new events."""
        await self._feed.start()

    async def close(self) -> None:
        """Stop listening."""
        await self._feed.close()

    async def current(self) -> None:
        """See Watches."""
        await self._feed.current()


class Condition(StrEnum):
    """What a wait is for: that the container doesn't run, its next exit, its removal. A removal ends each wait."""

    NOT_RUNNING = "not-running"
    NEXT_EXIT = "next-exit"
    REMOVED = "removed"


@dataclass(frozen=True)
class Ended:
    """The status of a container that has ended. `removed`: it is gone."""

    status: ContainerStatus
    removed: bool = False


def is_up(status: ContainerStatus) -> bool:
    """Whether a container runs, or will again."""
    return status.state in _UP


class Wait:
    """A watch over a container, and its record as it was read after the watch began."""

    def __init__(self, record: ContainerRecord, watch: Watch) -> None:
        self.record = record
        self._watch = watch

    async def end(self, condition: Condition = Condition.NOT_RUNNING) -> Ended:
        """Wait for that."""
        status = self.record.status
        if condition is Condition.NOT_RUNNING and not is_up(status):
            return Ended(status)
        while True:
            action, status = await self._watch.next()
            if action == _DESTROY or (action == "die" and condition is not Condition.REMOVED):
                return Ended(status, removed=action == _DESTROY)


@asynccontextmanager
async def waiting(watches: Watches, find: FindRecord, identifier: str) -> AsyncIterator[Wait]:
    """A Wait on a container, to be begun before it is started. Raises SeawayError(NOT_FOUND).

    The watch begins before the record is read, so that no exit falls between the two; and behind all that had come
    before, so that whatever it sees is news, also where the record holds it already.
    """
    await watches.current()
    watch = watches.watch(identifier)
    try:
        yield Wait(await find(identifier), watch)
    finally:
        watches.unwatch(identifier, watch)
