"""Nodes that are known to be down: who asks one waits for its return for a moment, not for the command's whole time.

A node that is cut off still counts as a listener at the server for minutes, so a request to it is neither answered nor
refused.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Final

from seaway_contracts.errors import Code, SeawayError

PATIENCE_S: Final = 5.0


class DownNodes:
    """Which nodes are down and why, and the calls to each that wait for an answer."""

    def __init__(self, patience_s: float = PATIENCE_S) -> None:
        self._patience_s = patience_s
        self._gone: dict[str, str] = {}
        self._waiting: dict[str, set[asyncio.Timeout]] = {}

    def gone(self, node: str, reason: str) -> None:
        """The node is down: its calls have a moment left."""
        self._gone[node] = reason
        self._bound(node, asyncio.get_running_loop().time() + self._patience_s)

    def back(self, node: str) -> None:
        """The node is up: its calls have all their time."""
        self._gone.pop(node, None)
        self._bound(node, None)

    def _bound(self, node: str, when: float | None) -> None:
        for call in self._waiting.get(node, ()):
            if not call.expired():
                call.reschedule(when)

    @contextlib.asynccontextmanager
    async def call(self, node: str) -> AsyncIterator[None]:
        """Around a call to that node. Raises SeawayError (TIMEOUT) where it stays down."""
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
