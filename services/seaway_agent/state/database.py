"""The agent's database: SQLite with the spec and status of each container, the networks of users, and the outbox.

One transaction writes a status and the events that report it, so a kill leaves both or none. WAL without fsync at
commit: the page cache survives a kill of the process.
"""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pydantic import TypeAdapter

from seaway_agent.core.instructions import PendingDisconnect, PendingStop
from seaway_bus.database import Schema, transaction
from seaway_bus.outbox_table import TABLE
from seaway_contracts.containers import ContainerSpec, ContainerStatus
from seaway_contracts.execs import ExecInfo
from seaway_contracts.networks import NetworkRecord

SCHEMA: Final = Schema(
    (
        TABLE,
        """
        CREATE TABLE IF NOT EXISTS container (
            id TEXT PRIMARY KEY, spec BLOB NOT NULL, status BLOB NOT NULL, lowers TEXT NOT NULL DEFAULT ''
        ) WITHOUT ROWID
        """,
        """
        CREATE TABLE IF NOT EXISTS exec (
            id TEXT PRIMARY KEY, container TEXT NOT NULL, info BLOB NOT NULL
        ) WITHOUT ROWID
        """,
        """
        CREATE TABLE IF NOT EXISTS outcome (
            n INTEGER PRIMARY KEY, command TEXT NOT NULL UNIQUE, status BLOB NOT NULL
        )
        """,
        "CREATE TABLE IF NOT EXISTS ending (container TEXT PRIMARY KEY, what BLOB NOT NULL) WITHOUT ROWID",
        "CREATE TABLE IF NOT EXISTS network (id TEXT PRIMARY KEY, record BLOB NOT NULL) WITHOUT ROWID",
        """
        CREATE TABLE IF NOT EXISTS removed_network (
            n INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, version INTEGER NOT NULL
        )
        """,
        "CREATE TABLE IF NOT EXISTS removed_volume (n INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE)",
        "CREATE TABLE IF NOT EXISTS disconnect (container TEXT PRIMARY KEY, what BLOB NOT NULL) WITHOUT ROWID",
        "CREATE TABLE IF NOT EXISTS fact (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID",
    )
)
_OUTCOMES: Final = 4096
REMOVED_NETWORKS: Final = 4096
"""So many removed networks are remembered."""
REMOVED_VOLUMES: Final = 4096
"""So many removed volumes are remembered."""
_PENDING_STOPS: Final = TypeAdapter(PendingStop)
_PENDING_DISCONNECTS: Final = TypeAdapter(PendingDisconnect)


@dataclass(frozen=True)
class StoredContainer:
    """A container as it is stored. `lowers`: its layers' directories, topmost first."""

    spec: ContainerSpec
    status: ContainerStatus
    lowers: tuple[str, ...]


def open_database(path: Path) -> sqlite3.Connection:
    """Open or create the database. Raises sqlite3.Error, OSError; SeawayError for one of a later release."""
    # SQLite gives the files beside it the same mode.
    os.close(os.open(path, os.O_RDONLY | os.O_CREAT | os.O_CLOEXEC, 0o600))
    db = sqlite3.connect(path, isolation_level=None)
    try:
        SCHEMA.upgrade(db, path)
        db.execute("PRAGMA wal_autocheckpoint = 4000")
    except BaseException:
        db.close()
        raise
    return db


