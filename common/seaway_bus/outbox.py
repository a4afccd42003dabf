"""Events on their way to the stream, kept in SQLite until the stream has them.

An event is added in the same transaction as the state that it tells of, so that neither stands without
the other after a kill. Events of one key (a container) go in order; keys go side by side. What has come
together of one key goes in a row, where the stream takes each only directly behind the one before it
(not on a cluster).
Written without fsync: a kill of the process loses nothing; after a power cut the agent works out anew
what its containers' ends were (the boot id has changed).

What waits is bounded. From half of the bound on, events that the catalogue calls lossy are left out. At the bound the
outbox is `full`: its owner then takes no new work, and goes on to write down what happens to the work that it has.

What the stream may have stored unacknowledged is sent again under the same id, which the stream drops as long as it
remembers ids; after that the outbox looks there first.
"""

import asyncio
import contextlib
import itertools
import logging
import sqlite3
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from seaway_bus import metrics
from seaway_bus.outbox_doubt import stored_first
from seaway_bus.outbox_table import Letter, LostRow, OutboxTable, Row, open_outbox
from seaway_bus.transport import (
    NoResponders,
    NotConnected,
    OutOfTurn,
    RequestTimeout,
    TooLarge,
    Transport,
    TransportError,
)
from seaway_contracts.channels import EventChannel, M
from seaway_contracts.lifecycle import LAST_MSG_ID, Envelope
from seaway_kit.failpoints import Failpoint, reach
from seaway_kit.tasks import Tasks

__all__ = ["BOUND", "Outbox", "open_outbox"]

log = logging.getLogger(__name__)
BOUND: Final = 64 << 20
_AT_HAND: Final = 4096
_AT_ONCE: Final = 256
_IN_A_ROW: Final = 16
_RETRY_S: Final = (0.05, 0.1, 0.2, 0.5, 1.0)
_SWEEP_S: Final = 0.2
_HELD_UP: Final = 4  # attempts: about a second
_PATIENCE_S: Final = 3.0


