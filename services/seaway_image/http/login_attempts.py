"""How fast logins may be tried. Pure.

A wrong password costs its sender time: each further one for a name waits longer, up to a bound. So many may wait at
once and no more; others are sent away at once. Who is logged in already is not slowed down: see `logins.py`.
"""

from collections import OrderedDict
from dataclasses import dataclass
from typing import Final

FIRST_S: Final = 0.5
LONGEST_S: Final = 8.0
FORGET_S: Final = 300.0
"""After so long without a failure, a name starts anew."""
MOST_NAMES: Final = 4096
MOST_WAITING: Final = 64


@dataclass
class _Failures:
    count: int
    last: float


class LoginAttempts:
    """Failures by name, and how many of them wait just now."""

    def __init__(self, most_waiting: int = MOST_WAITING) -> None:
        self._most_waiting = most_waiting
        self._failures: OrderedDict[str, _Failures] = OrderedDict()
        self.waiting = 0

    @property
    def full(self) -> bool:
        """Whether so many wait that no further password is tried."""
        return self.waiting >= self._most_waiting

    def failed(self, name: str, now: float) -> float:
        """A password for this name was wrong; how long its sender waits for the answer, in seconds."""
        found = self._failures.pop(name, None)
        count = found.count + 1 if found is not None and now - found.last < FORGET_S else 1
        self._failures[name] = _Failures(count, now)
        if len(self._failures) > MOST_NAMES:
            self._failures.popitem(last=False)
        return min(LONGEST_S, FIRST_S * 2.0 ** min(count - 1, 16))

    def succeeded(self, name: str) -> None:
        """The password was right."""
        self._failures.pop(name, None)
