"""What metadata stores for nodes: their own containers' events, in order, once, and the public part alone."""

import asyncio
import functools
import secrets
from collections.abc import AsyncIterator, Mapping
from typing import Any

import orjson
import pytest
from tests.unit.seaway_metadata.rig import Copy

from seaway_bus.bus import Bus, Command
from seaway_bus.judging import FOREIGN
from seaway_bus.transport import STORE_S, Message, wire_size
from seaway_contracts.catalogue import EVENT_STREAM, STORE_EVENTS, event_channel
from seaway_contracts.containers import ContainerRecord, State
from seaway_contracts.errors import Code, SeawayError, bad_request
from seaway_contracts.lifecycle import (
    MOST_BYTES,
    MOST_EVENTS,
    MSG_ID,
    Envelope,
    EventToStore,
    StoredEvents,
    StoreEvents,
)
from seaway_contracts.volumes import PublicVolumeEvent
from seaway_kit.tasks import Tasks
from seaway_metadata.events import event_store
from seaway_metadata.events.event_store import EventStore
from seaway_metadata.events.history_share import Allowance
from seaway_metadata.kinds.containers import CONTAINERS
from seaway_metadata.service import Metadata
from seaway_metadata.store.holders import RecordHolders
from seaway_metadata.store.records import Buckets, Records
from seaway_metadata.store.view import View
from seaway_testing.builders import container_id, spec, status
from seaway_testing.clock import START_NS
from seaway_testing.fake_transport import FakeServer, FakeTransport
from seaway_testing.waiting import until

ID = "0123456789abcdef01234567"


class GatedTransport(FakeTransport):
    """Stores the events of node n1 while its gate is open."""

    def __init__(self, server: FakeServer) -> None:
        super().__init__(server)
        self.gate = asyncio.Event()
        self.gate.set()

    async def store(self, subject: str, data: bytes, headers: Mapping[str, str], timeout_s: float = STORE_S) -> int:
        if ".event.n1." in subject:
            await self.gate.wait()
        return await super().store(subject, data, headers, timeout_s)


class Rig:
    """An event store, with container 1 on node n1 and container 2 on node n2."""

    def __init__(self, server: FakeServer, buckets: Buckets, tasks: Tasks) -> None:
        self.server = server
        self.transport = GatedTransport(server)
        self.view = View(CONTAINERS, lambda identifier: None)
        records = Records(CONTAINERS, buckets, self.view.destroyed)
        self.holders = RecordHolders(self.view, records, tasks, lambda container: None)
        self.sizes: list[tuple[str, int]] = []
        self.store = EventStore(
            self.transport, self.holders, self.check_volume, lambda node, size: self.sizes.append((node, size))
        )
        for seed, node in ((1, "n1"), (2, "n2")):
            self.view.load(ContainerRecord(spec=spec(seed), node=node))

    async def check_volume(self, node: str, action: str, subject: str, body: PublicVolumeEvent) -> None:
        """Volumes with names are node n1's."""
        if node != "n1" and not body.anonymous:
            raise bad_request(f"{action} of {body.name}, {subject[:4]}, is not {node}'s")

    async def ask(self, *events: EventToStore, node: str = "n1") -> StoredEvents:
        return await self.store.store(StoreEvents(events=events), Command("c", node=node))

    async def refusal(self, event: EventToStore, node: str = "n1") -> str:
        """Why this event alone is refused, between two that are stored."""
        before, after = container_event("start"), container_event("die")
        before, after = (one.model_copy(update={"subject_id": container_id(node)}) for one in (before, after))
        count = len(self.stored)
        refused = (await self.ask(before, event, after, node=node)).refused
        assert refused.keys() == {event.id}
        assert [message.headers[MSG_ID] for message in self.stored[count:]] == [before.id, after.id]
        return refused[event.id]

    @property
    def stored(self) -> list[Message]:
        return self.server.streams[EVENT_STREAM.name].messages

    @property
    def ids(self) -> list[str]:
        return [message.headers[MSG_ID] for message in self.stored]


@pytest.fixture
async def rig(fake_server: FakeServer, fake_bus: Bus, tasks: Tasks) -> AsyncIterator[Rig]:
    made = Rig(fake_server, await Buckets.open(fake_bus.transport, CONTAINERS), tasks)
    yield made
    await made.transport.close()


def event(noun: str, action: str, subject_id: str, body: dict[str, Any], **changes: Any) -> EventToStore:
    plain: dict[str, Any] = {
        "id": secrets.token_hex(12),
        "key": subject_id,
        "noun": noun,
        "action": action,
        "subject_id": subject_id,
        "time_ns": START_NS,
        "body": body,
    }
    return EventToStore(**(plain | changes))


