"""What metadata knows and the database has lost."""

import contextlib
import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seaway_agent.recovery.replay import leap_sequences, leapt_seq, replay, updated_from
from seaway_agent.state.database import Store, StoredContainer, open_database
from seaway_bus.bus import Bus, Command
from seaway_contracts.catalogue import KNOWN_CONTAINERS
from seaway_contracts.containers import ContainerRecord, ContainerStatus, RestartPolicy, State
from seaway_contracts.errors import Code, SeawayError
from seaway_contracts.records import KnownContainers, ListKnown
from seaway_testing import builders
from seaway_testing.fake_transport import FakeServer, FakeTransport

RUNNING = ContainerStatus(state=State.RUNNING, seq=2, run=1, pid=7)
EXITED = ContainerStatus(state=State.EXITED, seq=5, run=1, exit_code=3)
ALWAYS = RestartPolicy(name="always")


def stored(status: ContainerStatus | None = None, seed: int = 1) -> StoredContainer:
    return StoredContainer(builders.spec(seed), status or ContainerStatus(seq=1), ("/l/1",))


def record(status: ContainerStatus, *, seed: int = 1, spec_seq: int = 1, **spec: object) -> ContainerRecord:
    """What metadata has of a container of node n1; its spec as it was with the event `spec_seq`."""
    return ContainerRecord(spec=builders.spec(seed, **spec), node="n1", status=status, spec_seq=spec_seq)


def test_a_newer_record_gives_the_status() -> None:
    assert updated_from(stored(), record(EXITED)) == stored(EXITED)


@pytest.mark.parametrize("status", [RUNNING, EXITED.model_copy(update={"exit_code": 9})])
def test_a_record_that_is_not_newer_changes_nothing(status: ContainerStatus) -> None:
    assert updated_from(stored(EXITED), record(status)) == stored(EXITED)


def test_a_spec_that_was_changed_is_taken() -> None:
    found = updated_from(stored(), record(EXITED, spec_seq=2, restart=ALWAYS))
    assert (found.spec.restart, found.status, found.lowers) == (ALWAYS, EXITED, ("/l/1",))


def test_a_spec_that_is_older_than_the_status_beside_it_is_left_alone() -> None:
    """Metadata has heard the public part of an event alone: that shows a newer status, and not the spec."""
    before = StoredContainer(builders.spec(1, restart=ALWAYS), ContainerStatus(seq=3), ("/l/1",))
    found = updated_from(before, record(EXITED, spec_seq=1))
    assert (found.spec.restart, found.status) == (ALWAYS, EXITED)


@given(st.integers(0, 1 << 40), st.integers(0, 1 << 32))
def test_numbers_leap_ahead_also_without_a_clock(seq: int, now_s: int) -> None:
    assert leapt_seq(seq, now_s) >= seq + (1 << 32)
    assert leapt_seq(seq, now_s) <= leapt_seq(seq, now_s + 1)
    assert json.loads(json.dumps(float(leapt_seq(seq, now_s)))) == leapt_seq(seq, now_s), "a double holds it"


def test_an_older_copy_is_behind_what_was_told_after_later_reboots() -> None:
    told = leapt_seq(10, 1_800_000_000) + 50_000
    assert leapt_seq(10, 1_800_000_060) > told


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with contextlib.closing(open_database(tmp_path / "agent.db")) as db:
        yield Store(db)


class Records:
    """Metadata, as far as a node asks it for its containers."""

    def __init__(self) -> None:
        self.records: dict[str, ContainerRecord] = {}
        self.removed: set[str] = set()
        self.asked: list[tuple[str, ...]] = []

    def has(self, *records: ContainerRecord) -> None:
        self.records |= {record.id: record for record in records}

    async def known(self, request: ListKnown, command: Command) -> KnownContainers:
        assert command.node == "n1"
        self.asked.append(request.ids)
        return KnownContainers(
            containers=tuple(self.records[one] for one in request.ids if one in self.records),
            removed=tuple(one for one in request.ids if one in self.removed),
        )


@pytest.fixture
async def metadata(fake_server: FakeServer) -> AsyncIterator[Records]:
    made, bus = Records(), Bus(FakeTransport(fake_server))
    await bus.serve(KNOWN_CONTAINERS, made.known)
    yield made
    await bus.close()


