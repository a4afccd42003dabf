"""Events on their way to the stream, kept in SQLite until the stream has them.

An event is added in the same transaction as the state that it tells of, so that neither stands without
the other after a kill. Events of one key (a container) go one at a time, in order; keys go side by side.
Written without fsync: a kill of the process loses nothing; after a power cut the agent works out anew
what its containers' ends were (the boot id has changed).
"""

import asyncio
import contextlib
import logging
import sqlite3
import time
from collections import deque
from typing import Final

import orjson

from seaway_bus import metrics
from seaway_bus.transport import NoResponders, NotConnected, TooLarge, Transport, TransportError
from seaway_contracts.channels import EventChannel, M
from seaway_contracts.lifecycle import Envelope
from seaway_kit.failpoints import Failpoint, reach
from seaway_kit.tasks import Tasks

log = logging.getLogger(__name__)
_AT_ONCE: Final = 256
_RETRY_S: Final = (0.05, 0.1, 0.2, 0.5, 1.0)
_SWEEP_S: Final = 0.2
SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS outbox (
    n INTEGER PRIMARY KEY AUTOINCREMENT,
    key TEXT NOT NULL, subject TEXT NOT NULL, headers BLOB NOT NULL, body BLOB NOT NULL
)
"""

_Item = tuple[int, str, dict[str, str], bytes]


class Outbox:
    """Publishes what is added, in order per key, until the stream has acknowledged it."""

    def __init__(self, db: sqlite3.Connection, transport: Transport, tasks: Tasks) -> None:
        self._db = db
        self._transport = transport
        self._tasks = tasks
        self._queues: dict[str, deque[_Item]] = {}
        self._fresh: list[tuple[str, _Item]] = []
        self._done: list[int] = []
        self._slots = asyncio.Semaphore(_AT_ONCE)
        self._sending: dict[str, int] = {}
        self._unsent: dict[str, list[tuple[int, asyncio.Future[None]]]] = {}
        self._depth = 0
        self._started = False
        self._idle = asyncio.Event()
        self._idle.set()
        db.execute(SCHEMA)

    def __len__(self) -> int:
        return self._depth

    def start(self) -> None:
        """Begin to publish: first what an earlier life left, then what was added since."""
        self._started = True
        self._fresh.clear()
        rows = self._db.execute("SELECT n, key, subject, headers, body FROM outbox ORDER BY n").fetchall()
        for n, key, subject, headers, body in rows:
            self._fresh.append((key, (n, subject, orjson.loads(headers), body)))
        self._tasks.eternal("outbox-sweep", self._sweep())
        self.kick()

    def add(self, channel: EventChannel[M], envelope: Envelope, body: M, key: str = "") -> None:
        """Put one event in; belongs in a transaction of the caller, who calls `kick` after the commit.

        Events of one `key` (by default the thing that the event is about) keep their order.
        """
        data = channel.encode(body)
        headers = envelope.headers()
        subject = channel.subject(envelope.node, envelope.subject_id)
        key = key or envelope.subject_id
        n = self._db.execute(
            "INSERT INTO outbox (key, subject, headers, body) VALUES (?, ?, ?, ?)",
            (key, subject, orjson.dumps(headers), data),
        ).lastrowid
        self._fresh.append((key, (n or 0, subject, headers, data)))

    def discard(self) -> None:
        """The caller's transaction was rolled back: forget what it added."""
        self._fresh.clear()

    def kick(self) -> None:
        """Publish what was added; before `start` it waits in its place behind older events."""
        if not self._started:
            return
        fresh, self._fresh = self._fresh, []
        for key, item in fresh:
            self._depth += 1
            self._idle.clear()
            queue = self._queues.get(key)
            if queue is not None:
                queue.append(item)
            else:
                self._queues[key] = deque((item,))
                self._tasks.spawn("outbox", self._drain(key))
        metrics.OUTBOX_DEPTH.set(self._depth)

    def sent(self, key: str) -> asyncio.Future[None] | None:
        """A future for the moment when all that the key has now is on its way; None when it already is.

        Who answers a command after this answers behind the command's events: a reader who has the answer finds them.
        """
        queue = self._queues.get(key)
        if queue is None or self._sending.get(key) == queue[-1][0]:
            return None
        waiting: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._unsent.setdefault(key, []).append((queue[-1][0], waiting))
        return waiting

    async def flush(self, timeout_s: float) -> bool:
        """Wait until all is acknowledged, at most that long; whether it was."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._idle.wait(), timeout_s)
        self._forget()
        return not self._depth

    async def _drain(self, key: str) -> None:
        queue = self._queues[key]
        while queue:
            async with self._slots:
                self._note_sending(key, queue[0][0])
                await self._publish(queue[0])
            self._done.append(queue.popleft()[0])
            self._depth -= 1
            if not self._depth:
                self._idle.set()
        del self._queues[key]
        self._sending.pop(key, None)
        metrics.OUTBOX_DEPTH.set(self._depth)

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

    async def _publish(self, item: _Item) -> None:
        """Until the stream has it; the message id makes a repeat harmless. One too large would stop its key."""
        _, subject, headers, body = item
        attempt = 0
        while True:
            started = time.perf_counter()
            try:
                await self._transport.store(subject, body, headers)
            except TooLarge:
                log.error("outbox: %s: dropped, as %d bytes are too much for the bus", subject, len(body))
                return
            except TransportError as error:
                metrics.OUTBOX_RETRIES.inc()
                if attempt == 0 and not isinstance(error, (NotConnected, NoResponders)):
                    log.warning("outbox: %s: %s; trying again", subject, error)
                await asyncio.sleep(_RETRY_S[min(attempt, len(_RETRY_S) - 1)])
                attempt += 1
            else:
                metrics.STORE_SECONDS.observe(time.perf_counter() - started)
                reach(Failpoint.EVENT_STORED)
                return

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(_SWEEP_S)
            self._forget()

    def _forget(self) -> None:
        """Delete acknowledged rows, many in one transaction."""
        if self._done and not self._db.in_transaction:
            done, self._done = self._done, []
            with self._db:
                self._db.executemany("DELETE FROM outbox WHERE n = ?", ((n,) for n in done))
