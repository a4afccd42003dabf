"""What of an event goes to metadata, and what metadata is not even asked to store."""

from collections.abc import Callable

import orjson
import pytest

from seaway_bus.bus import Bus, Command
from seaway_bus.event_sender import event_size, event_to_store, of_node
from seaway_bus.outbox_table import OutboxMessage
from seaway_contracts.catalogue import EVENTS, STORE_EVENTS
from seaway_contracts.containers import Endpoint, Health, Probe, PublishedPort, State
from seaway_contracts.errors import Code, SeawayError, unavailable
from seaway_contracts.lifecycle import (
    EXEC_COMMAND,
    MOST_BYTES,
    ContainerEvent,
    Envelope,
    EventToStore,
    StoredEvents,
    StoreEvents,
    volume_subject,
)
from seaway_contracts.volumes import VolumeEvent
from seaway_testing import builders
from seaway_testing.fake_transport import FakeServer, FakeTransport

SPEC = builders.spec(1)


class Store:
    """Metadata, as far as node n1 hands events to it. `before` may refuse a request, `refused` what is in it."""

    def __init__(self) -> None:
        self.requests: list[tuple[EventToStore, ...]] = []
        self.refused: dict[str, str] = {}
        self.before: Callable[[], None] = lambda: None

    async def store(self, request: StoreEvents, command: Command) -> StoredEvents:
        assert command.node == "n1"
        self.before()
        self.requests.append(request.events)
        return StoredEvents(refused=self.refused)


@pytest.fixture
async def metadata(fake_server: FakeServer) -> Store:
    made = Store()
    await Bus(FakeTransport(fake_server)).serve(STORE_EVENTS, made.store)
    return made


def row(action: str, body: ContainerEvent, number: int = 1) -> tuple[str, OutboxMessage]:
    """An event as it waits in the outbox: its key, and itself with all of its body."""
    channel = EVENTS["container", action]
    envelope = Envelope(f"{number:024x}", "n1", "container", action, SPEC.id, 1000 + number, number, "c1", "me")
    return SPEC.id, OutboxMessage(channel.told_subject("n1", SPEC.id), envelope.headers(), channel.encode(body))


def plain(number: int, **attributes: str) -> tuple[str, OutboxMessage]:
    return row("kill", ContainerEvent(status=builders.status(seq=number), attributes=attributes), number)


def test_the_envelope_goes_as_it_is_without_the_node() -> None:
    event = event_to_store(*plain(3, signal="9"))
    assert event.model_dump() == {
        "id": f"{3:024x}",
        "key": SPEC.id,
        "noun": "container",
        "action": "kill",
        "subject_id": SPEC.id,
        "time_ns": 1003,
        "seq": 3,
        "cause": "c1",
        "actor": "me",
        "body": {"status": {"seq": 3}, "attributes": {"signal": "9"}},
    }


def test_only_the_public_part_of_the_body_goes() -> None:
    """Environment, arguments, errors, paths, output of probes and what an exec runs stay where they are."""
    shown = {
        "run": 2,
        "pid": 7,
        "exit_code": 3,
        "endpoints": (Endpoint(network="bridge", network_id="b" * 64, address="172.18.0.2"),),
    }
    ports = (PublishedPort(container_port=80, protocol="tcp", host_ip="0.0.0.0", host_port=8080),)
    health = Health(status="unhealthy", failing_streak=3, log=(Probe(output="secret"),))
    status = builders.status(
        State.EXITED, 5, **shown, ports=ports, health=health, error="secret", log_path="/secret", exec_ids=("secret",)
    )
    attributes = {"name": "box1", "team": "blue", EXEC_COMMAND: "sh -c secret"}
    event = event_to_store(*row("rename", ContainerEvent(status=status, attributes=attributes, spec=SPEC)))
    assert event.body["attributes"] == {"name": "box1", "team": "blue"}
    public = EVENTS["container", "rename"].public.model_validate(event.body)
    assert public.model_dump()["status"] == builders.status(State.EXITED, 5, **shown).model_dump(
        exclude={"error", "log_path", "health", "exec_ids", "ports"}
    ) | {"health": {"status": "unhealthy", "failing_streak": 3}}
    assert "spec" not in event.body
    assert b"secret" not in orjson.dumps(event.model_dump())