def container_event(action: str, seq: int = 1, seed: int = 1, **changes: Any) -> EventToStore:
    body = {"status": {"state": "running", "seq": seq}, "attributes": {"name": f"box{seed}"}}
    identifier = changes.pop("subject_id", container_id(seed))
    return event("container", action, identifier, body, **({"seq": seq} | changes))


def network_event(container: str) -> EventToStore:
    attributes = {"container": container, "name": "bridge", "type": "bridge"}
    return event("network", "connect", "net1", {"network_id": "net1", "attributes": attributes})


def volume_event(container: str) -> EventToStore:
    return event("volume", "mount", "ab" * 32, {"name": "data", "attributes": {"container": container}})


# --- what is stored


async def test_events_of_a_nodes_own_container_are_stored_in_order(rig: Rig) -> None:
    events = [container_event(action, seq) for seq, action in enumerate(("create", "start", "die", "destroy"), 1)]
    assert (await rig.ask(*events)).refused == {}
    subjects = [event_channel("container", one.action).subject("n1", container_id(1)) for one in events]
    assert [message.subject for message in rig.stored] == subjects
    assert rig.ids == [one.id for one in events]
    sizes = [len(message.subject) + wire_size(message.data, message.headers) for message in rig.stored]
    assert rig.sizes == [("n1", sum(sizes))]


async def test_an_event_has_the_envelope_that_was_handed_over_and_the_node_that_asked(rig: Rig) -> None:
    one = container_event("die", 7, cause="command-1", actor="somebody", id=ID)
    await rig.ask(one)
    envelope = Envelope(ID, "n1", "container", "die", container_id(1), START_NS, 7, "command-1", "somebody")
    assert rig.stored[0].headers == envelope.headers()
    assert Envelope.from_headers(rig.stored[0].headers) == envelope


async def test_only_the_public_part_of_a_body_is_stored(rig: Rig) -> None:
    """Whatever an agent hands over: environment, arguments and what probes printed stay where they are."""
    secret = "PASSWORD=hunter2"
    full = status(State.RUNNING, 2, error=secret, log_path=f"/{secret}").model_dump(mode="json")
    full["health"] = {"status": "healthy", "failing_streak": 0, "log": [{"output": secret}]}
    body = {
        "status": full,
        "attributes": {"name": "box1"},
        "spec": spec(1, labels={"x": secret}).model_dump(mode="json"),
        "more": secret,
    }
    await rig.ask(event("container", "start", container_id(1), body))
    data = rig.stored[0].data
    assert secret.encode() not in data
    stored = orjson.loads(data)
    assert stored["attributes"] == {"name": "box1"}
    assert stored["status"]["health"] == {"status": "healthy"}
    assert stored.keys() == {"status", "attributes"}


async def test_events_without_a_container_and_of_own_ones_are_stored(rig: Rig) -> None:
    own = [network_event(container_id(1)), volume_event(container_id(1)), volume_event("")]
    made = event("volume", "create", "cd" * 32, {"name": "data", "attributes": {"driver": "local"}})
    assert (await rig.ask(*own, made)).refused == {}
    assert len(rig.stored) == 4


async def test_events_of_a_container_that_nobody_has_registered_are_stored(rig: Rig) -> None:
    """The buckets may be lost; then each node brings its containers back."""
    assert (await rig.ask(container_event("start", seed=9))).refused == {}
    assert [message.subject.split(".")[3] for message in rig.stored] == ["n1"]


async def test_no_events_are_no_work(rig: Rig) -> None:
    assert (await rig.ask()).refused == {}
    assert rig.stored == []


# --- what is refused


async def test_an_event_of_anothers_container_is_refused_and_the_rest_stored(rig: Rig) -> None:
    counted = FOREIGN.labels("n2", "stored event")._value
    before = counted.get()
    assert await rig.refusal(container_event("die"), node="n2") == "the container is another node's"
    assert counted.get() == before + 1
    assert all(".event.n2." in message.subject for message in rig.stored)


async def test_events_of_anothers_volumes_are_refused(rig: Rig) -> None:
    assert await rig.refusal(volume_event(""), node="n2") == "mount of data, abab, is not n2's"


@pytest.mark.parametrize("made", [network_event, volume_event])
async def test_events_of_networks_and_volumes_with_anothers_container_are_refused(rig: Rig, made: Any) -> None:
    assert await rig.refusal(made(container_id(1)), node="n2") == "the container is another node's"


