"""The state of one connection, and the callbacks for its loss and return."""

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

import nats.errors
from nats.protocol.parser import PERMISSIONS_ERR

from seaway_bus import metrics

log = logging.getLogger(__name__)
_TOLD: Final = 256


@dataclass
class Watch:
    """Takes nats-py's callbacks. `broken` ends what is in flight; `lost` is for those who may have missed messages."""

    broken: list[Callable[[], None]] = field(default_factory=list)
    lost: list[Callable[[], None]] = field(default_factory=list)
    regained: list[Callable[[], None]] = field(default_factory=list)
    closing: bool = False
    _lost_at: float | None = None
    _reason: str = ""
    _told: set[str] = field(default_factory=set)

    def begun(self) -> None:
        """The first connection stands."""
        self._lost_at, self._reason = None, ""
        metrics.CONNECTED.set(1)

    def absent(self, reason: str) -> None:
        """There is no first connection yet, for that reason."""
        self._lost_at, self._reason = self._lost_at or time.monotonic(), reason

    def trouble(self) -> str:
        """Why there is no connection, and for how long; empty while there is one."""
        if self._lost_at is None:
            return ""
        reason = f" ({self._reason})" if self._reason else ""
        return f"no connection to the NATS server for {time.monotonic() - self._lost_at:.0f} s{reason}"

    async def disconnected(self) -> None:
        """nats-py has lost the connection and tries to reconnect."""
        if self.closing:
            return
        metrics.CONNECTED.set(0)
        self._lost_at = time.monotonic()
        log.warning("bus: connection lost%s; trying again until it is back", f" ({self._reason})" * bool(self._reason))
        self._tell([*self.broken, *self.lost])

    async def reconnected(self) -> None:
        """nats-py has reconnected."""
        away = time.monotonic() - (self._lost_at or time.monotonic())
        self._lost_at, self._reason = None, ""
        metrics.CONNECTED.set(1)
        metrics.RECONNECTS.inc()
        log.info("bus: connected again, after %.1f s", away)
        self._tell(self.regained)

    async def failed(self, error: Exception) -> None:
        """Log an error. A dropped message counts as a lost connection: receivers that need all must look again."""
        if isinstance(error, nats.errors.SlowConsumerError):
            log.error("bus: messages came faster than they were taken; some were dropped")
            self._tell(self.lost)
            self._tell(self.regained)
            return
        text = _plain(error)
        if PERMISSIONS_ERR in text:
            self._tell_once(text)
            return
        if self._reason != text and not self.closing:
            self._reason = text
            log.info("bus: %s", text)

    def _tell_once(self, text: str) -> None:
        """Log a refusal once: the same is tried again for ever."""
        if text not in self._told and len(self._told) < _TOLD:
            self._told.add(text)
            log.error("bus: the NATS server refuses us: %s; check the permissions of our user", text)

    def _tell(self, callbacks: list[Callable[[], None]]) -> None:
        for callback in callbacks:
            callback()


def _plain(error: Exception) -> str:
    """The error in a few words."""
    if isinstance(error, ConnectionRefusedError):
        return "nobody listens there"
    if isinstance(error, (TimeoutError, asyncio.TimeoutError)):
        return "no answer in time"
    return str(error).removeprefix("nats: ").strip("' \r\n") or type(error).__name__
