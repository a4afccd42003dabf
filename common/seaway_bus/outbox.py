"""Keeps events in SQLite until they are stored in the stream.

An event is added in the transaction that changes the state which it reports, so after a kill both are there or neither
is. `deliver` hands events over oldest first, many at once: it stores them, or fails and loses none. Before that the
outbox may publish each event at once for current subscribers (`tells`); it publishes again what a lost connection may
have lost.

The file is written without fsync: a kill of the process loses nothing; after a power cut (the boot id has changed) the
agent works out anew how its containers ended.

The outbox is bounded. From half of the bound on it leaves out events that the catalogue calls lossy. At the bound it is
`full`: its owner takes no new work, but still records what happens to its present work.
"""

import asyncio
import contextlib
import itertools
import logging
import sqlite3
import time
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from typing import Final

from seaway_bus import metrics
from seaway_bus.event_writer import EventWriter, StreamMessage
from seaway_bus.outbox_table import LostRow, OutboxMessage, OutboxTable, Row, open_outbox
from seaway_bus.transport import NoResponders, NotConnected, Transport, TransportError
from seaway_contracts.channels import EventChannel, M
from seaway_contracts.errors import SeawayError
from seaway_contracts.lifecycle import MOST_EVENTS, Envelope
from seaway_kit.tasks import Tasks

__all__ = ["BOUND", "Deliver", "Outbox", "into_the_stream", "open_outbox"]

log = logging.getLogger(__name__)
BOUND: Final = 64 << 20
_AT_HAND: Final = 4096
_BYTES_AT_ONCE: Final = 256 << 10
_RETRY_S: Final = (0.05, 0.1, 0.2, 0.5, 1.0)
_SWEEP_S: Final = 0.2
_FAILING_AFTER: Final = 4  # attempts, about a second
_PATIENCE_S: Final = 3.0

Deliver = Callable[[Sequence[tuple[str, OutboxMessage]]], Awaitable[Mapping[str, str]]]
"""Stores events, each with its key; returns those that can never be stored: id → reason.

Raises SeawayError or TransportError if all must be handed over again.
"""


def into_the_stream(transport: Transport) -> Deliver:
    """Delivery straight into the stream, for a service that may write there."""
    writer = EventWriter(transport)

    async def deliver(rows: Sequence[tuple[str, OutboxMessage]]) -> Mapping[str, str]:
        large = {one.id: "it is larger than the bus takes" for _, one in rows if one.size > transport.max_payload}
        await writer.store(
            [StreamMessage(key, one.subject, one.headers, one.body) for key, one in rows if one.id not in large]
        )
        return large

    return deliver


