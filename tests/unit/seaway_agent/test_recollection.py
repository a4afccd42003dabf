"""What the stream knows and the database has lost."""

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seaway_agent.recollection import brought_after, leap, leapt, recollect
from seaway_agent.store import Store, Stored, open_database
from seaway_bus.bus import Bus
from seaway_bus.feed import Event
from seaway_bus.transport import TransportError
from seaway_contracts.catalogue import EVENTS
from seaway_contracts.containers import ContainerStatus, RestartPolicy, State
from seaway_contracts.lifecycle import ContainerEvent
from seaway_testing import builders
from seaway_testing.fake_transport import FakeServer

RUNNING = ContainerStatus(state=State.RUNNING, seq=2, run=1, pid=7)
EXITED = ContainerStatus(state=State.EXITED, seq=5, run=1, exit_code=3)


def stored(status: ContainerStatus | None = None, seed: int = 1) -> Stored:
    return Stored(builders.spec(seed), status or ContainerStatus(seq=1), ("/l/1",))


def event(action: str, status: ContainerStatus, *, seed: int = 1, **spec: object) -> Event:
    envelope, body = builders.container_event(action, status, seed=seed)
    if spec:
        body = body.model_copy(update={"spec": builders.spec(seed, **spec)})
    return Event(envelope, body.model_dump_json().encode())


def test_the_newest_event_tells_the_status() -> None:
    assert brought_after(stored(), [event("die", EXITED), event("start", RUNNING)]) == stored(EXITED)


def test_what_is_known_is_not_changed() -> None:
    assert brought_after(stored(EXITED), [event("start", RUNNING), event("die", EXITED)]) == stored(EXITED)
    assert brought_after(stored(), []) == stored()


def test_a_spec_that_was_changed_is_taken() -> None:
    always = RestartPolicy(name="always")
    found = brought_after(stored(), [event("update", RUNNING, restart=always), event("die", EXITED)])
    assert found is not None
    assert (found.spec.restart, found.status) == (always, EXITED)


def test_what_was_removed_is_gone() -> None:
    assert brought_after(stored(), [event("destroy", EXITED), event("start", RUNNING)]) is None


def test_an_event_of_a_later_release_is_left_alone(caplog: pytest.LogCaptureFixture) -> None:
    """An agent that was put back, after a reboot: it would not start else."""
    strange = event("start", RUNNING)
    later = Event(strange.envelope, strange.data.replace(b'"running"', b'"teleporting"'))
    assert brought_after(stored(), [later]) == stored()
    assert brought_after(stored(), [later, event("die", EXITED)]) == stored(EXITED)
    assert "is left alone: 1 validation error for ContainerEvent" in caplog.text


@given(st.integers(0, 1 << 40), st.integers(0, 1 << 32))
def test_numbers_leap_ahead_also_without_a_clock(seq: int, now_s: int) -> None:
    assert leapt(seq, now_s) >= seq + (1 << 32)
    assert leapt(seq, now_s) <= leapt(seq, now_s + 1)
    assert json.loads(json.dumps(float(leapt(seq, now_s)))) == leapt(seq, now_s), "a double holds it"


def test_an_older_copy_is_behind_what_was_told_after_later_reboots() -> None:
    told = leapt(10, 1_800_000_000) + 50_000
    assert leapt(10, 1_800_000_060) > told


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with contextlib.closing(open_database(tmp_path / "agent.db")) as db:
        yield Store(db)


async def tell(bus: Bus, *events: Event) -> None:
    for each in events:
        subject = EVENTS["container", each.envelope.action].subject("n1", each.envelope.subject_id)
        await bus.transport.store(subject, each.data, each.envelope.headers())


async def test_the_database_is_brought_after_the_stream(store: Store, fake_bus: Bus) -> None:
    for seed in (1, 2, 3):
        item = stored(seed=seed)
        store.add(item.spec, item.status, item.lowers)
    await tell(fake_bus, event("start", RUNNING), event("destroy", EXITED, seed=2))
    await recollect(store, fake_bus.transport, "n1")
    assert {item.spec.id: item for item in store.containers()} == {
        builders.container_id(1): stored(RUNNING),
        builders.container_id(3): stored(seed=3),
    }


async def test_without_the_bus_nothing_is_changed(store: Store, fake_server: FakeServer, fake_bus: Bus) -> None:
    item = stored()
    store.add(item.spec, item.status, item.lowers)
    await tell(fake_bus, event("start", RUNNING))
    fake_server.stop()
    with pytest.raises(TransportError):
        await recollect(store, fake_bus.transport, "n1")
    leap(store, 5)
    (after,) = store.containers()
    assert after == stored(ContainerStatus(seq=leapt(1, 5)))
    assert ContainerEvent(status=after.status).status.seq > RUNNING.seq
