"""Publishes a container's lines on the bus (log driver `nats`). The file is the buffer while the bus is away."""

import asyncio
import logging
from typing import Final

from prometheus_client import Counter

from seaway_agent.streams.log_cursor import LogCursor
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
    """Publishes what comes behind the cursor. Once the bus has been away for `behind` bytes, the oldest are dropped."""

    def __init__(self, bus: Bus, node: str, container: str, cursor: LogCursor, behind: int = BEHIND) -> None:
        self._bus = bus
        self._node = node
        self._container = container
        self._cursor = cursor
        self._behind = behind

    async def run(self) -> None:
        """To the end of the log, when no more will come."""
        records = Records()
        try:
            async for block in self._cursor.blocks():
                if not block:
                    records.break_off()
                for batch in _batches(records.feed(block)):
                    await self._publish(batch)
        except OSError as error:
            log.error("the log of container %s is not published any more: %s", self._container[:12], error)
        finally:
            self._cursor.close()

    async def _publish(self, batch: list[Record]) -> None:
        lines = LogLines(lines=tuple(_line(record) for record in batch))
        while True:
            try:
                await self._bus.publish_lines(LOG_LINES, self._node, self._container, lines)
            except TooLarge:
                DROPPED.inc(len(batch))
            except TransportError:
                if self._cursor.behind() <= self._behind:
                    await asyncio.sleep(_AGAIN_S)
                    continue
                DROPPED.inc(len(batch))
            else:
                SHIPPED.inc(len(batch))
            return


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


def _line(record: Record) -> LogLine:
    return LogLine(
        stream="stdout" if record.stdout else "stderr",
        time=record.time,
        text=record.text.decode(errors="replace"),
        partial=record.partial,
    )
