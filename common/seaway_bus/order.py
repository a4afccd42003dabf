"""Notices that an event of a container was left out: their numbers grow by one. Pure."""

from collections import OrderedDict
from typing import Final

from seaway_contracts.lifecycle import Envelope

_REMEMBERED: Final = 1 << 14
_NOUN: Final = "container"


class Order:
    """The last number of each container that was heard of."""

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
