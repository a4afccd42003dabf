"""What today's code has written, opened by a release whose form is the next one but one, and the way back refused.

No store has had a second version yet: so the steps here are made up, and registered as a real one would be.
"""

import contextlib
import json
import multiprocessing
import os
import signal
import sqlite3
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.upgrade import make_data
from tests.upgrade.make_data import STATES, spec, status

from seaway_agent.state import database as agent
from seaway_agent.state.database import Store
from seaway_bus import outbox_table
from seaway_bus.bus import Bus
from seaway_bus.database import Schema, Step
from seaway_bus.event_sender import event_to_store
from seaway_bus.outbox import Deliver, Outbox
from seaway_bus.outbox_table import OutboxMessage
from seaway_cli import suite
from seaway_cli.errors import CliError
from seaway_cli.suite import Suite
from seaway_contracts import catalogue
from seaway_contracts.base import Empty
from seaway_contracts.containers import State
from seaway_contracts.errors import SeawayError
from seaway_contracts.records import ListContainers, ResolveContainer
from seaway_contracts.stored_forms import Form, Json
from seaway_docker.references import parse_reference
from seaway_image.oci.digests import Digest
from seaway_image.store import names
from seaway_image.store.image_store import ImageStore
from seaway_image.store.names import resolve
from seaway_kit.tasks import Tasks
from seaway_metadata.service import running
from seaway_metadata.settings import MetadataSettings
from seaway_metadata.store import stored
from seaway_metadata.store.stored import NewerSchema
from seaway_testing import builders
from seaway_testing.fake_server import FakeBucketData
from seaway_testing.fake_transport import FakeServer, FakeTransport
from seaway_testing.waiting import until

Open = Callable[[Path], sqlite3.Connection]
DATABASES: list[tuple[str, Any, Open, str, str]] = [
    ("agent.sql", agent, agent.open_database, "container", "status"),
    ("outbox.sql", outbox_table, outbox_table.open_outbox, "outbox", "body"),
]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All that today's code keeps."""
    place = tmp_path_factory.mktemp("today")
    make_data.main(place)
    return place


# --- SQLite


def with_steps(schema: Schema, *steps: Step) -> Schema:
    return replace(schema, steps=(*schema.steps, *steps))


def two_steps(table: str, column: str) -> tuple[Step, Step]:
    """A column for something that is known of each row; then the next version needs more of it."""

    def second(db: sqlite3.Connection) -> None:
        db.execute(f"ALTER TABLE {table} ADD COLUMN size INTEGER NOT NULL DEFAULT 0")
        db.execute(f"UPDATE {table} SET size = length({column})")

    def third(db: sqlite3.Connection) -> None:
        db.execute(f"UPDATE {table} SET size = size * 10")

    return second, third


def sizes(db: sqlite3.Connection, table: str, column: str) -> list[tuple[int, int]]:
    return db.execute(f"SELECT size, length({column}) FROM {table}").fetchall()


def version(path: Path) -> int:
    with contextlib.closing(sqlite3.connect(path)) as db:
        return int(db.execute("PRAGMA user_version").fetchone()[0])


def dump(path: Path) -> list[str]:
    with contextlib.closing(sqlite3.connect(path)) as db:
        return list(db.iterdump())


def restored(dump: Path, path: Path) -> Path:
    with contextlib.closing(sqlite3.connect(path)) as db:
        db.executescript(dump.read_text())
    return path


@pytest.fixture(params=DATABASES, ids=lambda one: str(one[0]))
def database(request: pytest.FixtureRequest) -> tuple[str, Any, Open, str, str]:
    found: tuple[str, Any, Open, str, str] = request.param
    return found


