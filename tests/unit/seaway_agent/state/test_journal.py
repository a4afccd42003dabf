"""Status and events in one transaction: both are there, or neither."""

import asyncio
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import orjson
import pytest

from seaway_agent.core.events import volume_events
from seaway_agent.core.instructions import Answer, Emit, PendingDisconnect, Record, Waiter
from seaway_agent.state.database import REMOVED_NETWORKS, REMOVED_VOLUMES, Store, open_database
from seaway_agent.state.journal import Journal
from seaway_bus.bus import Bus
from seaway_bus.event_sender import event_size, event_to_store
from seaway_bus.outbox import Outbox
from seaway_bus.outbox_table import OutboxMessage
from seaway_contracts.catalogue import CONTAINER_CREATE, CONTAINER_DIE
from seaway_contracts.containers import Command as Process
from seaway_contracts.containers import ContainerSpec, Endpoint, Health, Mount, Probe, State
from seaway_contracts.errors import Code, SeawayError
from seaway_contracts.lifecycle import EXEC_COMMAND, MOST_BYTES, volume_subject
from seaway_contracts.networks import NetworkRecord
from seaway_contracts.volumes import VolumeRecord
from seaway_kit.tasks import Tasks
from seaway_testing import builders
from seaway_testing.waiting import GUARD_S, until

NETWORK = Endpoint(network="bridge", network_id="b" * 64, address="172.18.0.2")
SPEC = builders.spec(1, labels={"team": "blue"})


