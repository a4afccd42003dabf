"""Sends a container's log over a byte stream: from the tail or a time on, and while it grows."""

import asyncio
import contextlib

from seaway_agent.streams.container_log import ContainerLog
from seaway_agent.streams.log_cursor import LogCursor
from seaway_bus.streams import ByteStream
from seaway_contracts.commands import ReadLogs
from seaway_contracts.errors import SeawayError, internal
from seaway_docker.loglines import Reader
from seaway_kit.tasks import Tasks, cancel


class LogSender:
    """Sends one log to one client."""

    def __init__(
        self, source: ContainerLog, cursor: LogCursor, asked: ReadLogs, stream: ByteStream, *, tty: bool
    ) -> None:
        self._cursor = cursor
        self._stream = stream
        self._reader = Reader(
            stdout=asked.stdout,
            stderr=asked.stderr,
            since_ns=asked.since_ns or None,
            until_ns=asked.until_ns or None,
            timestamps=asked.timestamps,
            details=source.details if asked.details else b"",
            raw=tty,
        )

    async def send(self, tasks: Tasks) -> None:
        """Send the log, then the end of the stream, and close the cursor. A client that goes ends it early."""
        watcher = tasks.spawn("logs-gone", self._stream.wait_broken())
        sender = tasks.spawn("logs", self._send())
        try:
            await asyncio.wait((watcher, sender), return_when=asyncio.FIRST_COMPLETED)
        finally:
            await cancel(watcher)
            await cancel(sender)
            self._cursor.close()
            await self._stream.close()

    async def _send(self) -> None:
        try:
            await self._copy()
            await self._stream.end()
        except SeawayError:
            return
        except OSError as error:
            await self._stream.fail(internal(f"the log can't be read: {error.strerror}"))

    async def _copy(self) -> None:
        reader = self._reader
        async with contextlib.aclosing(self._cursor.blocks()) as blocks:
            async for block in blocks:
                if not block:
                    reader.break_off()
                elif out := reader.feed(block):
                    await self._stream.write(out)
                if reader.finished:
                    return
