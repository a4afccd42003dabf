"""The outbox's table in SQLite: events that the stream doesn't have yet, with their sizes.

The agent has it in its own database, so that an event and the state that it reports are one transaction. A service that
stores nothing else has it in a database of its own (`open_outbox`).
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
"""The schema of a database for an outbox alone. A change of the table is a step in the agent's schema too."""


def open_outbox(path: Path) -> sqlite3.Connection:
    """A database for an outbox alone; a kill of the process does not harm it.

    On a full disk it is in memory until the process ends, as the service must run even so. Raises SeawayError for a
    file of a later release; OSError, sqlite3.Error if the disk fails otherwise.
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
        SCHEMA.upgrade(db, path)
    except BaseException:
        db.close()
        raise
    return db


@dataclass(frozen=True, slots=True)
class OutboxMessage:
    """An event as it is sent."""

    subject: str
    headers: dict[str, str]
    body: bytes

    @property
    def id(self) -> str:
        """The message id."""
        return self.headers.get(MSG_ID, "")

    @property
    def size(self) -> int:
        """How many bytes count against the server's limit."""
        return wire_size(self.body, self.headers)


@dataclass(frozen=True, slots=True)
class Row:
    """An event that waits. `size` in bytes; `message` is None until it is read from the table.

    `n` is 0 for an event that could not be written to disk.
    """

    n: int
    key: str
    size: int
    message: OutboxMessage | None = None


class LostRow(Exception):
    """A row is gone, or holds no event."""


class OutboxTable:
    """Rows in the order of their numbers."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self.db = db
        db.execute(TABLE)

    def add(self, key: str, message: OutboxMessage) -> Row:
        """Write an event in the caller's transaction."""
        headers = orjson.dumps(message.headers)
        number = self.db.execute(
            "INSERT INTO outbox (key, subject, headers, body) VALUES (?, ?, ?, ?)",
            (key, message.subject, headers, message.body),
        ).lastrowid
        return Row(number or 0, key, len(message.subject) + len(headers) + len(message.body), message)

    def add_alone(self, key: str, message: OutboxMessage) -> Row:
        """Write an event in a transaction of its own; keep it in memory only if the disk refuses it."""
        try:
            with transaction(self.db):
                return self.add(key, message)
        except sqlite3.Error as error:
            log.error("outbox: %s is kept in memory only: %s", message.subject, error)
            return Row(0, key, len(message.subject) + len(message.body), message)

    def rows(self) -> Iterator[Row]:
        """All rows, without their messages."""
        asked = "SELECT n, key, length(subject) + length(headers) + length(body) FROM outbox ORDER BY n"
        for n, key, size in self.db.execute(asked).fetchall():
            yield Row(n, key, size)

    def read(self, row: Row) -> OutboxMessage:
        """The message of a row. Raises LostRow; sqlite3.Error if the disk can't be read now."""
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
        """Delete rows in one transaction. Raises sqlite3.Error and then deletes none."""
        with transaction(self.db):
            self.db.executemany("DELETE FROM outbox WHERE n = ?", ((n,) for n in numbers))
