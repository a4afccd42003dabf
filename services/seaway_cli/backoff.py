"""How long to wait before a crashed service is started again. Pure."""

from dataclasses import dataclass
from typing import Final

FIRST_S: Final = 0.1
LAST_S: Final = 10.0
HEALTHY_S: Final = 2.0


@dataclass
class Backoff:
    """The first crash is answered at once, the next ones after 0.1 s, 0.2 s … 10 s; 2 s of life forgive all.

    A start costs half a second of a core: once in 2 s is little, beside users who wait for a service that was killed.
    """

    crashes: int = 0

    def after_crash(self, lived_s: float) -> float:
        """The delay in seconds before the next start, for a process that lived that long."""
        if lived_s >= HEALTHY_S:
            self.crashes = 0
        self.crashes += 1
        return 0.0 if self.crashes == 1 else float(min(FIRST_S * 2 ** min(self.crashes - 2, 10), LAST_S))