@pytest.fixture
async def bus(fake_server: FakeServer) -> AsyncIterator[Bus]:
    """The agent's, which fails at once where nobody hears."""
    made = Bus(FakeTransport(fake_server), patience_s=0.01)
    yield made
    await made.close()


def fill(store: Store, *seeds: int) -> None:
    for seed in seeds:
        item = stored(seed=seed)
        store.add(item.spec, item.status, item.lowers)


def there(store: Store) -> dict[str, StoredContainer]:
    return {item.spec.id: item for item in store.containers()}


async def test_the_database_is_brought_after_metadata(store: Store, bus: Bus, metadata: Records) -> None:
    fill(store, 1, 2, 3)
    metadata.has(record(RUNNING))
    metadata.removed = {builders.container_id(2)}
    await replay(store, bus, "n1")
    assert there(store) == {
        builders.container_id(1): stored(RUNNING),
        builders.container_id(3): stored(seed=3),
    }


async def test_many_are_asked_for_in_several_requests(store: Store, bus: Bus, metadata: Records) -> None:
    seeds = range(70)
    fill(store, *seeds)
    metadata.has(*(record(RUNNING, seed=seed) for seed in seeds))
    await replay(store, bus, "n1")
    assert {item.status for item in there(store).values()} == {RUNNING}
    assert len(metadata.asked) == 3
    assert {one for asked in metadata.asked for one in asked} == set(metadata.records)


async def test_an_answer_that_is_too_large_is_asked_for_in_parts(
    store: Store, bus: Bus, metadata: Records, fake_server: FakeServer
) -> None:
    seeds = range(8)
    fill(store, *seeds)
    metadata.has(*(record(RUNNING, seed=seed, labels={"long": "x" * 4000}) for seed in seeds))
    metadata.removed = {builders.container_id(7)}
    fake_server.max_payload = 16_000
    await replay(store, bus, "n1")
    assert set(there(store)) == {builders.container_id(seed) for seed in seeds[:7]}
    assert {item.status for item in there(store).values()} == {RUNNING}
    assert sorted(map(len, metadata.asked)) == [2, 2, 2, 2, 4, 4, 8]


async def test_one_that_is_too_large_by_itself_is_an_error_that_changes_nothing(
    store: Store, bus: Bus, metadata: Records, fake_server: FakeServer
) -> None:
    fill(store, 1, 2)
    metadata.has(record(RUNNING), record(RUNNING, seed=2, labels={"long": "x" * 20_000}))
    fake_server.max_payload = 16_000
    with pytest.raises(SeawayError, match="too large for the bus"):
        await replay(store, bus, "n1")
    assert there(store) == {builders.container_id(seed): stored(seed=seed) for seed in (1, 2)}


async def test_an_answer_of_a_later_release_changes_nothing(
    store: Store, bus: Bus, metadata: Records, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An agent that was put back, after a reboot: it starts all the same."""
    fill(store, 1)
    metadata.has(record(RUNNING))
    encoded = type(KNOWN_CONTAINERS).encode_reply

    def strange(channel: Any, body: Any) -> bytes:
        return encoded(channel, body).replace(b'"running"', b'"teleporting"')

    monkeypatch.setattr(type(KNOWN_CONTAINERS), "encode_reply", strange)
    with pytest.raises(SeawayError, match=r"reply of metadata container\.known"):
        await replay(store, bus, "n1")
    assert there(store) == {builders.container_id(1): stored()}


@pytest.mark.parametrize("away", ["bus", "metadata"])
async def test_without_metadata_nothing_is_changed(
    store: Store, fake_server: FakeServer, bus: Bus, metadata: Records, away: str
) -> None:
    fill(store, 1)
    metadata.has(record(RUNNING))
    if away == "bus":
        fake_server.stop()
    else:
        fake_server.subscribers.clear()
    with pytest.raises(SeawayError) as caught:
        await replay(store, bus, "n1")
    assert caught.value.code is Code.UNAVAILABLE
    leap_sequences(store, 5)
    (after,) = store.containers()
    assert after == stored(ContainerStatus(seq=leapt_seq(1, 5)))
    assert after.status.seq > RUNNING.seq
