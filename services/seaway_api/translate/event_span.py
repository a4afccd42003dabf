"""Which events a client of GET /events asks for: `since` and `until`. Pure."""

import re
from dataclasses import dataclass
from typing import Final

from seaway_docker.errors import InvalidParameter
from seaway_docker.timestamps import SECOND, parse_timestamp

_CURSOR: Final = re.compile(r"seq:(\d{1,18})", re.ASCII)
_NEVER: Final = -SECOND
"""dockerd takes a time of -1 for none."""


@dataclass(frozen=True, slots=True)
class EventSpan:
    """Times are Unix nanoseconds, inclusive; None: not given. `after`: the sequence number of a cursor."""

    since: int | None = None
    until: int | None = None
    after: int | None = None

    @property
    def only_past(self) -> bool:
        """Whether the answer ends behind the past. dockerd takes `until=0` for that, without a limit of time."""
        return self.until == 0

    def ends_before(self, time_ns: int) -> bool:
        """Whether an event of that time is too late for this span."""
        return bool(self.until) and self.until is not None and time_ns > self.until


def parse_span(since: str, until: str, now_ns: int) -> EventSpan:
    """The span of these two parameters. Raises InvalidParameter."""
    end = _moment(until, now_ns)
    if (cursor := _CURSOR.fullmatch(since)) is not None:
        return EventSpan(until=end, after=int(cursor[1]))
    begin = _moment(since, now_ns)
    if begin is not None and end is not None and begin > end:
        raise InvalidParameter(f"`since` time ({since}) cannot be after `until` time ({until})")
    return EventSpan(begin, end)


def _moment(text: str, now_ns: int) -> int | None:
    if not text:
        return None
    found = 0 if text == "0" else parse_timestamp(text, now_ns)
    return None if found == _NEVER else found
