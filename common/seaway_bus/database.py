"""SQLite files that know the version of their form (`user_version`), and how an earlier form becomes this one."""

import contextlib
import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from seaway_contracts.errors import written_later

Step = Callable[[sqlite3.Connection], None]


@dataclass(frozen=True)
class Schema:
    """`tables`: statements that make what is missing, and change nothing that is there.

    `steps[0]` makes version 2 of version 1, and so on: one for each version in which an earlier release would misread
    the file. It must not commit.
    """

    tables: tuple[str, ...]
    steps: tuple[Step, ...] = ()

    @property
    def version(self) -> int:
        """What this release writes."""
        return len(self.steps) + 1

    def bring(self, db: sqlite3.Connection, path: Path) -> None:
        """Bring a database that was just opened to this form, each step wholly or not at all.

        Writes nothing where there is nothing to do, as that needs room on the disk. Raises sqlite3.Error; SeawayError,
        with nothing changed, for one of a later release.
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
    """All writes inside, or none."""
    db.execute("BEGIN IMMEDIATE")
    try:
        yield
        db.execute("COMMIT")
    except BaseException:
        if db.in_transaction:
            db.execute("ROLLBACK")
        raise