def test_a_database_takes_all_steps_and_the_release_before_leaves_it_alone(
    data: Path, tmp_path: Path, database: tuple[str, Any, Open, str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    name, module, opened, table, column = database
    path, before = restored(data / name, tmp_path / "it.db"), module.SCHEMA
    monkeypatch.setattr(module, "SCHEMA", with_steps(before, *two_steps(table, column)))
    for _ in range(2):
        with contextlib.closing(opened(path)) as db:
            assert [size for size, _ in sizes(db, table, column)] == [10 * of for _, of in sizes(db, table, column)]
        assert version(path) == before.version + 2
    monkeypatch.setattr(module, "SCHEMA", before)
    kept = dump(path)
    sentence = rf"it.db was written by a later release \(schema {before.version + 2}, this one knows {before.version}\)"
    with pytest.raises(SeawayError, match=sentence):
        opened(path)
    assert (dump(path), version(path)) == (kept, before.version + 2)


def test_a_step_that_fails_leaves_the_form_before_it(
    data: Path, tmp_path: Path, database: tuple[str, Any, Open, str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    name, module, opened, table, column = database
    path, before = restored(data / name, tmp_path / "it.db"), module.SCHEMA
    second, third = two_steps(table, column)

    def breaks_off(db: sqlite3.Connection) -> None:
        third(db)
        raise sqlite3.OperationalError("database or disk is full")

    monkeypatch.setattr(module, "SCHEMA", with_steps(before, second, breaks_off))
    with pytest.raises(sqlite3.OperationalError, match="full"):
        opened(path)
    assert version(path) == before.version + 1
    monkeypatch.setattr(module, "SCHEMA", with_steps(before, second, third))
    with contextlib.closing(opened(path)) as db:
        assert [size for size, _ in sizes(db, table, column)] == [10 * of for _, of in sizes(db, table, column)]


def test_a_process_that_is_killed_in_a_step_leaves_the_form_before_it(
    data: Path, tmp_path: Path, database: tuple[str, Any, Open, str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    name, module, opened, table, column = database
    path, before = restored(data / name, tmp_path / "it.db"), module.SCHEMA
    second, third = two_steps(table, column)

    def killed(db: sqlite3.Connection) -> None:
        third(db)
        os.kill(os.getpid(), signal.SIGKILL)

    monkeypatch.setattr(module, "SCHEMA", with_steps(before, second, killed))
    process = multiprocessing.get_context("fork").Process(target=opened, args=(path,))
    process.start()
    process.join()
    assert (process.exitcode, version(path)) == (-signal.SIGKILL, before.version + 1)
    monkeypatch.setattr(module, "SCHEMA", with_steps(before, second, third))
    with contextlib.closing(opened(path)) as db:
        assert [size for size, _ in sizes(db, table, column)] == [10 * of for _, of in sizes(db, table, column)]


def test_a_new_database_needs_no_steps(
    tmp_path: Path, database: tuple[str, Any, Open, str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    _, module, opened, table, column = database
    monkeypatch.setattr(module, "SCHEMA", with_steps(module.SCHEMA, *two_steps("no_such_table", column)))
    with contextlib.closing(opened(tmp_path / "new.db")) as db:
        assert db.execute(f"SELECT count(*) FROM {table}").fetchone() == (0,)
    assert version(tmp_path / "new.db") == module.SCHEMA.version


def test_one_that_is_as_it_should_be_is_not_written_to(
    data: Path, tmp_path: Path, database: tuple[str, Any, Open, str, str]
) -> None:
    """A full disk must not hinder that it is read."""
    name, _, opened, *_ = database
    path = restored(data / name, tmp_path / "it.db")
    opened(path).close()
    before = path.read_bytes()
    opened(path).close()
    assert path.read_bytes() == before


async def test_what_the_steps_have_made_is_what_was_there(
    data: Path, tmp_path: Path, fake_bus: Bus, tasks: Tasks, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(agent, "SCHEMA", with_steps(agent.SCHEMA, *two_steps("container", "status")))
    path = restored(data / "agent.sql", tmp_path / "agent.db")
    with contextlib.closing(agent.open_database(path)) as db:
        found = {one.spec.id: one for one in Store(db).containers()}
        assert [found[builders.container_id(seed)].spec for seed in STATES] == [spec(seed) for seed in STATES]
        assert [found[builders.container_id(seed)].status for seed in STATES] == [status(seed) for seed in STATES]
        handed: list[str] = []
        outbox = Outbox(db, fake_bus.transport, tasks, handing_to(handed), tells=True)
        outbox.start()
        assert await outbox.flush(5)
        assert handed == [*["create"] * 4, "rename", "die"]
        await tasks.close()


def handing_to(handed: list[str]) -> Deliver:
    async def deliver(rows: Sequence[tuple[str, OutboxMessage]]) -> Mapping[str, str]:
        handed.extend(event_to_store(key, message).action for key, message in rows)
        return {}

    return deliver


# --- JSON


def moved(kind: str, document: Json) -> Json:
    """What stood for the node `n1` is called `n2` from this version on; whoever holds a name says so later."""
    if kind in ("ContainerRecord", "NodeRecord"):
        return document | {"node": "n2"}
    return document | {"since_ns": document["since_ns"] + 1} if kind == "NameHolder" else document


@pytest.fixture
async def bus(fake_server: FakeServer) -> AsyncIterator[Bus]:
    made = Bus(FakeTransport(fake_server))
    yield made
    await made.close()


def filled(server: FakeServer, data: Path) -> None:
    for name, entries in json.loads((data / "buckets.json").read_text()).items():
        bucket = server.buckets.setdefault(name, FakeBucketData())
        for key, value in entries.items():
            bucket.write(key, value.encode(), None)


def entries(server: FakeServer, bucket: str) -> dict[str, Json]:
    return {key: json.loads(entry.value) for key, entry in server.buckets[bucket].entries.items()}


async def test_records_of_the_version_before_are_read_and_written_in_the_present_one(
    data: Path, tmp_path: Path, fake_server: FakeServer, bus: Bus, monkeypatch: pytest.MonkeyPatch
) -> None:
    filled(fake_server, data)
    monkeypatch.setattr(stored, "FORM", Form((moved,)))
    changed = builders.container_id(2)
    async with running(bus, Tasks("metadata"), MetadataSettings(root=tmp_path)) as service:
        found = (await bus.call(catalogue.LIST_CONTAINERS, ListContainers())).containers
        assert {one.id: (one.node, one.spec) for one in found} == {
            builders.container_id(seed): ("n2", spec(seed)) for seed in STATES
        }
        assert (await bus.call(catalogue.RESOLVE, ResolveContainer(ref="box3"))).node == "n2"
        assert [node.node for node in (await bus.call(catalogue.LIST_NODES, Empty())).nodes] == ["n2"]
        envelope, body = builders.container_event("die", builders.status(State.EXITED, 50), seed=2, node="n2")
        service.containers.view.apply(envelope, body)
        records = catalogue.CONTAINERS_BUCKET.name
        await until(lambda: entries(fake_server, records)[changed]["status"]["seq"] == 50)
        versions = {key: one["v"] for key, one in entries(fake_server, records).items()}
        assert (versions.pop(changed), set(versions.values())) == (2, {1})
    monkeypatch.undo()
    with pytest.raises(NewerSchema, match="a ContainerRecord of schema 2: this release knows 1; update it"):
        async with running(bus, Tasks("metadata"), MetadataSettings(root=tmp_path)):
            pass


async def test_the_image_table(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def renamed(kind: str, document: Json) -> Json:
        assert kind == "names"
        return document | {"tags": {"docker.io/library/box:latest": next(iter(document["images"]))}}

    path = tmp_path / "image" / "names.json"
    path.parent.mkdir()
    path.write_bytes((data / "names.json").read_bytes())
    with next_version(monkeypatch, names, renamed):
        store = ImageStore(path.parent)
        store.open()
        assert resolve(store.table, "box") == builders.digest("config")
        assert json.loads(path.read_text())["version"] == 1, "it is written when something changes"
        more = parse_reference("more:latest")
        await store.change(lambda table: table.with_tag(more, Digest(builders.digest("config"))))
        store.open()
        assert resolve(store.table, "more") == resolve(store.table, "box")
    before = path.read_text()
    with pytest.raises(SeawayError, match=r"names.json was written by a later release \(schema 2, this one knows 1\)"):
        ImageStore(path.parent).open()
    assert path.read_text() == before


def test_the_suite(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "suite.json"
    path.write_bytes((data / "suite.json").read_bytes())
    with next_version(monkeypatch, suite, lambda _, document: document | {"nats_port": document["nats_port"] + 1}):
        found = suite.load(path)
        assert found == Suite("a1b2c3", 14223)
        found.save(path)
        assert suite.load(path) == found
    before = path.read_text()
    with pytest.raises(CliError, match=r"suite.json was written by a later release \(schema 2, this one knows 1\)"):
        suite.load(path)
    assert path.read_text() == before


@contextlib.contextmanager
def next_version(monkeypatch: pytest.MonkeyPatch, module: Any, step: Callable[[str, Json], Json]) -> Iterator[None]:
    with monkeypatch.context() as patched:
        patched.setattr(module, "FORM", Form((step,)))
        yield


def test_a_document_goes_through_all_versions_in_order() -> None:
    steps = tuple(lambda _, document, number=number: {"at": [*document["at"], number]} for number in (2, 3, 4))
    form = Form(steps)
    assert form.version == 4
    assert [form.upgraded("x", {"at": []}, version)["at"] for version in range(5)] == [
        [2, 3, 4],
        [2, 3, 4],
        [3, 4],
        [4],
        [],
    ]
