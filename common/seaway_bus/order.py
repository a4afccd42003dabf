"""What a feed remembers of the events that it has delivered: their ids, and each container's last number. Pure."""

from collections import OrderedDict
from typing import Final

from seaway_contracts.lifecycle import Envelope

_REMEMBERED: Final = 1 << 14
_UNSTORED: Final = 1 << 17
"""Some outboxes full of events: they may all be stored long after they were told, and be none the newer."""
_NOUN: Final = "container"


class Delivered:
    """The ids of the last events, and beside them of those that were told and are not stored yet."""

    def __init__(self, *, await_stored: bool) -> None:
        """`await_stored`: each event that was told will be heard of again when it is stored."""
        self._unstored: OrderedDict[str, None] = OrderedDict()
        self._others: OrderedDict[str, None] = OrderedDict()
        self._await_stored = await_stored

    def __contains__(self, identifier: str) -> bool:
        return identifier in self._others or identifier in self._unstored

    def add(self, identifier: str, *, stored: bool) -> None:
        """An event was delivered, or one that was is stored now."""
        self._unstored.pop(identifier, None)
        known, most = (self._others, _REMEMBERED) if stored or not self._await_stored else (self._unstored, _UNSTORED)
        known[identifier] = None
        if len(known) > most:
            known.popitem(last=False)


class Order:
    """The last number of each container that was heard of. They grow by one: so it is noticed where one is left out."""

    def __init__(self) -> None:
        self._last: OrderedDict[str, int] = OrderedDict()

    def skips(self, envelope: Envelope) -> bool:
        """Whether something that should have come before this event has not come."""
        last = self._last.get(envelope.subject_id)
        return last is not None and envelope.noun == _NOUN and envelope.seq > last + 1

    def note(self, envelope: Envelope) -> None:
        """This event has come."""
        if envelope.noun != _NOUN or envelope.seq <= self._last.get(envelope.subject_id, 0):
            return
        self._last[envelope.subject_id] = envelope.seq
        self._last.move_to_end(envelope.subject_id)
        if len(self._last) > _REMEMBERED:
            self._last.popitem(last=False)
