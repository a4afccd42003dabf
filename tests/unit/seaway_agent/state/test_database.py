"""The agent's memory on a real SQLite file."""

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from seaway_agent.core.instructions import PendingStop, Waiter
from seaway_agent.state.database import SCHEMA, Store, StoredContainer, open_database
from seaway_contracts.containers import State
from seaway_contracts.errors import SeawayError
from seaway_testing import builders


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    db = open_database(tmp_path / "agent.db")
    yield Store(db)
    db.close()


def test_what_is_added_is_found_after_a_restart(tmp_path: Path) -> None:
    first = Store(open_database(tmp_path / "agent.db"))
    spec, status = builders.spec(1, labels={"a": "b"}), builders.status(seq=1)
    first.add(spec, status, ("/l/top", "/l/bottom"))
    first.db.close()
    second = Store(open_database(tmp_path / "agent.db"))
    assert list(second.containers()) == [StoredContainer(spec, status, ("/l/top", "/l/bottom"))]
    second.db.close()


def test_the_last_status_counts(store: Store) -> None:
    spec = builders.spec(1)
    store.add(spec, builders.status(seq=1), ())
    store.set_status(spec.id, builders.status(State.RUNNING, seq=2, pid=7))
    (found,) = store.containers()
    assert (found.status, found.lowers) == (builders.status(State.RUNNING, seq=2, pid=7), ())


def test_removed_is_gone_and_others_stay(store: Store) -> None:
    for seed in (1, 2):
        store.add(builders.spec(seed), builders.status(), ())
    store.remove(builders.container_id(1))
    assert [found.spec.name for found in store.containers()] == ["box2"]


def test_an_id_stands_for_one_container(store: Store) -> None:
    store.add(builders.spec(1), builders.status(), ())
    with pytest.raises(sqlite3.IntegrityError):
        store.add(builders.spec(1), builders.status(), ())


def test_facts(store: Store) -> None:
    assert store.fact("boot") == ""
    store.put_fact("boot", "one")
    store.put_fact("boot", "two")
    assert store.fact("boot") == "two"


def test_a_database_of_a_later_release_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "agent.db"
    db = open_database(path)
    db.execute(f"PRAGMA user_version = {SCHEMA.version + 1}")
    db.close()
    with pytest.raises(SeawayError, match="later release"):
        open_database(path)


def test_writes_go_to_a_log_without_fsync(store: Store) -> None:
    assert store.db.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    assert store.db.execute("PRAGMA synchronous").fetchone() == (1,)


def test_only_the_last_outcomes_are_kept(store: Store) -> None:
    for number in range(5000):
        store.put_outcome(f"c{number}", builders.status(seq=number))
    assert store.outcome("c0") is None
    assert store.outcome("c903") is None
    assert store.outcome("c904") == builders.status(seq=904)
    assert store.outcome("c4999") == builders.status(seq=4999)


def test_a_pending_stop_has_the_form_that_earlier_agents_have_written(store: Store) -> None:
    text = (
        b'{"run":3,"since_ns":5,"stop":[15,-1],"stoppers":[{"command":"a","actor":"me"}],"removers":[{"command":"b"}]}'
    )
    store.db.execute("INSERT INTO ending (container, what) VALUES ('c', ?)", (text,))
    pending = PendingStop(3, 5, (15, -1), stoppers=(Waiter("a", "me"),), removers=(Waiter("b"),))
    assert store.pending_stops() == {"c": pending}
    store.put_pending_stop("c", pending)
    assert store.db.execute("SELECT what FROM ending").fetchall() == [(text,)]
