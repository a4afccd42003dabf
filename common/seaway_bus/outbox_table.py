"""The outbox's table in SQLite: events that the stream doesn't have yet, and how many bytes they are.

It stands in the agent's own database, so that an event and what it tells of are one transaction, or, where a
service has nothing else to remember, in a database of its own (`open_outbox`).
"""

import logging
import os
import sqlite3
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import orjson

from seaway_bus.database import Schema, transaction
from seaway_bus.transport import wire_size
from seaway_contracts.lifecycle import MSG_ID

log = logging.getLogger(__name__)
_LEAST_ROOM: Final = 1 << 20
TABLE: Final = """
CREATE TABLE IF NOT EXISTS outbox (
    n INTEGER PRIMARY KEY AUTOINCREMENT,
    key TEXT NOT NULL, subject TEXT NOT NULL, headers BLOB NOT NULL, body BLOB NOT NULL
)
"""
SCHEMA: Final = Schema((TABLE,))
"""Of a database for an outbox alone. The agent's has the same table: what changes it is a step there too."""


def open_outbox(path: Path) -> sqlite3.Connection:
    """A database for an outbox alone, which a kill of the process doesn't harm.

    Where its disk is full it is in memory for this life: to be there is more than to remember. Raises SeawayError for
    one of a later release; OSError, sqlite3.Error for a disk that is broken otherwise.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        return _opened(path)
    except (OSError, sqlite3.Error) as error:
        if os.statvfs(next(part for part in path.parents if part.exists())).f_bavail * 4096 > _LEAST_ROOM:
            raise
        log.error("%s can't be opened: %s; events are kept in memory only: free space on its disk", path, error)
        return _opened(Path(":memory:"))


def _opened(path: Path) -> sqlite3.Connection:
    db = sqlite3.connect(path)
    try:
        SCHEMA.bring(db, path)
    except BaseException:
        db.close()
        raise
    return db


@dataclass(frozen=True, slots=True)
class OutboxMessage:
    """One event as it is sent."""

    subject: str
    headers: dict[str, str]
    body: bytes

    @property
    def id(self) -> str:
        """The message id."""
        return self.headers.get(MSG_ID, "")

    @property
    def size(self) -> int:
        """What it counts against the server's limit, in bytes."""
        return wire_size(self.body, self.headers)


@dataclass(frozen=True, slots=True)
class Row:
    """An event that waits. `size` in bytes; `message` is read when its time comes, unless it is at hand.

    `n` is 0 for one that could not be written down.
    """

    n: int
    key: str
    size: int
    message: OutboxMessage | None = None


class LostRow(Exception):
    """A row is gone, or no event any more."""


class OutboxTable:
    """Rows in the order of their numbers."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self.db = db
        db.execute(TABLE)

    def add(self, key: str, message: OutboxMessage) -> Row:
        """Write one, in the caller's transaction."""
        headers = orjson.dumps(message.headers)
        number = self.db.execute(
            "INSERT INTO outbox (key, subject, headers, body) VALUES (?, ?, ?, ?)",
            (key, message.subject, headers, message.body),
        ).lastrowid
        return Row(number or 0, key, len(message.subject) + len(headers) + len(message.body), message)

    def add_alone(self, key: str, message: OutboxMessage) -> Row:
        """Write one in a transaction of its own, or only keep it in memory where the disk takes nothing."""
        try:
            with transaction(self.db):
                return self.add(key, message)
        except sqlite3.Error as error:
            log.error("outbox: %s is kept in memory only: %s", message.subject, error)
            return Row(0, key, len(message.subject) + len(message.body), message)

    def rows(self) -> Iterator[Row]:
        """All, without what is in them."""
        asked = "SELECT n, key, length(subject) + length(headers) + length(body) FROM outbox ORDER BY n"
        for n, key, size in self.db.execute(asked).fetchall():
            yield Row(n, key, size)

    def read(self, row: Row) -> OutboxMessage:
        """What is in a row. Raises LostRow; sqlite3.Error where the disk can't be read just now."""
        if row.message is not None:
            return row.message
        found = self.db.execute("SELECT subject, headers, body FROM outbox WHERE n = ?", (row.n,)).fetchone()
        if found is None:
            raise LostRow(f"row {row.n} isn't there")
        try:
            return OutboxMessage(found[0], orjson.loads(found[1]), found[2])
        except ValueError as error:
            raise LostRow(f"row {row.n} can't be read: {error}") from error

    def remove(self, numbers: Iterable[int]) -> None:
        """Delete rows, in one transaction of their own. Raises sqlite3.Error with none deleted."""
        with transaction(self.db):
            self.db.executemany("DELETE FROM outbox WHERE n = ?", ((n,) for n in numbers))