class Outbox:
    """Publishes what is added, in order per key, until the stream has acknowledged it."""

    def __init__(self, db: sqlite3.Connection, transport: Transport, tasks: Tasks, bound: int = BOUND) -> None:
        """`bound`: how many bytes of events may wait."""
        self._table = OutboxTable(db)
        self._transport = transport
        self._tasks = tasks
        self.bound = bound
        self.size = 0
        """How many bytes of events wait."""
        self._queues: dict[str, deque[Row]] = {}
        self._fresh: list[Row] = []
        self._done: list[int] = []
        self._slots = asyncio.Semaphore(_AT_ONCE)
        self._sending: dict[str, int] = {}
        self._unsent: dict[str, list[tuple[int, asyncio.Future[None]]]] = {}
        self._doubt: dict[str, int] = {}
        self._depth = 0
        self._inherited = 0
        self._held_up = False
        self._started = False
        self._idle = asyncio.Event()
        self._idle.set()
        self._regained = asyncio.Event()
        transport.on_reconnect(self._regained.set)
        metrics.OUTBOX_BOUND.set(bound)

    def __len__(self) -> int:
        return self._depth

    @property
    def full(self) -> bool:
        """Whether no new work should be taken: what waits has reached the bound."""
        return self.size >= self.bound

    def start(self) -> None:
        """Begin to publish: first what an earlier life left, then what was added since."""
        self._started = True
        self._fresh = list(self._table.rows())
        self.size = sum(row.size for row in self._fresh)
        self._inherited = self._fresh[-1].n if self._fresh else 0
        self._tasks.eternal("outbox-sweep", self._sweep())
        self.kick()

    @property
    def largest(self) -> int:
        """The bytes of the largest event that the bus takes."""
        return self._transport.max_payload

    def add(self, channel: EventChannel[M], envelope: Envelope, body: M, key: str = "") -> int:
        """Put one event in; belongs in a transaction of the caller, who calls `kick` after the commit.

        Events of one `key` (by default the thing that the event is about) keep their order. Gives the event's size in
        bytes, 0 if it is left out: one that is larger than `largest` will not be told.
        """
        if self._left_out(channel):
            return 0
        row = self._table.add(key or envelope.subject_id, _letter(channel, envelope, body))
        self._take(row)
        return row.size

    def tell(self, channel: EventChannel[M], envelope: Envelope, body: M) -> None:
        """Publish an event that goes with no state of its own. Where the disk is full it is kept in memory only."""
        if not self._left_out(channel):
            self._take(self._table.add_alone(envelope.subject_id, _letter(channel, envelope, body)))
            self.kick()

    def _take(self, row: Row) -> None:
        self._fresh.append(row)
        self.size += row.size

    def _left_out(self, channel: EventChannel[M]) -> bool:
        if not channel.lossy or self.size * 2 < self.bound:
            return False
        metrics.OUTBOX_DROPPED.labels(f"{channel.noun}.{channel.action}").inc()
        return True

    def discard(self) -> None:
        """The caller's transaction was rolled back: forget what it added."""
        self.size -= sum(row.size for row in self._fresh)
        self._fresh.clear()

    def kick(self) -> None:
        """Publish what was added; before `start` it waits in its place behind older events."""
        if not self._started:
            return
        fresh, self._fresh = self._fresh, []
        begun: list[str] = []
        for row in fresh:
            self._depth += 1
            self._idle.clear()
            queue = self._queues.get(row.key)
            if queue is not None:
                at_hand = self._depth < _AT_HAND or not row.n
                queue.append(row if at_hand else replace(row, letter=None))
            else:
                self._queues[row.key] = deque((row,))
                begun.append(row.key)
        for key in begun:
            self._tasks.begin("outbox", self._drain(key))
        self._measure()

    def sent(self, key: str) -> asyncio.Future[None] | None:
        """A future for the moment when all that the key has now is on its way; None when it already is.

        Who answers a command after this answers behind the command's events: a reader who has the answer finds them.
        Where the server is there and can't store (its disk is full), nobody waits for that longer than a second; where
        it is only slow to (its disk is busy), three.
        """
        queue = self._queues.get(key)
        if queue is None or self._held_up or self._sending.get(key) == queue[-1].n:
            return None
        waiting: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._unsent.setdefault(key, []).append((queue[-1].n, waiting))
        self._let_go_later(waiting)
        return waiting

    def _let_go_later(self, waiting: asyncio.Future[None]) -> None:
        timer = asyncio.get_running_loop().call_later(_PATIENCE_S, self._let_go, waiting)
        waiting.add_done_callback(lambda _: timer.cancel())

    def _let_go(self, waiting: asyncio.Future[None]) -> None:
        """Without a connection no answer could go out either."""
        if self._transport.connected:
            waiting.set_result(None)
        else:
            self._let_go_later(waiting)

    def waits(self, key: str) -> bool:
        """Whether the stream lacks events of the key."""
        return key in self._queues

    async def flush(self, timeout_s: float) -> bool:
        """Wait until all is acknowledged, at most that long; whether it was."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                await self._idle.wait()
        self._forget()
        return not self._depth

    async def _drain(self, key: str) -> None:
        queue = self._queues[key]
        self._doubt[key] = self._inherited
        went_well = True
        while queue:
            async with self._slots:
                row = self._row(key, queue) if went_well else []
                if len(row) > 1:
                    went_well = await self._deliver_row(key, queue, row)
                else:
                    await self._deliver(key, queue)
                    went_well = True
        del self._queues[key], self._doubt[key]
        self._sending.pop(key, None)
        for _, waiting in self._unsent.pop(key, []):  # for what was there already
            if not waiting.done():
                waiting.set_result(None)
        self._measure()

    def _row(self, key: str, queue: deque[Row]) -> list[Letter]:
        """The first ones of a queue that are at hand, and that the stream has not got in any case.

        None on a cluster: what its leader has refused it goes on to take for a repeat, up to 2.12 at least.
        """
        if self._transport.clustered:
            return []
        first = itertools.islice(queue, _IN_A_ROW)
        fresh = itertools.takewhile(lambda row: row.letter is not None and row.n > self._doubt[key], first)
        return [row.letter for row in fresh if row.letter is not None]

    def _finish(self, queue: deque[Row]) -> None:
        """The first of a queue needs nothing more."""
        row = queue.popleft()
        if row.n:
            self._done.append(row.n)
        self._depth -= 1
        self.size -= row.size
        if not self._depth:
            self._idle.set()

    def _measure(self) -> None:
        metrics.OUTBOX_DEPTH.set(self._depth)
        metrics.OUTBOX_BYTES.set(self.size)

    def _note_sending(self, key: str, n: int) -> None:
        """The transport gets it in this very step, before anyone who waits for it goes on."""
        self._sending[key] = n
        waiting = self._unsent.pop(key, [])
        later = [(last, future) for last, future in waiting if last > n]
        if later:
            self._unsent[key] = later
        for last, future in waiting:
            if last <= n and not future.done():
                future.set_result(None)

    def _hold_up(self) -> None:
        """Events can't be stored just now: whoever waits to answer, whatever its key, is not to wait as well."""
        self._held_up = True
        waiting, self._unsent = self._unsent, {}
        for _, future in itertools.chain.from_iterable(waiting.values()):
            if not future.done():
                future.set_result(None)

    async def _deliver_row(self, key: str, queue: deque[Row], row: Sequence[Letter]) -> bool:
        """Whether the stream has taken all of a row; what it has is finished."""
        before, last = "", queue[len(row) - 1].n
        sending: list[asyncio.Task[Exception | None]] = []
        for letter in row:
            sending.append(self._tasks.begin("outbox-row", self._try(letter, before)))
            before = letter.id
        self._note_sending(key, last)
        failures = [await task for task in sending]
        # One that was taken was taken behind those before it, whatever has become of their answers.
        stored = max((place + 1 for place, failure in enumerate(failures) if failure is None), default=0)
        for _ in range(stored):
            self._finish(queue)
        if stored == len(row):
            return True
        metrics.OUTBOX_RETRIES.inc()
        self._sending.pop(key, None)
        if not all(isinstance(failure, OutOfTurn) for failure in failures[stored:]):
            self._doubt[key] = last
        return False

    async def _try(self, letter: Letter, before: str) -> Exception | None:
        """What is wrong, if it can't be stored behind the one `before` it."""
        try:
            await self._store(replace(letter, headers=letter.headers | {LAST_MSG_ID: before}) if before else letter)
        except Exception as error:
            return error
        return None

    async def _deliver(self, key: str, queue: deque[Row]) -> None:
        """The first of a queue, until the stream has it. One that can't be told at all would stop its key."""
        row, attempt, doubtful = queue[0], 0, False
        while True:
            try:
                if 0 < row.n <= self._doubt[key] and await self._has_been_stored(key, queue):
                    return
                letter = self._table.read(row)
                if not (doubtful and await stored_first(self._transport, [letter])):
                    self._note_sending(key, row.n)
                    await self._store(letter)
                break
            except (TooLarge, LostRow) as error:
                log.error("outbox: an event of %s (%d bytes) is dropped: %s", key, row.size, error)
                break
            except Exception as error:
                doubtful |= isinstance(error, RequestTimeout)
                self._note_failure(key, error, attempt)
                await self._pause(row, error, attempt)
                attempt += 1
        self._finish(queue)

    def _note_failure(self, key: str, error: Exception, attempt: int) -> None:
        """What was sent on a connection that is lost is not on its way any more."""
        if not self._transport.connected or isinstance(error, NotConnected):
            self._sending.pop(key, None)
        elif attempt >= _HELD_UP:
            self._hold_up()

    async def _pause(self, row: Row, error: Exception, attempt: int) -> None:
        """A moment, which a new connection ends. Whatever failed, the events behind it must come to be sent."""
        metrics.OUTBOX_RETRIES.inc()
        if not isinstance(error, TransportError):
            log.error("outbox: an event of %s can't be sent: %r; trying again", row.key, error)
        elif attempt == 0 and not isinstance(error, (NotConnected, NoResponders)):
            log.warning("outbox: an event of %s: %s; trying again", row.key, error)
        self._regained.clear()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_RETRY_S[min(attempt, len(_RETRY_S) - 1)]):
                await self._regained.wait()

    async def _store(self, letter: Letter) -> None:
        started = time.perf_counter()
        await self._transport.store(letter.subject, letter.body, letter.headers)
        self._held_up = False
        metrics.STORE_SECONDS.observe(time.perf_counter() - started)
        reach(Failpoint.EVENT_STORED)

    async def _has_been_stored(self, key: str, queue: deque[Row]) -> bool:
        """Whether the stream has the first of a queue, from an earlier life or unheard; what it has is finished."""
        doubtful = itertools.takewhile(lambda row: 0 < row.n <= self._doubt[key], tuple(queue))
        stored = await stored_first(self._transport, [self._readable(row) for row in doubtful])
        if stored is None:
            return False
        self._doubt[key] = 0
        for _ in range(stored):
            self._finish(queue)
        return stored > 0

    def _readable(self, row: Row) -> Letter | None:
        with contextlib.suppress(LostRow):
            return self._table.read(row)
        return None

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(_SWEEP_S)
            self._forget()

    def _forget(self) -> None:
        """Delete acknowledged rows, many in one transaction; later, where the disk has no room even for that."""
        if self._done and not self._table.db.in_transaction:
            try:
                self._table.remove(self._done)
            except sqlite3.Error as error:
                log.debug("outbox: what the stream has is deleted later: %s", error)
            else:
                self._done = []


def _letter(channel: EventChannel[M], envelope: Envelope, body: M) -> Letter:
    return Letter(channel.subject(envelope.node, envelope.subject_id), envelope.headers(), channel.encode(body))
