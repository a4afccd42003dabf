"""SQLite files with a schema version (`user_version`), and the upgrade from earlier versions."""

import contextlib
import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from seaway_contracts.errors import written_later

Step = Callable[[sqlite3.Connection], None]


@dataclass(frozen=True)
class Schema:
    """`tables`: statements that make missing tables and change no others.

    `steps[0]` makes version 2 of version 1, and so on: one step for each version whose file an earlier release would
    misread. A step must not commit.
    """

    tables: tuple[str, ...]
    steps: tuple[Step, ...] = ()

    @property
    def version(self) -> int:
        """The version that this release writes."""
        return len(self.steps) + 1

    def upgrade(self, db: sqlite3.Connection, path: Path) -> None:
        """Upgrade a database that was just opened to this schema, each step completely or not at all.

        If there is nothing to do it writes nothing, as that needs room on the disk. Raises sqlite3.Error; SeawayError,
        with nothing changed, for a file of a later release.
        """
        found = int(db.execute("PRAGMA user_version").fetchone()[0])
        if found > self.version:
            raise written_later(path, found, self.version)
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = NORMAL")
        if not found:
            with transaction(db):
                self._make(db)
                _mark(db, self.version)
            return
        for version in range(found, self.version):
            with transaction(db):
                self.steps[version - 1](db)
                _mark(db, version + 1)
        self._make(db)

    def _make(self, db: sqlite3.Connection) -> None:
        for statement in self.tables:
            db.execute(statement)


def _mark(db: sqlite3.Connection, version: int) -> None:
    db.execute(f"PRAGMA user_version = {version}")


@contextlib.contextmanager
def transaction(db: sqlite3.Connection) -> Iterator[None]:
    """Run the block as one transaction."""
    db.execute("BEGIN IMMEDIATE")
    try:
        yield
        db.execute("COMMIT")
    except BaseException:
        if db.in_transaction:
            db.execute("ROLLBACK")
        raise
