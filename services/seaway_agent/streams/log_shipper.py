"""Has a container's lines published by metadata (log driver `nats`). The file is the buffer while that is away."""

import asyncio
import logging
from typing import Final

from prometheus_client import Counter

from seaway_agent.streams.log_cursor import LogCursor
from seaway_agent.streams.log_place import LogPlace
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
            refused = len(records)
            try:
                refused = sum([len(batch) for batch in _batches(records) if not await self._send(number, batch)])
                break
            except SeawayError as error:
                log.debug("lines of container %s are not published yet: %s", self._container[:12], error)
            if self._cursor.behind() > self._behind:
                break
            await asyncio.sleep(_AGAIN_S)
        DROPPED.inc(refused)
        SHIPPED.inc(len(records) - refused)

    async def _send(self, number: int, batch: list[Record]) -> bool:
        """False where these lines will never be taken: too large, or of another node's container.

        Raises SeawayError where they can be sent again.
        """
        lines = LogLines(lines=tuple(_line(number, record) for record in batch))
        message = f"{self._container}:{number}:{batch[0].offset}-{batch[-1].offset}"
        request = PublishLines(container=self._container, message_id=message, lines=lines)
        try:
            await self._bus.call(PUBLISH_LINES, request, node=self._node)
        except SeawayError as error:
            if error.code not in _NEVER:
                raise
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
