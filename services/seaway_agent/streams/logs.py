"""Sends a container's log over a byte stream: from the tail or a time on, and as it grows."""

import asyncio
import os
from collections.abc import Callable
from pathlib import Path
from typing import Final

from seaway_bus.streams import ByteStream
from seaway_contracts.commands import ReadLogs
from seaway_contracts.errors import SeawayError, internal
from seaway_docker.loglines import Reader
from seaway_docker.logtail import TailScan
from seaway_kit.tasks import Tasks, cancel

_BLOCK: Final = 1 << 18
_TAIL_BLOCK: Final = 1 << 16
_POLL_S: Final = 0.05


def tail_offset(fd: int, lines: int, *, stdout: bool, stderr: bool) -> int:
    """Where the last `lines` lines begin."""
    end = os.fstat(fd).st_size
    scan = TailScan(lines, end, stdout=stdout, stderr=stderr)
    position = end
    while scan.offset is None:
        start = max(0, position - _TAIL_BLOCK)
        scan.feed_back(os.pread(fd, position - start, start))
        position = start
    return scan.offset


def history(path: Path, *, tty: bool, stdout: bool, stderr: bool, limit: int) -> bytes:
    """What has been written so far, framed, at most the last `limit` bytes of the file."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return b""
    try:
        size = os.fstat(fd).st_size
        reader = Reader(stdout=stdout, stderr=stderr, raw=tty)
        return reader.feed(os.pread(fd, limit, max(0, size - limit)))
    finally:
        os.close(fd)


class LogSender:
    """Sends one log to one client. `running` says whether more may come."""

    def __init__(
        self, path: Path, asked: ReadLogs, stream: ByteStream, *, tty: bool, running: Callable[[], bool]
    ) -> None:
        self._path = path
        self._asked = asked
        self._stream = stream
        self._tty = tty
        self._running = running

    async def send(self, tasks: Tasks) -> None:
        """All of it, then the end. A client that goes away ends it early."""
        watcher = tasks.spawn("logs-gone", self._stream.wait_broken())
        sender = tasks.spawn("logs", self._send())
        try:
            await asyncio.wait((watcher, sender), return_when=asyncio.FIRST_COMPLETED)
        finally:
            await cancel(watcher)
            await cancel(sender)
            await self._stream.close()

    async def _send(self) -> None:
        try:
            fd = await self._open()
            if fd is not None:
                try:
                    await self._copy(fd)
                finally:
                    os.close(fd)
            await self._stream.end()
        except SeawayError:
            return
        except OSError as error:
            await self._stream.fail(internal(f"the log can't be read: {error.strerror}"))

    async def _open(self) -> int | None:
        """The log; None when there is none and none will come."""
        while True:
            try:
                return os.open(self._path, os.O_RDONLY | os.O_CLOEXEC)
            except FileNotFoundError:
                if not (self._asked.follow and self._running()):
                    return None
                await asyncio.sleep(_POLL_S)

    async def _copy(self, fd: int) -> None:
        asked = self._asked
        reader = Reader(
            stdout=asked.stdout,
            stderr=asked.stderr,
            since_ns=asked.since_ns or None,
            until_ns=asked.until_ns or None,
            timestamps=asked.timestamps,
            raw=self._tty,
        )
        offset = 0
        if asked.tail >= 0:
            offset = tail_offset(fd, asked.tail, stdout=asked.stdout, stderr=asked.stderr)
        while not reader.finished:
            more_may_come = asked.follow and self._running()
            block = os.pread(fd, _BLOCK, offset)
            offset += len(block)
            if block:
                if out := reader.feed(block):
                    await self._stream.write(out)
            elif more_may_come:
                await asyncio.sleep(_POLL_S)
            else:
                return