def test_of_other_things_than_containers_all_goes() -> None:
    channel, subject = EVENTS["volume", "mount"], volume_subject("data")
    body = VolumeEvent(name="data", attributes={"driver": "local", "container": SPEC.id})
    envelope = Envelope("a" * 24, "n1", "volume", "mount", subject, 1)
    message = OutboxMessage(channel.told_subject("n1", subject), envelope.headers(), channel.encode(body))
    event = event_to_store(SPEC.id, message)
    assert (event.key, event.subject_id, event.body) == (SPEC.id, subject, body.model_dump(exclude_defaults=True))


async def test_many_go_in_one_request_in_their_order(fake_bus: Bus, metadata: Store) -> None:
    rows = [plain(number) for number in (1, 2, 3)]
    assert await of_node(fake_bus, "n1")(rows) == {}
    assert metadata.requests == [tuple(event_to_store(*one) for one in rows)]


async def test_what_metadata_refuses_is_refused(fake_bus: Bus, metadata: Store) -> None:
    metadata.refused = {f"{2:024x}": "the container is another node's"}
    assert await of_node(fake_bus, "n1")([plain(1), plain(2)]) == metadata.refused


async def test_what_is_too_large_is_refused_and_the_others_are_stored(fake_bus: Bus, metadata: Store) -> None:
    spare = MOST_BYTES - event_size(event_to_store(*plain(2, long="")))
    largest, larger = plain(2, long="x" * spare), plain(3, long="x" * (spare + 1))
    metadata.refused = {f"{1:024x}": "no"}
    refused = await of_node(fake_bus, "n1")([plain(1), largest, larger])
    assert refused == {f"{1:024x}": "no", f"{3:024x}": "it is larger than 64 KiB"}
    assert [event.id for event in metadata.requests[0]] == [f"{1:024x}", f"{2:024x}"]


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"null", b'{"status": [1]}', b'{"attributes": "x"}'])
async def test_a_body_that_can_not_be_read_is_refused(fake_bus: Bus, metadata: Store, body: bytes) -> None:
    key, message = plain(1)
    broken = OutboxMessage(message.subject, message.headers, body)
    refused = await of_node(fake_bus, "n1")([(key, broken), plain(2)])
    assert list(refused) == [f"{1:024x}"] and refused[f"{1:024x}"]
    assert [event.id for event in metadata.requests[0]] == [f"{2:024x}"]


@pytest.mark.parametrize("change", [{"ce-type": "somebody.elses"}, {"ce-timens": "noon"}, {"ce-sequence": "x"}])
async def test_headers_that_can_not_be_read_are_refused(fake_bus: Bus, metadata: Store, change: dict[str, str]) -> None:
    """Where nothing else is left, metadata is not asked."""
    key, message = plain(1)
    broken = OutboxMessage(message.subject, message.headers | change, message.body)
    assert list(await of_node(fake_bus, "n1")([(key, broken)])) == [f"{1:024x}"]
    assert metadata.requests == []


async def test_a_failure_after_which_it_may_succeed_is_raised(fake_bus: Bus, metadata: Store) -> None:
    """The outbox hands all of them over again."""

    def away() -> None:
        raise unavailable("events can't be stored just now")

    metadata.before = away
    deliver = of_node(fake_bus, "n1")
    with pytest.raises(SeawayError, match="can't be stored just now") as caught:
        await deliver([plain(1), plain(2, long="x" * MOST_BYTES)])
    assert caught.value.retryable
    metadata.before = lambda: None
    assert await deliver([plain(1)]) == {}


async def test_nobody_who_stores_them_is_such_a_failure(fake_server: FakeServer) -> None:
    bus = Bus(FakeTransport(fake_server), patience_s=0.01)
    with pytest.raises(SeawayError) as caught:
        await of_node(bus, "n1")([plain(1)])
    assert (caught.value.code, caught.value.retryable) == (Code.UNAVAILABLE, True)
    await bus.close()
