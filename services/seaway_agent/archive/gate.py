"""A lock for mounts of a container's overlay: overlayfs allows one mount of a writable layer."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class RootfsGate:
    """Admits either one alone (a start; a copy into a stopped container), or several that share a mount."""

    def __init__(self) -> None:
        self._alone = False
        self._beside = 0
        self._waiting: list[asyncio.Future[None]] = []

    @asynccontextmanager
    async def alone(self) -> AsyncIterator[None]:
        """Enter when all others have left."""
        while self._alone or self._beside:
            await self._change()
        self._alone = True
        try:
            yield
        finally:
            self._alone = False
            self._wake()

    @asynccontextmanager
    async def beside(self) -> AsyncIterator[None]:
        """Enter when none is in alone."""
        while self._alone:
            await self._change()
        self._beside += 1
        try:
            yield
        finally:
            self._beside -= 1
            self._wake()

    async def _change(self) -> None:
        waiting = asyncio.get_running_loop().create_future()
        self._waiting.append(waiting)
        await waiting

    def _wake(self) -> None:
        waiting, self._waiting = self._waiting, []
        for future in waiting:
            if not future.done():
                future.set_result(None)
