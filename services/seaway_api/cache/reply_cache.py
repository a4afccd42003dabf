"""What nodes have answered to this process: whoever asked it is shown nothing older."""

import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Final

from seaway_contracts.containers import ContainerRecord, ContainerStatus
from seaway_contracts.ids import is_container_id
from seaway_contracts.records import GONE

_ANSWERS: Final = 4096
_FRESH_S: Final = 15.0
"""Longer than a read may take that is refused as metadata is behind, and the client's next try."""
_TOLD: Final = 64


class ReplyCache:
    """The last status that each container's node has answered.

    With several NATS servers an event may come to metadata behind a request that was sent after it, on another way. So
    for a moment reads tell which statuses they must not be older than.
    """

    def __init__(self, heard: Callable[[str, int], None], now: Callable[[], float] = time.monotonic) -> None:
        """`heard` is told of each: a container's id, and the number of its status."""
        self._heard = heard
        self._now = now
        self._statuses: OrderedDict[str, ContainerStatus] = OrderedDict()
        self._fresh: OrderedDict[str, tuple[int, float]] = OrderedDict()
        self._ended: OrderedDict[str, None] = OrderedDict()

    def __bool__(self) -> bool:
        """Whether there are statuses that no read has shown yet."""
        return bool(self._statuses)

    def __contains__(self, identifier: str) -> bool:
        """Whether there is such a status of this container."""
        return identifier in self._statuses

    def add(self, identifier: str, status: ContainerStatus) -> None:
        """Somebody was told of this status: by the answer to a command, or by a wait; that may be behind its end."""
        if identifier in self._ended:
            return
        self._statuses[identifier] = status
        if len(self._statuses) > _ANSWERS:
            self._statuses.popitem(last=False)
        self._note(identifier, status.seq)

    def removed(self, identifier: str) -> None:
        """The container's removal was answered."""
        self._end(identifier)
        self._note(identifier, GONE)

    def forget(self, identifier: str) -> None:
        """Its end was heard of."""
        self._end(identifier)
        if identifier in self._fresh:
            self._fresh[identifier] = GONE, self._now()

    def newest(self, record: ContainerRecord) -> ContainerRecord:
        """The record, with the status that a node has answered where that is newer."""
        known = self._statuses.get(record.id)
        if known is None:
            return record
        if known.seq > record.status.seq:
            return record.model_copy(update={"status": known})
        del self._statuses[record.id]
        return record

    def basis(self, ref: str = "") -> dict[str, int]:
        """What a read must not be older than: one of this container, by its whole id, or of any."""
        limit = self._now() - _FRESH_S
        if is_container_id(ref):
            seq, when = self._fresh.get(ref, (0, 0.0))
            return {ref: seq} if when > limit else {}
        return {identifier: seq for identifier, (seq, when) in self._fresh.items() if when > limit}

    def _end(self, identifier: str) -> None:
        self._statuses.pop(identifier, None)
        self._ended[identifier] = None
        if len(self._ended) > _ANSWERS:
            self._ended.popitem(last=False)

    def _note(self, identifier: str, seq: int) -> None:
        self._heard(identifier, seq)
        self._fresh[identifier] = seq, self._now()
        self._fresh.move_to_end(identifier)
        if len(self._fresh) > _TOLD:
            self._fresh.popitem(last=False)


class RecordBasis:
    """The networks, or volumes, made or removed a moment ago: reads must show the first and not the second."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._known: OrderedDict[str, tuple[int, float]] = OrderedDict()

    def made(self, identifier: str) -> None:
        """The record is there, unless it is known to be removed: an event may come late."""
        if self._known.get(identifier, (0, 0.0))[0] != GONE:
            self._note(identifier, 1)

    def removed(self, identifier: str) -> None:
        """The record is removed."""
        self._note(identifier, GONE)

    def basis(self) -> dict[str, int]:
        """What a read must not be older than: 1 for a record that is there, GONE for one that is removed."""
        limit = self._now() - _FRESH_S
        return {identifier: number for identifier, (number, when) in self._known.items() if when > limit}

    def _note(self, identifier: str, number: int) -> None:
        self._known[identifier] = number, self._now()
        self._known.move_to_end(identifier)
        if len(self._known) > _TOLD:
            self._known.popitem(last=False)
