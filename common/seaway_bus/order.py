"""The ids of the events that a feed has delivered, and each container's last number. Pure."""

from collections import OrderedDict
from typing import Final

from seaway_contracts.lifecycle import Envelope

_REMEMBERED: Final = 1 << 14
_UNSTORED: Final = 1 << 17
"""A few full outboxes: their events may be stored long after agents told them, and must count as repeats then."""
_NOUN: Final = "container"


class Delivered:
    """The ids of the last events, and of those that were told and are not stored yet."""

    def __init__(self, *, await_stored: bool) -> None:
        """`await_stored`: each told event will come again when it is stored."""
        self._unstored: OrderedDict[str, None] = OrderedDict()
        self._others: OrderedDict[str, None] = OrderedDict()
        self._await_stored = await_stored

    def __contains__(self, identifier: str) -> bool:
        return identifier in self._others or identifier in self._unstored

    def add(self, identifier: str, *, stored: bool) -> None:
        """Add an event that was delivered, or note that it is stored now."""
        self._unstored.pop(identifier, None)
        known, most = (self._others, _REMEMBERED) if stored or not self._await_stored else (self._unstored, _UNSTORED)
        known[identifier] = None
        if len(known) > most:
            known.popitem(last=False)


class Order:
    """Each container's last event number. Numbers grow by one, so a gap shows a missing event."""

    def __init__(self) -> None:
        self._last: OrderedDict[str, int] = OrderedDict()

    def skips(self, envelope: Envelope) -> bool:
        """Whether an event that belongs before this one is missing."""
        last = self._last.get(envelope.subject_id)
        return last is not None and envelope.noun == _NOUN and envelope.seq > last + 1

    def note(self, envelope: Envelope) -> None:
        """Note that this event has come."""
        if envelope.noun != _NOUN or envelope.seq <= self._last.get(envelope.subject_id, 0):
            return
        self._last[envelope.subject_id] = envelope.seq
        self._last.move_to_end(envelope.subject_id)
        if len(self._last) > _REMEMBERED:
            self._last.popitem(last=False)
