"""Who may have a container's overlay mounted at the same time: overlayfs allows one mount of a writable layer."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class RootfsGate:
    """Either one alone (a start; a copy into a stopped container), or several that work on the same mount."""

    def __init__(self) -> None:
        self._alone = False
        self._beside = 0
        self._waiting: list[asyncio.Future[None]] = []

    @asynccontextmanager
    async def alone(self) -> AsyncIterator[None]:
        """Once nobody else is in."""
        while self._alone or self._beside:
            await self._change()
        self._alone = True
        try:
            yield
        finally:
            self._alone = False
            self._tell()

    @asynccontextmanager
    async def beside(self) -> AsyncIterator[None]:
        """Once nobody is in alone."""
        while self._alone:
            await self._change()
        self._beside += 1
        try:
            yield
        finally:
            self._beside -= 1
            self._tell()

    async def _change(self) -> None:
        waiting = asyncio.get_running_loop().create_future()
        self._waiting.append(waiting)
        await waiting

    def _tell(self) -> None:
        waiting, self._waiting = self._waiting, []
        for future in waiting:
            if not future.done():
                future.set_result(None)