class Outbox:
    """Hands added events over, in order, until they are stored."""

    def __init__(
        self,
        db: sqlite3.Connection,
        transport: Transport,
        tasks: Tasks,
        deliver: Deliver | None = None,
        *,
        tells: bool = False,
        bound: int = BOUND,
    ) -> None:
        """`tells`: publish each event on its own subject when it is added. `bound`: how many bytes may wait."""
        self._table = OutboxTable(db)
        self._transport = transport
        self._tasks = tasks
        self._deliver = deliver or into_the_stream(transport)
        self._tells = tells
        self.bound = bound
        self.size = 0
        """Bytes of the events that wait."""
        self._queue: deque[Row] = deque()
        self._since: deque[float] = deque()
        """When each event of the queue was added, or this process began."""
        self._first = 0
        self._told = 0
        """Positions among all events of this process: of the queue's head, and of the next event to tell."""
        self._last: dict[str, int] = {}
        self._counts: Counter[str] = Counter()
        self._fresh: list[Row] = []
        self._done: list[int] = []
        self._waiting: list[tuple[int, asyncio.Future[None]]] = []
        self._failing = False
        self._started = False
        self._wake = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        self._regained = asyncio.Event()
        transport.on_disconnect(self._lost)
        transport.on_reconnect(self._back)
        metrics.OUTBOX_BOUND.set(bound)
        metrics.OUTBOX_OLDEST.set_function(self._oldest_s)

    def __len__(self) -> int:
        return len(self._queue)

    @property
    def full(self) -> bool:
        """Whether to refuse new work: the events that wait have reached the bound."""
        return self.size >= self.bound

    def start(self) -> None:
        """Start: first with events that an earlier process left, then with those added since."""
        self._started = True
        self._fresh = list(self._table.rows())
        self.size = sum(row.size for row in self._fresh)
        self._tasks.eternal("outbox-sweep", self._sweep())
        self._tasks.eternal("outbox", self._run())
        self.kick()

    def add(self, channel: EventChannel[M], envelope: Envelope, body: M, key: str = "") -> int:
        """Add one event in the caller's transaction; its size in bytes, 0 if it is left out.

        The caller calls `kick` after the commit. `key` is what `waits` and `sent` take; by default the id of the
        event's subject.
        """
        if self._left_out(channel):
            return 0
        row = self._table.add(key or envelope.subject_id, self._message(channel, envelope, body))
        self._take(row)
        return row.size

    def tell(self, channel: EventChannel[M], envelope: Envelope, body: M) -> None:
        """Add and publish an event that changes no state. On a full disk keep it in memory only."""
        if not self._left_out(channel):
            self._take(self._table.add_alone(envelope.subject_id, self._message(channel, envelope, body)))
            self.kick()

    def _message(self, channel: EventChannel[M], envelope: Envelope, body: M) -> OutboxMessage:
        subject = channel.told_subject if self._tells else channel.subject
        return OutboxMessage(subject(envelope.node, envelope.subject_id), envelope.headers(), channel.encode(body))

    def _take(self, row: Row) -> None:
        self._fresh.append(row)
        self.size += row.size

    def _left_out(self, channel: EventChannel[M]) -> bool:
        if not channel.lossy or self.size * 2 < self.bound:
            return False
        metrics.OUTBOX_DROPPED.labels(f"{channel.noun}.{channel.action}").inc()
        return True

    def discard(self) -> None:
        """Forget the events of a transaction that the caller has rolled back."""
        self.size -= sum(row.size for row in self._fresh)
        self._fresh.clear()

    def kick(self) -> None:
        """Publish the added events and hand them over. Before `start` they wait behind older events."""
        if not self._started or not self._fresh:
            return
        fresh, self._fresh = self._fresh, []
        now = time.monotonic()
        for row in fresh:
            self._since.append(now)
            at_hand = len(self._queue) < _AT_HAND or not row.n
            self._queue.append(row if at_hand else replace(row, message=None))
            self._counts[row.key] += 1
            self._last[row.key] = self._first + len(self._queue) - 1
        if self._told == self._first + len(self._queue) - len(fresh):
            self._tell(fresh)
        self._idle.clear()
        self._wake.set()
        self._measure()

    def _tell(self, rows: Sequence[Row]) -> None:
        """Publish the next events. One that can't be published now is told when it is handed over."""
        for row in rows:
            if self._tells and (row.message is None or not self._published(row.message)):
                break
            self._told += 1
        self._wake_waiters()

    def _published(self, message: OutboxMessage) -> bool:
        try:
            self._transport.send(message.subject, message.body, message.headers)
        except NotConnected:
            return False
        except TransportError as error:
            log.debug("outbox: %s is not told: %s", message.subject, error)
        return True

    def _lost(self) -> None:
        """Count all events as not told: those that the lost connection carried may have reached nobody."""
        if self._tells:
            self._told = self._first

    def _back(self) -> None:
        """Publish the events in memory again; the others are told when they are handed over."""
        self._tell(list(itertools.islice(self._queue, self._told - self._first, _AT_HAND)))
        self._regained.set()

    def sent(self, key: str) -> asyncio.Future[None] | None:
        """A future that is done when all events of the key so far are told; None if they are.

        A command that is answered after it is answered behind its events: a reader who has the answer finds them. While
        storing fails, it is done after a second at most; while storing is slow, after three.
        """
        last = self._last.get(key, -1)
        if last < self._told or self._failing:
            return None
        waiting: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((last, waiting))
        self._wake_later(waiting)
        return waiting

    def _wake_waiters(self) -> None:
        """Wake the waiters whose events are told; all of them while storing fails."""
        if not self._waiting:
            return
        for last, waiting in self._waiting:
            if (last < self._told or self._failing) and not waiting.done():
                waiting.set_result(None)
        self._waiting = [(last, waiting) for last, waiting in self._waiting if not waiting.done()]

    def _wake_later(self, waiting: asyncio.Future[None]) -> None:
        timer = asyncio.get_running_loop().call_later(_PATIENCE_S, self._out_of_patience, waiting)
        waiting.add_done_callback(lambda _: timer.cancel())

    def _out_of_patience(self, waiting: asyncio.Future[None]) -> None:
        """Wake a waiter after `_PATIENCE_S`, but not without a connection: no answer could be sent then."""
        if self._transport.connected:
            waiting.set_result(None)
        else:
            self._wake_later(waiting)

    def waits(self, key: str) -> bool:
        """Whether events of the key are not stored yet."""
        return key in self._counts

    async def flush(self, timeout_s: float) -> bool:
        """Wait until all events are stored, for `timeout_s` at most; whether they are."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                await self._idle.wait()
        self._forget()
        return not self._queue

    async def _run(self) -> None:
        attempt = 0
        while True:
            if not self._queue:
                self._wake.clear()
                self._idle.set()
                await self._wake.wait()
            rows = self._next_rows()
            try:
                await self._hand_over(rows)
                attempt = 0
            except Exception as error:  # of any kind: the events behind it must still be stored
                await self._pause(rows[0], error, attempt)
                attempt += 1

    def _next_rows(self) -> list[Row]:
        """The oldest rows: as many as may go at once, and at least one."""
        rows: list[Row] = []
        size = 0
        for row in itertools.islice(self._queue, MOST_EVENTS):
            size += row.size
            if rows and size > _BYTES_AT_ONCE:
                break
            rows.append(row)
        return rows

    async def _hand_over(self, rows: Sequence[Row]) -> None:
        """Have events stored. Drop those that are lost or can never be stored: they would block all behind them."""
        read = [replace(row, message=self._readable(row)) for row in rows]
        self._tell([row for row in read[max(0, self._told - self._first) :] if row.message is not None])
        messages = [(row.key, row.message) for row in read if row.message is not None]
        refused = await self._deliver(messages) if messages else {}
        for identifier, reason in refused.items():
            log.error("outbox: event %s is dropped: %s", identifier, reason)
        self._failing = False
        self._finish(len(rows))

    def _readable(self, row: Row) -> OutboxMessage | None:
        """The message of a row; None (logged) if it is lost. Raises sqlite3.Error."""
        try:
            return self._table.read(row)
        except LostRow as error:
            log.error("outbox: an event of %s (%d bytes) is dropped: %s", row.key, row.size, error)
            return None

    def _finish(self, count: int) -> None:
        """Remove the first `count` events from the queue: they are stored or dropped."""
        for _ in range(count):
            row = self._queue.popleft()
            self._since.popleft()
            if row.n:
                self._done.append(row.n)
            self.size -= row.size
            self._counts[row.key] -= 1
            if not self._counts[row.key]:
                del self._counts[row.key], self._last[row.key]
        self._first += count
        self._told = max(self._told, self._first)
        self._wake_waiters()
        self._measure()

    def _oldest_s(self) -> float:
        return time.monotonic() - self._since[0] if self._since else 0.0

    def _measure(self) -> None:
        metrics.OUTBOX_DEPTH.set(len(self._queue))
        metrics.OUTBOX_BYTES.set(self.size)

    async def _pause(self, row: Row, error: Exception, attempt: int) -> None:
        """Wait before the next attempt; a new connection ends the wait."""
        metrics.OUTBOX_RETRIES.inc()
        away = isinstance(error, NotConnected | NoResponders) or not self._transport.connected
        if not isinstance(error, TransportError | SeawayError | sqlite3.Error):
            log.error("outbox: events of %s and behind it can't be stored: %r; trying again", row.key, error)
        elif attempt == 0 and not away:
            log.warning("outbox: events of %s and behind it can't be stored: %s; trying again", row.key, error)
        if attempt >= _FAILING_AFTER and self._transport.connected:
            self._failing = True
            self._wake_waiters()
        self._regained.clear()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_RETRY_S[min(attempt, len(_RETRY_S) - 1)]):
                await self._regained.wait()

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(_SWEEP_S)
            self._forget()

    def _forget(self) -> None:
        """Delete the rows of stored events in one transaction; try later if the disk has no room for that."""
        if self._done and not self._table.db.in_transaction:
            try:
                self._table.remove(self._done)
            except sqlite3.Error as error:
                log.debug("outbox: what is stored is deleted later: %s", error)
            else:
                self._done = []