async def test_who_held_a_container_until_its_end_may_still_tell_of_it(rig: Rig) -> None:
    rig.view.remove(container_id(1))
    assert await rig.refusal(container_event("destroy"), node="n2") == "the container is another node's"
    assert (await rig.ask(container_event("destroy"))).refused == {}


async def test_a_holder_that_only_the_bucket_knows_is_found_there(rig: Rig, fake_bus: Bus) -> None:
    buckets = await Buckets.open(fake_bus.transport, CONTAINERS)
    await Copy(Records(CONTAINERS, buckets, lambda identifier: False)).register(spec(5), "n1")
    assert await rig.refusal(container_event("die", seed=5), node="n2") == "the container is another node's"
    assert (await rig.ask(container_event("die", seed=5))).refused == {}


async def test_where_the_record_of_a_container_can_not_be_read_its_events_alone_are_refused(
    rig: Rig, fake_bus: Bus
) -> None:
    """Nobody can say who holds it, and other containers' events must not wait behind it for ever."""
    await (await Buckets.open(fake_bus.transport, CONTAINERS)).records.create(container_id(5), b"no record")
    assert await rig.refusal(container_event("die", seed=5)) == "the record of its container can't be read"


@pytest.mark.parametrize(
    "identifier", ["node-n1-join-first", f"removed-{container_id(1)}", ID.upper(), ID[:-1], ID + "0", "", f"{ID}\n"]
)
async def test_an_id_of_another_form_is_refused(rig: Rig, identifier: str) -> None:
    """Metadata's own events have ids that a node could guess: the stream would drop the second event of that id."""
    why = await rig.refusal(container_event("die", id=identifier))
    assert why == "the id of an event must be 24 hex digits"


@pytest.mark.parametrize(
    ("noun", "action"),
    [("node", "join"), ("node", "down"), ("image", "pull"), ("cluster", "prune"), ("container", "explode"), ("x", "y")],
)
async def test_events_that_are_no_agents_are_refused(rig: Rig, noun: str, action: str) -> None:
    body = {"node": "n1", "attributes": {}}
    assert await rig.refusal(event(noun, action, "n1", body)) == f"{noun}.{action} is no event of a node"


@pytest.mark.parametrize("identifier", [container_id(1)[:12], container_id(1).upper(), "", ">", "a.b"])
async def test_a_container_event_needs_a_whole_id(rig: Rig, identifier: str) -> None:
    one = container_event("die", subject_id=identifier)
    assert await rig.refusal(one) == "an event of a container needs its whole id"


@pytest.mark.parametrize("identifier", ["", ">", "*", "a.b", "a b", "x" * 129])
async def test_an_id_that_may_not_stand_in_a_subject_is_refused(rig: Rig, identifier: str) -> None:
    one = event("volume", "create", identifier, {"name": "v"})
    assert "is no subject token" in await rig.refusal(one)


async def test_a_body_that_does_not_fit_is_refused(rig: Rig) -> None:
    one = event("container", "die", container_id(1), {"status": {"state": "upside-down"}})
    assert "event container.die: status.state" in await rig.refusal(one)


@pytest.mark.parametrize("time_ns", [1 << 70, -(1 << 70)])
async def test_a_time_that_is_none_is_refused(rig: Rig, time_ns: int) -> None:
    assert "time" in await rig.refusal(container_event("die", time_ns=time_ns))


async def test_a_too_large_event_is_refused(rig: Rig) -> None:
    def labelled(size: int) -> EventToStore:
        return event("container", "start", container_id(1), {"status": {}, "attributes": {"label": "x" * size}})

    assert await rig.refusal(labelled(MOST_BYTES)) == "the event is larger than 64 KiB"
    large = container_event("start", cause="c" * MOST_BYTES)
    assert await rig.refusal(large) == "the event is larger than 64 KiB"
    assert (await rig.ask(labelled(MOST_BYTES - 1024))).refused == {}


async def test_too_many_at_once_are_refused_as_a_whole(rig: Rig) -> None:
    with pytest.raises(SeawayError, match=f"{MOST_EVENTS + 1} events at once: {MOST_EVENTS} are the most") as caught:
        await rig.ask(*[container_event("start") for _ in range(MOST_EVENTS + 1)])
    assert caught.value.code is Code.BAD_REQUEST
    assert rig.stored == []


# --- what goes wrong