@pytest.fixture
def db(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    db = open_database(tmp_path / "agent.db")
    yield db
    db.close()


@pytest.fixture
def outbox(db: sqlite3.Connection, fake_bus: Bus, tasks: Tasks) -> Outbox:
    """As the agent's: it tells. Not started: what is added stays in its table, and `start` begins to publish."""
    return Outbox(db, fake_bus.transport, tasks, tells=True)


@pytest.fixture
def journal(db: sqlite3.Connection, outbox: Outbox) -> Journal:
    return Journal(Store(db), outbox, "n1")


def rows(db: sqlite3.Connection) -> list[dict[str, Any]]:
    """What waits in the outbox: key, subject, headers and body."""
    found = db.execute("SELECT key, subject, headers, body FROM outbox ORDER BY n").fetchall()
    return [
        {"key": key, "subject": subject, "headers": orjson.loads(headers), "body": orjson.loads(body)}
        for key, subject, headers, body in found
    ]


def created(journal: Journal) -> None:
    journal.write(
        SPEC, Record(builders.status(seq=1), (Emit("create", changes_spec=True),), Waiter("c1", "me"), 1000), ("/l/1",)
    )


async def test_create_stores_the_spec_and_tells_the_services(db: sqlite3.Connection, journal: Journal) -> None:
    """With what the node has filled in."""
    created(journal)
    (stored,) = Store(db).containers()
    assert (stored.spec, stored.status.seq, stored.lowers) == (SPEC, 1, ("/l/1",))
    (row,) = rows(db)
    event = CONTAINER_CREATE.decode(orjson.dumps(row["body"]))
    assert (event.status, event.spec) == (builders.status(seq=1), SPEC)
    assert event.attributes == {"team": "blue", "image": "busybox:latest", "name": "box1"}
    assert row["subject"] == f"seaway.v1.node.n1.tell.event.container.create.{SPEC.id}"
    told = {name: row["headers"][name] for name in ("ce-sequence", "ce-cause", "ce-actor", "ce-timens")}
    assert told == {"ce-sequence": "1", "ce-cause": "c1", "ce-actor": "me", "ce-timens": "1000"}


def create(journal: Journal, **labels: str) -> ContainerSpec:
    spec = builders.spec(1, labels=labels)
    journal.write(
        spec, Record(builders.status(seq=1), (Emit("create", changes_spec=True),), Waiter("c1"), 1000), ("/l/1",)
    )
    return spec


async def test_a_container_whose_events_could_not_be_stored_is_refused(
    db: sqlite3.Connection, journal: Journal, outbox: Outbox
) -> None:
    """Its labels stand in each of its events."""
    with pytest.raises(SeawayError, match=r"the events of container box1 would have .* make its labels") as caught:
        create(journal, long="x" * (MOST_BYTES - (8 << 10)))
    assert caught.value.status == 413
    assert (rows(db), list(Store(db).containers()), outbox.size) == ([], [], 0)
    create(journal, long="x" * (MOST_BYTES - (10 << 10)))
    assert len(rows(db)) == 1


@pytest.mark.parametrize("action", ["die", "rename", "update", "exec_create", "health_status"])
async def test_what_is_not_refused_has_room_for_all_its_events(
    db: sqlite3.Connection, journal: Journal, action: str
) -> None:
    """What may become large beside the labels is no part of what is stored."""
    long = "x" * (MOST_BYTES - (10 << 10))
    spec = create(journal, long=long).model_copy(update={"name": "n" * 1000, "command": Process(cmd=(long,))})
    endpoints = tuple(NETWORK.model_copy(update={"network_id": f"{number:064}"}) for number in range(10))
    health = Health(status="unhealthy", log=(Probe(output="o" * 4096),) * 5)
    changes = {"exit_code": 137, "endpoints": endpoints, "health": health, "error": "e" * 8192}
    status = builders.status(State.EXITED, seq=2, **changes)
    emit = Emit(action, attributes={"exitCode": "137", "oldName": SPEC.name, EXEC_COMMAND: long})
    journal.write(spec, Record(status, (emit,), Waiter("c2")))
    row = rows(db)[-1]
    message = OutboxMessage(row["subject"], row["headers"], orjson.dumps(row["body"]))
    assert event_size(event_to_store(row["key"], message)) < MOST_BYTES < len(message.body)


async def test_each_container_event_has_its_number_and_moment(db: sqlite3.Connection, journal: Journal) -> None:
    created(journal)
    status = builders.status(State.EXITED, seq=4, exit_code=137)
    events = (
        Emit("oom"),
        Emit("disconnect", "network", {"name": "bridge"}, NETWORK),
        Emit("stop"),
        Emit("die", attributes={"exitCode": "137"}),
    )
    journal.write(SPEC, Record(status, events, Waiter("c2"), 2000))
    found = rows(db)[1:]
    assert [(r["headers"]["ce-type"], r["headers"]["ce-sequence"], r["headers"]["ce-timens"]) for r in found] == [
        ("io.seaway.v1.container.oom", "2", "2000"),
        ("io.seaway.v1.network.disconnect", "0", "2001"),
        ("io.seaway.v1.container.stop", "3", "2002"),
        ("io.seaway.v1.container.die", "4", "2003"),
    ]
    assert {row["key"] for row in found} == {SPEC.id}, "one order for all that is about the container"
    assert len({row["headers"]["ce-id"] for row in found}) == 4
    died = CONTAINER_DIE.decode(orjson.dumps(found[-1]["body"]))
    assert (died.status, died.spec) == (status, None)
    assert died.attributes["exitCode"] == "137"


async def test_a_network_event_is_about_the_network_and_names_the_container(
    db: sqlite3.Connection, journal: Journal
) -> None:
    created(journal)
    connect = Emit("connect", "network", {"name": "bridge", "type": "bridge"}, NETWORK)
    journal.write(SPEC, Record(builders.status(State.RUNNING, seq=2), (connect, Emit("start")), None, 5))
    row = rows(db)[1]
    assert row["headers"]["ce-subject"] == "b" * 64
    assert row["body"]["attributes"] == {"name": "bridge", "type": "bridge", "container": SPEC.id}


async def test_no_name_that_a_user_gives_stands_in_a_subject(db: sqlite3.Connection, journal: Journal) -> None:
    created(journal)
    mount = Emit("mount", "volume", {"driver": "local", "destination": "/a"}, volume="a.b.>")
    journal.write(SPEC, Record(builders.status(State.RUNNING, seq=2), (mount, Emit("start")), None, 5))
    row = rows(db)[1]
    assert row["subject"] == f"seaway.v1.node.n1.tell.event.volume.mount.{volume_subject('a.b.>')}"
    assert row["body"] == {"name": "a.b.>", "attributes": {"driver": "local", "destination": "/a"}}
    assert (row["key"], row["headers"]["ce-sequence"]) == (SPEC.id, "0")


async def test_a_record_without_events_stores_the_status_alone(db: sqlite3.Connection, journal: Journal) -> None:
    created(journal)
    journal.write(SPEC, Record(builders.status(State.REMOVING, seq=1), ()))
    (stored,) = Store(db).containers()
    assert (stored.status.state, len(rows(db))) == (State.REMOVING, 1)


async def test_destroy_forgets_the_container_but_not_the_event(db: sqlite3.Connection, journal: Journal) -> None:
    created(journal)
    journal.write(SPEC, Record(builders.status(State.REMOVING, seq=2), (Emit("destroy"),), None, 9))
    assert list(Store(db).containers()) == []
    assert [row["headers"]["ce-type"] for row in rows(db)][-1] == "io.seaway.v1.container.destroy"


async def test_a_failed_write_leaves_neither_status_nor_event(
    db: sqlite3.Connection, journal: Journal, outbox: Outbox
) -> None:
    created(journal)
    before, revision, depth = rows(db), journal.revision, len(outbox)
    with pytest.raises(SeawayError, match="can't write down what happens"):
        created(journal)
    assert (rows(db), journal.revision, len(outbox)) == (before, revision, depth)
    assert not db.in_transaction


async def test_an_event_that_can_not_be_written_takes_the_status_back(
    db: sqlite3.Connection, journal: Journal, outbox: Outbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    created(journal)
    full = sqlite3.OperationalError("database or disk is full")
    full.sqlite_errorcode = sqlite3.SQLITE_FULL
    real, calls = outbox.add, []

    def fail_at_the_second(*given: Any, **named: Any) -> None:
        calls.append(given)
        if len(calls) == 2:
            raise full
        real(*given, **named)

    monkeypatch.setattr(outbox, "add", fail_at_the_second)
    record = Record(builders.status(State.EXITED, seq=3), (Emit("stop"), Emit("die")), None, 7)
    with pytest.raises(SeawayError, match="free space on its disk") as refusal:
        journal.write(SPEC, record)
    assert refusal.value.code is Code.NO_SPACE
    (stored,) = Store(db).containers()
    assert (stored.status.state, len(rows(db))) == (State.CREATED, 1)
    monkeypatch.undo()
    journal.write(SPEC, record)
    assert [row["headers"]["ce-sequence"] for row in rows(db)] == ["1", "2", "3"]


async def test_an_unknown_event_is_refused_before_anything_is_written(db: sqlite3.Connection, journal: Journal) -> None:
    created(journal)
    with pytest.raises(LookupError):
        journal.write(SPEC, Record(builders.status(State.RUNNING, seq=2), (Emit("nonsense"),)))
    (stored,) = Store(db).containers()
    assert stored.status.state is State.CREATED


async def test_the_revision_grows_with_each_change(journal: Journal) -> None:
    created(journal)
    journal.write(SPEC, Record(builders.status(State.RUNNING, seq=2), (Emit("start"),)))
    assert journal.revision == 2


async def test_what_is_written_is_told_at_once_and_handed_over_in_order(
    db: sqlite3.Connection, fake_bus: Bus, tasks: Tasks
) -> None:
    """It is told also while nobody stores it."""
    told: list[str] = []
    handed: list[tuple[str, str]] = []
    stores = asyncio.Event()

    async def deliver(messages: Sequence[tuple[str, OutboxMessage]]) -> Mapping[str, str]:
        await stores.wait()
        handed.extend((key, message.headers["ce-type"]) for key, message in messages)
        return {}

    await fake_bus.transport.subscribe("seaway.v1.node.n1.tell.>", lambda message: told.append(message.subject))
    outbox = Outbox(db, fake_bus.transport, tasks, deliver, tells=True)
    journal = Journal(Store(db), outbox, "n1")
    outbox.start()
    created(journal)
    journal.write(SPEC, Record(builders.status(State.RUNNING, seq=2), (Emit("start"),)))
    await until(lambda: len(told) == 2)
    assert told == [f"seaway.v1.node.n1.tell.event.container.{action}.{SPEC.id}" for action in ("create", "start")]
    assert journal.sent(SPEC.id) is None, "who answers a command now answers behind its events"
    assert (journal.has_unstored(SPEC.id), handed) == (True, [])
    stores.set()
    assert await outbox.flush(GUARD_S)
    assert handed == [(SPEC.id, f"io.seaway.v1.container.{action}") for action in ("create", "start")]
    assert (journal.has_unstored(SPEC.id), rows(db)) == (False, [])


def test_answer_is_kept_with_the_record(journal: Journal) -> None:
    created(journal)
    status = builders.status(State.RUNNING, seq=2)
    answer = Answer(Waiter("c7"), status)
    journal.write(SPEC, Record(status, (Emit("start"),), Waiter("c7")), (), [answer])
    assert journal.outcome("c7") == status
    assert journal.outcome("c8") is None


def test_answer_is_not_kept_where_the_record_fails(journal: Journal) -> None:
    created(journal)
    status = builders.status(State.RUNNING, seq=2)
    with pytest.raises(KeyError):
        journal.write(SPEC, Record(status, (Emit("nonsense"),)), (), [Answer(Waiter("c7"), status)])
    assert journal.outcome("c7") is None


@pytest.mark.parametrize("action", ["rename", "update", "status"])
async def test_a_changed_spec_is_stored_and_carried(db: sqlite3.Connection, journal: Journal, action: str) -> None:
    created(journal)
    changed = SPEC.model_copy(update={"name": "other"})
    journal.write(changed, Record(builders.status(seq=2), (Emit(action, changes_spec=True),), Waiter("c2", "me"), 2000))
    (stored,) = Store(db).containers()
    assert (stored.spec, stored.status.seq, stored.lowers) == (changed, 2, ("/l/1",))
    body = rows(db)[-1]["body"]
    assert (body["spec"]["name"], body["attributes"]["name"]) == ("other", "other")


async def test_other_events_leave_the_spec_alone(db: sqlite3.Connection, journal: Journal) -> None:
    created(journal)
    journal.write(SPEC.model_copy(update={"name": "other"}), Record(builders.status(seq=2), (Emit("die"),)))
    (stored,) = Store(db).containers()
    assert stored.spec == SPEC
    assert "spec" not in rows(db)[-1]["body"]


async def test_with_a_full_outbox_it_says_that_nothing_new_is_begun(
    db: sqlite3.Connection, fake_bus: Bus, tasks: Tasks
) -> None:
    outbox = Outbox(db, fake_bus.transport, tasks, bound=3_000)
    journal = Journal(Store(db), outbox, "n1")
    created(journal)
    journal.check_outbox()
    assert journal.trouble == ""
    while not outbox.full:
        journal.write(SPEC, Record(builders.status(seq=2), (Emit("kill"),)))
    with pytest.raises(SeawayError, match=r"node n1 has .* begins nothing new; try again when NATS takes them") as full:
        journal.check_outbox()
    assert (full.value.status, full.value.retryable) == (503, True)
    journal.write(SPEC, Record(builders.status(seq=3), (Emit("die"), Emit("health_status"))))
    assert rows(db)[-1]["subject"].endswith(f".die.{SPEC.id}"), "ends are written down, noise is not"
    outbox.start()
    assert await outbox.flush(GUARD_S)
    journal.check_outbox()


BACK = NetworkRecord(id="c" * 64, name="back", created_ns=1, driver="macvlan")


async def test_a_network_is_stored_with_the_container_that_came_with_it(
    db: sqlite3.Connection, journal: Journal
) -> None:
    created(journal)
    change = Emit("status", changes_spec=True)
    journal.write(SPEC, Record(builders.status(seq=2), (change,), Waiter("c2"), networks=(BACK,)))
    assert Store(db).networks() == journal.networks == {BACK.id: BACK}
    with pytest.raises(KeyError):
        unknown = (Emit("nonsense"),)
        other = BACK.model_copy(update={"id": "d" * 64})
        journal.write(SPEC, Record(builders.status(seq=3), unknown, networks=(other,)))
    assert Store(db).networks() == journal.networks == {BACK.id: BACK}, "all of a record or nothing"
    journal.remove_network(BACK.id, 1)
    journal.remove_network(BACK.id, 1)
    assert Store(db).networks() == journal.networks == {}


async def test_a_record_that_comes_after_its_networks_removal_is_not_stored(
    db: sqlite3.Connection, journal: Journal, outbox: Outbox
) -> None:
    created(journal)

    def comes(to: Journal, seq: int, version: int) -> list[int]:
        record = BACK.model_copy(update={"version": version})
        to.write(SPEC, Record(builders.status(seq=seq), (Emit("status", changes_spec=True),), networks=(record,)))
        assert Store(db).networks() == to.networks
        return [one.version for one in to.networks.values()]

    journal.remove_network(BACK.id, 3)
    assert comes(journal, 2, 3) == []
    following = Journal(Store(db), outbox, "n1")
    assert comes(following, 3, 2) == []
    assert comes(following, 4, 4) == [4], "its removal was taken back"
    following.remove_network(BACK.id, 0)
    assert comes(following, 5, 1 << 40) == []


async def test_so_many_removals_are_remembered(db: sqlite3.Connection, journal: Journal, outbox: Outbox) -> None:
    networks = [BACK.model_copy(update={"id": f"{number:064x}"}) for number in range(REMOVED_NETWORKS + 10)]
    for network in networks:
        journal.remove_network(network.id, 1)
    journal.remove_network(networks[10].id, 1)
    for one in (journal, Journal(Store(db), outbox, "n1")):
        assert [network.id for network in networks if not one.was_removed(network)] == [
            network.id for network in networks[:10]
        ]


def test_the_last_removed_volumes_are_remembered(db: sqlite3.Connection, journal: Journal, outbox: Outbox) -> None:
    ids = [f"{number:064x}" for number in range(REMOVED_VOLUMES + 10)]
    for identifier in ids:
        journal.remove_volume(identifier)
    journal.remove_volume(ids[10])
    for one in (journal, Journal(Store(db), outbox, "n1")):
        assert [identifier for identifier in ids if not one.was_volume_removed(identifier)] == ids[:10]


def test_a_removal_of_a_volume_that_can_not_be_stored_is_refused(db: sqlite3.Connection, journal: Journal) -> None:
    db.execute("PRAGMA query_only = 1")
    with pytest.raises(SeawayError, match="node n1 can't write down that a volume was removed: "):
        journal.remove_volume("a")
    assert not journal.was_volume_removed("a")


async def test_a_volume_whose_labels_are_too_large_is_refused_with_its_container(journal: Journal) -> None:
    mount = Mount(type="volume", source="a" * 64, target="/v", anonymous=True, volume_labels={"a": "x" * MOST_BYTES})
    volume = VolumeRecord(id="a" * 64, name="a" * 64, created_ns=1, anonymous=True)
    spec = builders.spec(1, mounts=(mount,))
    events = (*volume_events("create", [volume]), Emit("create", changes_spec=True))
    with pytest.raises(SeawayError, match=f"the events of volume {'a' * 64} would have .* make its labels") as refused:
        journal.write(spec, Record(builders.status(seq=1), events))
    assert refused.value.code is Code.TOO_LARGE


async def test_a_volume_event_names_the_volume_and_says_whether_it_has_a_name(
    db: sqlite3.Connection, journal: Journal
) -> None:
    volume = VolumeRecord(id="a" * 64, name="a" * 64, created_ns=1, anonymous=True)
    created(journal)
    journal.write(SPEC, Record(builders.status(seq=2), tuple(volume_events("create", [volume]))))
    assert rows(db)[-1]["headers"]["ce-subject"] == volume_subject(volume.name)
    assert rows(db)[-1]["body"] == {
        "name": volume.name, "id": volume.id, "anonymous": True, "attributes": {"driver": "local"}
    }  # fmt: skip


async def test_the_event_of_an_anonymous_volume_says_what_its_record_needs(
    db: sqlite3.Connection, journal: Journal
) -> None:
    volume = VolumeRecord(id="a" * 64, name="a" * 64, created_ns=1, anonymous=True)
    mount = Mount(type="volume", source=volume.name, target="/v", anonymous=True)
    asked = mount.model_copy(update={"volume_labels": {"a": "b"}, "volume_options": {"type": "tmpfs"}})
    spec = builders.spec(1, mounts=(asked,))
    created(journal)
    journal.write(spec, Record(builders.status(seq=2), tuple(volume_events("create", [volume]))))
    body = rows(db)[-1]["body"]
    assert (body["labels"], body["options"]) == ({"a": "b"}, {"type": "tmpfs"})


@pytest.mark.parametrize(
    ("identifier", "name", "driver"),
    [
        (BACK.id, "back", "macvlan"),
        ("h" * 64, "host", "host"),
        ("n" * 64, "none", "null"),
        ("x" * 64, "gone", "bridge"),
    ],
)
async def test_a_network_event_has_the_driver_for_its_type(
    db: sqlite3.Connection, journal: Journal, identifier: str, name: str, driver: str
) -> None:
    created(journal)
    journal.networks[BACK.id] = BACK
    event = Emit("connect", "network", network=Endpoint(network=name, network_id=identifier))
    journal.write(SPEC, Record(builders.status(seq=1), (event,)))
    body = rows(db)[-1]["body"]
    assert body["network_id"] == identifier
    assert body["attributes"] == {"name": name, "type": driver, "container": SPEC.id}


async def test_the_event_of_the_first_connect_has_the_driver_too(db: sqlite3.Connection, journal: Journal) -> None:
    created(journal)
    event = Emit("connect", "network", network=Endpoint(network="back", network_id=BACK.id))
    journal.write(SPEC, Record(builders.status(seq=1), (event,), networks=(BACK,)))
    assert rows(db)[-1]["body"]["attributes"]["type"] == "macvlan"


async def test_a_disconnect_that_was_begun_is_known_until_it_is_recorded(
    db: sqlite3.Connection, journal: Journal
) -> None:
    created(journal)
    begun = PendingDisconnect(BACK.id, Waiter("c2", "me"))
    journal.set_pending_disconnect(SPEC, begun)
    assert Store(db).pending_disconnects() == journal.pending_disconnects == {SPEC.id: begun}
    journal.write(SPEC, Record(builders.status(seq=2), (Emit("oom"),)))
    assert journal.pending_disconnects == {SPEC.id: begun}
    journal.write(SPEC, Record(builders.status(seq=3), (Emit("status"),), ends_disconnect=True))
    assert Store(db).pending_disconnects() == journal.pending_disconnects == {}
    journal.set_pending_disconnect(SPEC, begun)
    journal.set_pending_disconnect(SPEC, None)
    assert Store(db).pending_disconnects() == journal.pending_disconnects == {}
