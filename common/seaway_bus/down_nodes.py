"""Nodes that are known to be down: a call to one waits for its return for seconds, not for the call's whole time.

The server counts a node that is cut off as a subscriber for minutes, so it neither delivers nor refuses a request to
it.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Final

from seaway_contracts.errors import Code, SeawayError

PATIENCE_S: Final = 5.0


class DownNodes:
    """The nodes that are down, why, and the calls to each node that wait for an answer."""

    def __init__(self, patience_s: float = PATIENCE_S) -> None:
        self._patience_s = patience_s
        self._gone: dict[str, str] = {}
        self._waiting: dict[str, set[asyncio.Timeout]] = {}

    def gone(self, node: str, reason: str) -> None:
        """Mark a node as down: its calls end in `patience_s`."""
        self._gone[node] = reason
        self._bound(node, asyncio.get_running_loop().time() + self._patience_s)

    def back(self, node: str) -> None:
        """Mark a node as up: its calls have their whole time again."""
        self._gone.pop(node, None)
        self._bound(node, None)

    def is_down(self, node: str) -> bool:
        """Whether a node is marked as down."""
        return node in self._gone

    def _bound(self, node: str, when: float | None) -> None:
        for call in self._waiting.get(node, ()):
            if not call.expired():
                call.reschedule(when)

    @contextlib.asynccontextmanager
    async def call(self, node: str) -> AsyncIterator[None]:
        """Run a call to that node inside. Raises SeawayError (TIMEOUT) if the node stays down."""
        waiting = self._waiting.setdefault(node, set())
        loop = asyncio.get_running_loop()
        bound = asyncio.timeout_at(loop.time() + self._patience_s if node in self._gone else None)
        try:
            async with bound:
                waiting.add(bound)
                yield
        except TimeoutError:
            if not bound.expired():
                raise
            reason = self._gone.get(node, "it went silent")
            text = f"node {node} is down: {reason}; what was asked may still be carried out if it is back soon"
            raise SeawayError(Code.TIMEOUT, text) from None
        finally:
            waiting.discard(bound)
            if not waiting:
                self._waiting.pop(node, None)