async def test_a_full_bus_asks_to_hand_over_again_and_nothing_is_stored_twice(rig: Rig) -> None:
    events = [container_event("start", 1), container_event("die", 2), container_event("start", 1, seed=9)]
    rig.server.full = True
    with pytest.raises(SeawayError, match="hand them over again") as caught:
        await rig.ask(*events)
    assert (caught.value.code, rig.stored) == (Code.UNAVAILABLE, [])
    assert rig.sizes == []
    rig.server.full = False
    for _ in range(2):
        assert (await rig.ask(*events)).refused == {}
        assert sorted(rig.ids) == sorted(one.id for one in events)


async def test_an_answer_that_is_lost_half_way_leads_to_no_second_event(rig: Rig) -> None:
    events = [container_event("start", 1), container_event("die", 2)]
    rig.server.drop_replies = 1
    with pytest.raises(SeawayError) as caught:
        await rig.ask(*events)
    assert caught.value.code is Code.UNAVAILABLE
    assert rig.ids == [events[0].id], "of one key nothing is stored behind what may be missing"
    await rig.ask(*events)
    assert rig.ids == [one.id for one in events]


async def test_a_lost_connection_asks_to_hand_over_again(rig: Rig) -> None:
    """Also where it is lost before the holder of a container is known."""
    for one in (container_event("start"), container_event("start", seed=9)):
        rig.transport.cut()
        with pytest.raises(SeawayError) as caught:
            await rig.ask(one)
        assert caught.value.code is Code.UNAVAILABLE
        rig.transport.mend()
        await rig.ask(one)
        assert rig.ids[-1] == one.id
    assert len(rig.ids) == 2


# --- nodes beside each other


async def test_one_request_of_a_node_is_in_hand_and_other_nodes_go_on(rig: Rig) -> None:
    rig.transport.gate.clear()
    first, second = container_event("start", 1), container_event("die", 2, key="another")
    asking = [asyncio.ensure_future(rig.ask(one)) for one in (first, second)]
    other = container_event("start", seed=2)
    assert (await rig.ask(other, node="n2")).refused == {}
    assert rig.ids == [other.id]
    assert not any(one.done() for one in asking)
    rig.transport.gate.set()
    await asyncio.gather(*asking)
    assert rig.ids == [other.id, first.id, second.id]


async def test_more_than_a_few_requests_of_a_node_are_refused_at_once(rig: Rig) -> None:
    """An agent hands over one after another; what waits here is bounded, whatever a node sends."""
    rig.transport.gate.clear()
    events = [container_event("start", number) for number in range(50)]
    asking = [asyncio.ensure_future(rig.ask(one)) for one in events]
    await until(lambda: sum(one.done() for one in asking) >= len(events) - event_store.MOST_WAITING)
    refused = [one for one in asking if one.done()]
    assert len(refused) == len(events) - event_store.MOST_WAITING
    for one in refused:
        error = one.exception()
        assert isinstance(error, SeawayError) and error.code is Code.UNAVAILABLE
    assert (await rig.ask(container_event("start", seed=2), node="n2")).refused == {}
    rig.transport.gate.set()
    await asyncio.gather(*asking[: event_store.MOST_WAITING])
    assert (await rig.ask(events[-1])).refused == {}
    assert rig.ids[1:] == [one.id for one in (*events[: event_store.MOST_WAITING], events[-1])]


async def test_a_flood_is_slowed_down_and_the_others_are_not(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    small = functools.partial(Allowance, bytes_per_s=1, burst=4096)
    monkeypatch.setattr(event_store, "Allowance", small)
    flood = event("container", "start", container_id(1), {"status": {}, "attributes": {"label": "x" * 60_000}})
    waiting = asyncio.ensure_future(rig.ask(flood))
    for number in range(5):
        await rig.ask(container_event("start", number, seed=2), node="n2")
    assert not waiting.done()
    assert all(".event.n2." in message.subject for message in rig.stored)
    waiting.cancel()


# --- over the bus


async def test_a_node_is_who_its_subject_names(metadata: Metadata, fake_bus: Bus, fake_server: FakeServer) -> None:
    metadata.containers.view.load(ContainerRecord(spec=spec(1), node="n1"))
    one = container_event("start")
    refused = await fake_bus.call(STORE_EVENTS, StoreEvents(events=(one,)), node="n2")
    assert refused.refused == {one.id: "the container is another node's"}
    stored = await fake_bus.call(STORE_EVENTS, StoreEvents(events=(one,)), node="n1")
    assert stored.refused == {}
    (message,) = fake_server.streams[EVENT_STREAM.name].messages
    assert message.subject == event_channel("container", "start").subject("n1", container_id(1))
