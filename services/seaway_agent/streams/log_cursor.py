"""Reads a log's files one after the other, block by block, also while they are written and rotated."""

import asyncio
import contextlib
import logging
import os
from collections.abc import AsyncGenerator, Callable
from functools import partial
from typing import Final

from seaway_agent.streams.log_files import LogFile, LogFiles, size_of
from seaway_agent.streams.log_watch import LogWatch, changed

log = logging.getLogger(__name__)
_BLOCK: Final = 1 << 18
_LOOK_S: Final = 1.0
_TOGETHER_S: Final = 0.01
_SMALL: Final = 1 << 16


class LogCursor:
    """A reader's place: file `number`, `offset` in it. `running` says whether more may come, where it follows; `end` is
    a place where it ends.
    """

    def __init__(
        self,
        files: LogFiles,
        watch: LogWatch,
        *,
        number: int,
        offset: int = 0,
        running: Callable[[], bool] | None,
        end: tuple[int, int] | None = None,
    ) -> None:
        self._files = files
        self._watch = watch
        self._running = running
        self.number = number
        self.offset = offset
        self._end = end
        self._held: dict[int, LogFile] = {}
        files.readers[self] = number - 1

    async def blocks(self) -> AsyncGenerator[bytes, None]:
        """The bytes from here on; b"" between two files. Ends where no more will come. Raises OSError.

        Close it (`contextlib.aclosing`) where it isn't read to its end.
        """
        try:
            while await self._open_next():
                self._files.readers[self] = self.number
                async with contextlib.aclosing(self._file()) as blocks:
                    async for block in blocks:
                        yield block
                if not self._sealed() or (self._end is not None and self.number >= self._end[0]):
                    return
                self._move_on()
                yield b""
        finally:
            self.close()

    def behind(self) -> int:
        """Bytes that are written and not yet read."""
        sizes = [size_of(path) for number, path in self._files.rotated().items() if number >= self.number]
        return sum(sizes) + self._files.size() - self.offset

    def hold(self) -> None:
        """The files are about to be removed: keep what has not been opened yet. Raises OSError."""
        self._held = self._files.hold(self._files.readers[self])

    def close(self) -> None:
        """Hold back no file any more."""
        held, self._held = self._held, {}
        for file in held.values():
            file.close()
        self._files.let_go(self)

    async def _open_next(self) -> bool:
        """Open the file of this place; False where there is none and none will come."""
        while True:
            if (file := self._held.pop(self.number, None)) is not None:
                self._fd = await _opened(file.unpacked) if file.packed else file.fd
                return True
            try:
                if self.number >= self._files.current:
                    self._fd = self._files.open(self.number)
                else:
                    self._fd = await _opened(partial(self._files.open, self.number))
                return True
            except FileNotFoundError:
                if self.number in self._held:  # they were removed just now
                    continue
                if self.number < self._files.current:
                    self._move_on()
                elif self._running is None or not self._running():
                    return False
                else:
                    await changed(None, _LOOK_S)

    def _move_on(self) -> None:
        number = min((held for held in self._held if held > self.number), default=self._files.next_after(self.number))
        if number > self.number + 1:
            log.warning("a reader of %s was too slow: what it had not read has been rotated away", self._files.path)
        self.number, self.offset = number, 0
        self._files.readers[self] = number - 1

    def _sealed(self) -> bool:
        return any(number > self.number for number in self._held) or self._files.sealed(self.number)

    async def _file(self) -> AsyncGenerator[bytes, None]:
        """The rest of one file, to its end or, for the written one, as long as it grows."""
        try:
            while True:
                sealed, more = self._sealed(), self._running is not None and self._running()
                block = os.pread(self._fd, self._room(), self.offset)
                self.offset += len(block)
                if block:
                    yield block
                elif sealed or not more:
                    return
                if more and not sealed and len(block) < _SMALL:
                    await self._growth(had_some=bool(block))
                elif len(block) == _BLOCK:
                    await asyncio.sleep(0)  # who takes a long log as fast as it comes, or skips it, holds up nobody
        finally:
            os.close(self._fd)

    def _room(self) -> int:
        """How many bytes may be read at once: none at the end."""
        if self._end is None or self.number < self._end[0]:
            return _BLOCK
        return min(_BLOCK, max(0, self._end[1] - self.offset)) if self.number == self._end[0] else 0

    async def _growth(self, *, had_some: bool) -> None:
        """Wait until the file is longer; where it has just grown a moment in any case, as lines come in bursts."""
        if had_some:
            await asyncio.sleep(_TOGETHER_S)
        armed = self._watch.arm(self._files.path)
        with contextlib.suppress(OSError):
            if os.fstat(self._fd).st_size <= self.offset and not self._sealed():
                await changed(armed, _LOOK_S)


async def _opened(work: Callable[[], int]) -> int:
    """The descriptor that a thread opens; closed where nobody waits for it any more."""
    opening = asyncio.get_running_loop().run_in_executor(None, work)
    try:
        return await asyncio.shield(opening)
    except asyncio.CancelledError:
        opening.add_done_callback(_close)
        raise


def _close(opened: "asyncio.Future[int]") -> None:
    if not opened.cancelled() and opened.exception() is None:
        os.close(opened.result())
