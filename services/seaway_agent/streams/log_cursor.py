"""Reads a log's files in order, block by block, also while conmon writes them and they are rotated."""

import asyncio
import contextlib
import logging
import os
from collections.abc import AsyncGenerator, Callable
from functools import partial
from typing import Final

from seaway_agent.streams.log_files import LogFile, LogFiles, size_of
from seaway_agent.streams.log_watch import LogWatch, wait_for_change

log = logging.getLogger(__name__)
_BLOCK: Final = 1 << 18
_LOOK_S: Final = 1.0
_TOGETHER_S: Final = 0.01
_SMALL: Final = 1 << 16


class LogCursor:
    """A reader's position: file `number`, and `offset` in it.

    With `running` the cursor follows the log while that returns True. `end`: the position at which reading ends.
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
        self._kept_open: dict[int, LogFile] = {}
        files.readers[self] = number - 1

    async def blocks(self) -> AsyncGenerator[bytes, None]:
        """The bytes from this position on, with b"" between two files, to the log's end. Raises OSError.

        Close the generator (`contextlib.aclosing`) where it isn't read to its end.
        """
        try:
            while await self._open_next():
                self._files.readers[self] = self.number
                async with contextlib.aclosing(self._file()) as blocks:
                    async for block in blocks:
                        yield block
                if not self._sealed() or (self._end is not None and self.number >= self._end[0]):
                    return
                self._next_file()
                yield b""
        finally:
            self.close()

    def behind(self) -> int:
        """The number of bytes that are not read yet."""
        sizes = [size_of(path) for number, path in self._files.rotated().items() if number >= self.number]
        return sum(sizes) + self._files.size() - self.offset

    def keep_open(self) -> None:
        """Open the files that are not read yet, before they are removed. Raises OSError."""
        self._kept_open = self._files.open_after(self._files.readers[self])

    def close(self) -> None:
        """Close the open files, and let rotation remove those that were kept for this reader."""
        files, self._kept_open = self._kept_open, {}
        for file in files.values():
            file.close()
        self._files.remove_reader(self)

    async def _open_next(self) -> bool:
        """Open the file of this position; False where there is none, and none will follow."""
        while True:
            if (file := self._kept_open.pop(self.number, None)) is not None:
                self._fd = await _opened(file.decompressed) if file.compressed else file.fd
                return True
            try:
                if self.number >= self._files.current:
                    self._fd = self._files.open(self.number)
                else:
                    self._fd = await _opened(partial(self._files.open, self.number))
                return True
            except FileNotFoundError:
                if self.number in self._kept_open:  # they were removed just now
                    continue
                if self.number < self._files.current:
                    self._next_file()
                elif self._running is None or not self._running():
                    return False
                else:
                    await wait_for_change(None, _LOOK_S)

    def _next_file(self) -> None:
        later = (number for number in self._kept_open if number > self.number)
        number = min(later, default=self._files.next_after(self.number))
        if number > self.number + 1:
            log.warning("a reader of %s is too slow: files that it has not read were rotated away", self._files.path)
        self.number, self.offset = number, 0
        self._files.readers[self] = number - 1

    def _sealed(self) -> bool:
        return any(number > self.number for number in self._kept_open) or self._files.sealed(self.number)

    async def _file(self) -> AsyncGenerator[bytes, None]:
        """The rest of one file; of the one that conmon writes, as long as it grows."""
        try:
            while True:
                sealed, more = self._sealed(), self._running is not None and self._running()
                block = os.pread(self._fd, self._most(), self.offset)
                self.offset += len(block)
                if block:
                    yield block
                elif sealed or not more:
                    return
                if more and not sealed and len(block) < _SMALL:
                    await self._wait_for_growth(had_some=bool(block))
                elif len(block) == _BLOCK:
                    await asyncio.sleep(0)  # yields to the event loop while reading a long log
        finally:
            os.close(self._fd)

    def _most(self) -> int:
        """The number of bytes to read at once; 0 at `end`."""
        if self._end is None or self.number < self._end[0]:
            return _BLOCK
        return min(_BLOCK, max(0, self._end[1] - self.offset)) if self.number == self._end[0] else 0

    async def _wait_for_growth(self, *, had_some: bool) -> None:
        """Wait until the file grows. After a read, wait 10 ms at least, as lines come in bursts."""
        if had_some:
            await asyncio.sleep(_TOGETHER_S)
        armed = self._watch.arm(self._files.path)
        with contextlib.suppress(OSError):
            if os.fstat(self._fd).st_size <= self.offset and not self._sealed():
                await wait_for_change(armed, _LOOK_S)


async def _opened(work: Callable[[], int]) -> int:
    """The descriptor that `work` opens in a thread. A cancellation closes it."""
    opening = asyncio.get_running_loop().run_in_executor(None, work)
    try:
        return await asyncio.shield(opening)
    except asyncio.CancelledError:
        opening.add_done_callback(_close)
        raise


def _close(opened: "asyncio.Future[int]") -> None:
    if not opened.cancelled() and opened.exception() is None:
        os.close(opened.result())
