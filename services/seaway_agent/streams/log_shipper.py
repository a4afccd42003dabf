"""Publishes a container's lines on the bus (log driver `nats`). The file is the buffer while the bus is away."""

import asyncio
import contextlib
import logging
from typing import Final

from prometheus_client import Counter

from seaway_agent.streams.log_cursor import LogCursor
from seaway_agent.streams.log_place import LogPlace
from seaway_bus.bus import Bus
from seaway_bus.transport import TooLarge, TransportError
from seaway_contracts.catalogue import LOG_LINES
from seaway_contracts.logs import LogLine, LogLines
from seaway_docker.loglines import Record, Records

log = logging.getLogger(__name__)
SHIPPED: Final = Counter("seaway_agent_log_lines_published", "Log lines published on the bus.")
DROPPED: Final = Counter("seaway_agent_log_lines_dropped", "Log lines that were not published, as the bus was away.")
BEHIND: Final = 64 << 20
_BATCH: Final = 64 * 1024
_AGAIN_S: Final = 0.2


class LogShipper:
    """Publishes what comes behind the cursor, and notes how far it has come. What an agent has published and not noted
    when it is killed comes once more, with the same ids.

    Once the bus has been away for `behind` bytes, the oldest are dropped.
    """

    def __init__(
        self, bus: Bus, node: str, container: str, cursor: LogCursor, place: LogPlace, behind: int = BEHIND
    ) -> None:
        self._bus = bus
        self._node = node
        self._container = container
        self._cursor = cursor
        self._place = place
        self._behind = behind

    async def run(self) -> None:
        """To the end of the log, when no more will come."""
        records = Records(self._cursor.offset)
        try:
            async for block in self._cursor.blocks():
                if not block:
                    records.break_off()
                    continue
                number = self._cursor.number
                if found := records.feed(block):
                    await self._publish(number, found)
                    self._note(number, records.position)
        except OSError as error:
            log.error("the log of container %s is not published any more: %s", self._container[:12], error)
        finally:
            self._cursor.close()

    async def _publish(self, number: int, records: list[Record]) -> None:
        """Until the server has them. Whatever was lost on the way is sent again with all the others."""
        while True:
            losses, refused = self._bus.losses, len(records)
            with contextlib.suppress(TransportError):
                refused = sum([len(batch) for batch in _batches(records) if not await self._send(number, batch)])
                await self._bus.flush()
                if losses == self._bus.losses:
                    break
            if self._cursor.behind() > self._behind:
                break
            await asyncio.sleep(_AGAIN_S)
        DROPPED.inc(refused)
        SHIPPED.inc(len(records) - refused)

    async def _send(self, number: int, batch: list[Record]) -> bool:
        """False where the bus takes no message of that size."""
        lines = LogLines(lines=tuple(_line(number, record) for record in batch))
        message = f"{self._container}:{number}:{batch[0].offset}-{batch[-1].offset}"
        try:
            await self._bus.publish_lines(LOG_LINES, self._node, self._container, lines, message)
        except TooLarge:
            return False
        return True

    def _note(self, number: int, offset: int) -> None:
        try:
            self._place.save(number, offset)
        except OSError as error:
            log.debug("how far the log of container %s is published can't be noted: %s", self._container[:12], error)


def _batches(records: list[Record]) -> list[list[Record]]:
    """In messages of about 64 KiB."""
    batches: list[list[Record]] = []
    size = _BATCH
    for record in records:
        if size >= _BATCH:
            batches.append([])
            size = 0
        batches[-1].append(record)
        size += len(record.text)
    return batches


def _line(number: int, record: Record) -> LogLine:
    return LogLine(
        id=f"{number}:{record.offset}",
        stream="stdout" if record.stdout else "stderr",
        time=record.time,
        text=record.text.decode(errors="replace"),
        partial=record.partial,
    )
