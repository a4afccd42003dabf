"""Rotates a running container's log: rename, then conmon is told to open it anew. Compression, in a thread, goes on
when the container has ended.

The written file is looked at as often as the fastest writer would need to overfill it, and not at all while nothing
is written.
"""

import asyncio
import errno
import logging
from collections.abc import Callable
from concurrent.futures import Executor
from typing import ClassVar, Final

from seaway_agent.streams.log_files import LogFiles
from seaway_agent.streams.log_watch import LogWatch, changed

log = logging.getLogger(__name__)
FASTEST: Final = 400e6
_LEAST_S: Final = 0.01
_MOST_S: Final = 0.25
_QUIET_LOOKS: Final = 4
_REOPEN_S: Final = 5.0
_REOPEN_LOOK_S: Final = 0.002
_FULL_S: Final = 1.0
_AT_ONCE: Final = 20
"""So many busy containers are each looked at at the highest rate; more of them share it."""


class LogRotation:
    """Keeps one log to its policy while the container runs. `reopen` tells conmon; it raises OSError."""

    busy: ClassVar[set["LogRotation"]] = set()

    def __init__(self, files: LogFiles, watch: LogWatch, reopen: Callable[[], None], packers: Executor) -> None:
        self._files = files
        self._watch = watch
        self._reopen = reopen
        self._packers = packers
        self._packing: asyncio.Future[None] | None = None

    async def run(self) -> None:
        """Until it is cancelled."""
        try:
            await self._take_up()
            while True:
                await self._busy()
                await self._quiet()
        finally:
            self.busy.discard(self)

    async def _take_up(self) -> None:
        """An agent before this one may have ended between the rename and the reopening."""
        if not self._files.path.exists() and self._files.rotated():
            await self._open_anew()
        self._pack_next()

    async def _busy(self) -> None:
        """Look at the file until it has stopped to grow."""
        self.busy.add(self)
        size, quiet, limit = self._files.size(), 0, self._files.policy.max_size
        while quiet < _QUIET_LOOKS:
            before = size
            if size >= limit:
                if await self._rotate():
                    before, quiet = 0, 0
                else:
                    await asyncio.sleep(_FULL_S)
            await asyncio.sleep(self._pause(limit - before))
            size = self._files.size()
            quiet = quiet + 1 if size == before else 0
        self.busy.discard(self)

    def _pause(self, room: int) -> float:
        least = _LEAST_S * max(1.0, len(self.busy) / _AT_ONCE)
        return min(max(room / FASTEST, least), max(_MOST_S, least))

    async def _quiet(self) -> None:
        size = self._files.size()
        armed = self._watch.arm(self._files.path)
        while armed is not None and not armed.is_set() and self._files.size() == size:
            await changed(armed, 60)

    async def _rotate(self) -> bool:
        """False where it can't be done now."""
        try:
            self._files.prepare()
            self._files.set_aside()
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                log.error("the log %s can't be rotated: %s", self._files.path, error)
            return False
        try:
            await self._open_anew()
        finally:  # also where the run ends meanwhile
            self._files.prune()
            self._pack_next()
        return True

    async def _open_anew(self) -> None:
        """Tell conmon, and wait until it has done so: before that the old file still grows."""
        try:
            self._reopen()
        except OSError as error:
            log.warning("conmon can't be told to reopen %s: %s", self._files.path, error)
            return
        waited = 0.0
        while not self._files.path.exists() and waited < _REOPEN_S:
            await asyncio.sleep(_REOPEN_LOOK_S)
            waited += _REOPEN_LOOK_S

    def _pack_next(self) -> None:
        """Compress what isn't yet, one file at a time, the oldest first."""
        if not self._files.policy.compress or self._watch.closed or self._packing is not None:
            return
        numbers = [number for number in self._files.plain() if self._files.sealed(number)]
        if numbers:
            loop = asyncio.get_running_loop()
            packing = loop.run_in_executor(self._packers, self._files.pack, numbers[0], self._is_over)
            self._packing = packing
            packing.add_done_callback(self._packed)

    def _is_over(self) -> bool:
        return self._watch.closed

    def _packed(self, packing: asyncio.Future[None]) -> None:
        self._packing = None
        if packing.cancelled():
            return
        if (error := packing.exception()) is not None:
            log.warning("a rotated file of %s can't be compressed: %s", self._files.path, error)
        else:
            self._pack_next()
