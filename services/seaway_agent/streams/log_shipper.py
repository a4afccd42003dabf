"""Has metadata publish a container's lines (log driver `nats`). The log file is the buffer while metadata is down."""

import asyncio
import logging
from typing import Final

from prometheus_client import Counter

from seaway_agent.streams.log_cursor import LogCursor
from seaway_agent.streams.log_position import PublishedPosition
from seaway_bus.bus import Bus
from seaway_contracts.catalogue import PUBLISH_LINES
from seaway_contracts.errors import Code, SeawayError
from seaway_contracts.logs import LogLine, LogLines, PublishLines
from seaway_docker.loglines import Record, Records

log = logging.getLogger(__name__)
SHIPPED: Final = Counter("seaway_agent_log_lines_published", "Log lines published on the bus.")
DROPPED: Final = Counter(
    "seaway_agent_log_lines_dropped", "Log lines that were not published, as the bus or metadata was away, or refused."
)
BEHIND: Final = 64 << 20
_BATCH: Final = 64 * 1024
_AGAIN_S: Final = 0.2
_NEVER: Final = frozenset({Code.TOO_LARGE, Code.FORBIDDEN})


class LogShipper:
    """Publishes the lines after the cursor, and stores the position up to which it has published.

    Lines that a killed agent published without storing the position are published again, with the same ids. While
    the bus is down, up to `behind` bytes of lines wait; then the oldest are dropped.
    """

    def __init__(
        self, bus: Bus, node: str, container: str, cursor: LogCursor, published: PublishedPosition, behind: int = BEHIND
    ) -> None:
        self._bus = bus
        self._node = node
        self._container = container
        self._cursor = cursor
        self._published = published
        self._behind = behind

    async def run(self) -> None:
        """Publish to the end of the log."""
        records = Records(self._cursor.offset)
        try:
            async for block in self._cursor.blocks():
                if not block:
                    records.break_off()
                    continue
                number = self._cursor.number
                if found := records.feed(block):
                    await self._publish(number, found)
                    self._store_position(number, records.position)
        except OSError as error:
            log.error("stops publishing the log of container %s: %s", self._container[:12], error)
        finally:
            self._cursor.close()

    async def _publish(self, number: int, records: list[Record]) -> None:
        """Publish these lines, again and again until metadata accepts or refuses them, or too many follow."""
        while True:
            refused = len(records)
            try:
                refused = sum([len(batch) for batch in _batches(records) if not await self._send(number, batch)])
                break
            except SeawayError as error:
                log.debug("can't publish lines of container %s yet: %s", self._container[:12], error)
            if self._cursor.behind() > self._behind:
                break
            await asyncio.sleep(_AGAIN_S)
        DROPPED.inc(refused)
        SHIPPED.inc(len(records) - refused)

    async def _send(self, number: int, batch: list[Record]) -> bool:
        """Send a batch; False where it is refused for good: too large, or of another node's container.

        Raises SeawayError where a retry can succeed.
        """
        lines = LogLines(lines=tuple(_stdio(number, record) for record in batch))
        message = f"{self._container}:{number}:{batch[0].offset}-{batch[-1].offset}"
        request = PublishLines(container=self._container, message_id=message, lines=lines)
        try:
            await self._bus.call(PUBLISH_LINES, request, node=self._node)
        except SeawayError as error:
            if error.code not in _NEVER:
                raise
            return False
        return True

    def _store_position(self, number: int, offset: int) -> None:
        try:
            self._published.save(number, offset)
        except OSError as error:
            log.debug("can't store the published position of container %s: %s", self._container[:12], error)


def _batches(records: list[Record]) -> list[list[Record]]:
    """The records in batches of about 64 KiB."""
    batches: list[list[Record]] = []
    size = _BATCH
    for record in records:
        if size >= _BATCH:
            batches.append([])
            size = 0
        batches[-1].append(record)
        size += len(record.text)
    return batches


def _stdio(number: int, record: Record) -> LogLine:
    return LogLine(
        id=f"{number}:{record.offset}",
        stream="stdout" if record.stdout else "stderr",
        time=record.time,
        text=record.text.decode(errors="replace"),
        partial=record.partial,
    )
