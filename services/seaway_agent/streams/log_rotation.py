"""Rotates a running container's log: renames the file, has conmon reopen it, then compresses the renamed one.

Compression runs in a thread and continues after the container's end. The current file is polled as often as the fastest
writer could overfill it, and not at all while it doesn't grow.
"""

import asyncio
import errno
import logging
from collections.abc import Callable
from concurrent.futures import Executor
from typing import ClassVar, Final

from seaway_agent.streams.log_files import LogFiles
from seaway_agent.streams.log_watch import LogWatch, wait_for_change

log = logging.getLogger(__name__)
FASTEST: Final = 400e6
_LEAST_S: Final = 0.01
_MOST_S: Final = 0.25
_QUIET_LOOKS: Final = 4
_REOPEN_S: Final = 5.0
_REOPEN_LOOK_S: Final = 0.002
_FULL_S: Final = 1.0
_AT_ONCE: Final = 20
"""Up to so many growing logs are each polled at the highest rate; more of them share it."""


class LogRotation:
    """Applies the policy to one log while its container runs. `reopen` has conmon reopen the log; raises OSError."""

    busy: ClassVar[set["LogRotation"]] = set()

    def __init__(self, files: LogFiles, watch: LogWatch, reopen: Callable[[], None], compressors: Executor) -> None:
        self._files = files
        self._watch = watch
        self._reopen = reopen
        self._compressors = compressors
        self._compressing: asyncio.Future[None] | None = None

    async def run(self) -> None:
        """Rotate until cancelled."""
        try:
            await self._complete_rotation()
            while True:
                await self._rotate_while_growing()
                await self._wait_while_idle()
        finally:
            self.busy.discard(self)

    async def _complete_rotation(self) -> None:
        """Complete a rotation that an earlier agent left between the rename and the reopening."""
        if not self._files.path.exists() and self._files.rotated():
            await self._reopen_and_wait()
        self._compress_next()

    async def _rotate_while_growing(self) -> None:
        """Poll the file, and rotate it when it is full, until it stops growing."""
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

    def _pause(self, left: int) -> float:
        least = _LEAST_S * max(1.0, len(self.busy) / _AT_ONCE)
        return min(max(left / FASTEST, least), max(_MOST_S, least))

    async def _wait_while_idle(self) -> None:
        size = self._files.size()
        armed = self._watch.arm(self._files.path)
        while armed is not None and not armed.is_set() and self._files.size() == size:
            await wait_for_change(armed, 60)

    async def _rotate(self) -> bool:
        """Rotate once; False where it isn't possible now."""
        try:
            self._files.prepare()
            self._files.rename_current()
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                log.error("the log %s can't be rotated: %s", self._files.path, error)
            return False
        try:
            await self._reopen_and_wait()
        finally:  # also where the run's end cancels this
            self._files.prune()
            self._compress_next()
        return True

    async def _reopen_and_wait(self) -> None:
        """Have conmon reopen the log, and wait until it has done so: until then the renamed file grows."""
        try:
            self._reopen()
        except OSError as error:
            log.warning("conmon did not get the request to reopen %s: %s", self._files.path, error)
            return
        waited = 0.0
        while not self._files.path.exists() and waited < _REOPEN_S:
            await asyncio.sleep(_REOPEN_LOOK_S)
            waited += _REOPEN_LOOK_S

    def _compress_next(self) -> None:
        """Compress the oldest file that isn't compressed; one file at a time."""
        if not self._files.policy.compress or self._watch.closed or self._compressing is not None:
            return
        numbers = [number for number in self._files.uncompressed() if self._files.sealed(number)]
        if numbers:
            loop = asyncio.get_running_loop()
            compressing = loop.run_in_executor(self._compressors, self._files.compress, numbers[0], self._is_cancelled)
            self._compressing = compressing
            compressing.add_done_callback(self._compressed)

    def _is_cancelled(self) -> bool:
        return self._watch.closed

    def _compressed(self, compressing: asyncio.Future[None]) -> None:
        self._compressing = None
        if compressing.cancelled():
            return
        if (error := compressing.exception()) is not None:
            log.warning("a rotated file of %s can't be compressed: %s", self._files.path, error)
        else:
            self._compress_next()