class Store:
    """Reads and writes of the agent's database. Write within a transaction."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self.db = db

    def transaction(self) -> AbstractContextManager[None]:
        """Commit all writes inside, or none."""
        return transaction(self.db)

    def containers(self) -> Iterator[StoredContainer]:
        """All containers of this node."""
        for spec, status, lowers in self.db.execute("SELECT spec, status, lowers FROM container").fetchall():
            yield StoredContainer(
                ContainerSpec.model_validate_json(spec),
                ContainerStatus.model_validate_json(status),
                tuple(filter(None, lowers.split("\n"))),
            )

    def add(self, spec: ContainerSpec, status: ContainerStatus, lowers: tuple[str, ...]) -> None:
        """Insert a new container."""
        row = (spec.id, _json(spec), _json(status), "\n".join(lowers))
        self.db.execute("INSERT INTO container (id, spec, status, lowers) VALUES (?, ?, ?, ?)", row)

    def set_status(self, container: str, status: ContainerStatus) -> None:
        """Update a container's status."""
        self.db.execute("UPDATE container SET status = ? WHERE id = ?", (_json(status), container))

    def set_spec(self, spec: ContainerSpec) -> None:
        """Update a container's spec."""
        self.db.execute("UPDATE container SET spec = ? WHERE id = ?", (_json(spec), spec.id))

    def remove(self, container: str) -> None:
        """Delete a container with its execs and its pending disconnect."""
        self.db.execute("DELETE FROM container WHERE id = ?", (container,))
        self.db.execute("DELETE FROM disconnect WHERE container = ?", (container,))
        self.db.execute("DELETE FROM exec WHERE container = ?", (container,))

    def execs(self) -> dict[str, list[ExecInfo]]:
        """All stored execs, by container."""
        found: dict[str, list[ExecInfo]] = {}
        for container, info in self.db.execute("SELECT container, info FROM exec").fetchall():
            found.setdefault(container, []).append(ExecInfo.model_validate_json(info))
        return found

    def put_exec(self, info: ExecInfo) -> None:
        """Insert or update an exec."""
        row = (info.spec.id, info.container, info.model_dump_json(exclude_defaults=True).encode())
        self.db.execute("INSERT OR REPLACE INTO exec (id, container, info) VALUES (?, ?, ?)", row)

    def delete_exec(self, identifier: str) -> None:
        """Delete an exec."""
        self.db.execute("DELETE FROM exec WHERE id = ?", (identifier,))

    def outcome(self, command: str) -> ContainerStatus | None:
        """The answer to a command, if it is one of the last 4096; otherwise None."""
        row = self.db.execute("SELECT status FROM outcome WHERE command = ?", (command,)).fetchone()
        return ContainerStatus.model_validate_json(row[0]) if row else None

    def put_outcome(self, command: str, status: ContainerStatus) -> None:
        """Store the answer to a command: a repeat gets the same, also from the next agent."""
        row = (command, _json(status))
        number = self.db.execute("INSERT OR REPLACE INTO outcome (command, status) VALUES (?, ?)", row).lastrowid or 0
        self.db.execute("DELETE FROM outcome WHERE n <= ?", (number - _OUTCOMES,))

    def pending_stops(self) -> dict[str, PendingStop]:
        """The pending stops, by container."""
        rows = self.db.execute("SELECT container, what FROM ending").fetchall()
        return {container: _PENDING_STOPS.validate_json(what) for container, what in rows}

    def put_pending_stop(self, container: str, what: PendingStop | None) -> None:
        """Store a container's pending stop, or delete it with None."""
        if what is None:
            self.db.execute("DELETE FROM ending WHERE container = ?", (container,))
        else:
            row = (container, _PENDING_STOPS.dump_json(what, exclude_defaults=True))
            self.db.execute("INSERT OR REPLACE INTO ending (container, what) VALUES (?, ?)", row)

    def networks(self) -> dict[str, NetworkRecord]:
        """The networks of users on this node, by id."""
        rows = self.db.execute("SELECT id, record FROM network").fetchall()
        return {identifier: NetworkRecord.model_validate_json(record) for identifier, record in rows}

    def put_network(self, record: NetworkRecord) -> None:
        """Insert or update a network of users."""
        self.db.execute("INSERT OR REPLACE INTO network (id, record) VALUES (?, ?)", (record.id, _json(record)))

    def remove_network(self, identifier: str, version: int) -> None:
        """Delete a network of users, and remember that it was removed, and at which version of its record."""
        self.db.execute("DELETE FROM network WHERE id = ?", (identifier,))
        insert = "INSERT OR REPLACE INTO removed_network (id, version) VALUES (?, ?)"
        number = self.db.execute(insert, (identifier, version)).lastrowid or 0
        self.db.execute("DELETE FROM removed_network WHERE n <= ?", (number - REMOVED_NETWORKS,))

    def removed_networks(self) -> dict[str, int]:
        """The last networks that were removed, with the versions of their records, the oldest first."""
        return dict(self.db.execute("SELECT id, version FROM removed_network ORDER BY n").fetchall())

    def remove_volume(self, identifier: str) -> None:
        """Remember that a volume was removed."""
        insert = "INSERT OR REPLACE INTO removed_volume (id) VALUES (?)"
        number = self.db.execute(insert, (identifier,)).lastrowid or 0
        self.db.execute("DELETE FROM removed_volume WHERE n <= ?", (number - REMOVED_VOLUMES,))

    def removed_volumes(self) -> list[str]:
        """The ids of the last volumes that were removed, the oldest first."""
        return [identifier for (identifier,) in self.db.execute("SELECT id FROM removed_volume ORDER BY n")]

    def pending_disconnects(self) -> dict[str, PendingDisconnect]:
        """The disconnects that were begun, by container."""
        rows = self.db.execute("SELECT container, what FROM disconnect").fetchall()
        return {container: _PENDING_DISCONNECTS.validate_json(what) for container, what in rows}

    def put_pending_disconnect(self, container: str, what: PendingDisconnect | None) -> None:
        """Store a container's disconnect that begins, or delete it with None."""
        if what is None:
            self.db.execute("DELETE FROM disconnect WHERE container = ?", (container,))
        else:
            row = (container, _PENDING_DISCONNECTS.dump_json(what))
            self.db.execute("INSERT OR REPLACE INTO disconnect (container, what) VALUES (?, ?)", row)

    def fact(self, name: str) -> str:
        """A stored fact about the node; empty if there is none."""
        row = self.db.execute("SELECT value FROM fact WHERE name = ?", (name,)).fetchone()
        return str(row[0]) if row else ""

    def put_fact(self, name: str, value: str) -> None:
        """Store a fact about the node."""
        self.db.execute("INSERT OR REPLACE INTO fact (name, value) VALUES (?, ?)", (name, value))


def _json(payload: ContainerSpec | ContainerStatus | NetworkRecord) -> bytes:
    return payload.model_dump_json(exclude_defaults=True).encode()
