"""What nodes tell: of their own containers at once, of others' never, of unknown ones when that is known."""

import pytest

from seaway_bus import order
from seaway_bus.events import Event
from seaway_bus.feed import EventFeed
from seaway_bus.judging import FOREIGN, HeldBack, Verdict, container_of, verdict
from seaway_bus.transport import Message
from seaway_contracts.catalogue import EVENT_STREAM, NETWORK_CONNECT, event_channel
from seaway_contracts.channels import EventChannel
from seaway_contracts.lifecycle import Envelope, public_body
from seaway_contracts.networks import NetworkEvent
from seaway_kit.tasks import Tasks
from seaway_testing.builders import container_event, container_id, status
from seaway_testing.fake_transport import FakeServer, FakeTransport
from seaway_testing.waiting import until


class Known:
    """Holders as a test sets them."""

    def __init__(self) -> None:
        self.nodes: dict[str, str] = {}

    def verdict(self, node: str, container: str) -> Verdict:
        return verdict(self.nodes.get(container), node)

    def note(self, container: str, node: str) -> None:
        self.nodes[container] = node


class Rig:
    def __init__(self, server: FakeServer, tasks: Tasks) -> None:
        self.nodes = FakeTransport(server)
        self.known = Known()
        self.heard: list[Event] = []
        self.own = FakeTransport(server)
        self.stored: list[str] = []
        self.feed = EventFeed(self.own, self.heard.append, tasks, holders=self.known, stored=self._stored)

    def _stored(self, identifier: str) -> None:
        self.stored += [event.envelope.action for event in self.heard if event.envelope.id == identifier]

    async def tell(self, action: str, seq: int, node: str = "n1", *, seed: int = 1) -> None:
        envelope, body = container_event(action, status(seq=seq), seed=seed, node=node)
        channel = event_channel("container", action)
        subject = channel.told_subject(node, envelope.subject_id)
        await self.nodes.publish(subject, channel.encode(body), envelope.headers())

    async def store(self, action: str, seq: int, node: str = "n1", *, seed: int = 1) -> None:
        envelope, body = container_event(action, status(seq=seq), seed=seed, node=node)
        channel: EventChannel[object] = event_channel("container", action)  # type: ignore[type-var,assignment]
        data = channel.published(public_body("container", channel.encode(body)))
        await self.nodes.store(channel.subject(node, envelope.subject_id), data, envelope.headers())

    @property
    def seen(self) -> list[tuple[str, str]]:
        return [(event.envelope.node, event.envelope.action) for event in self.heard]


@pytest.fixture
async def rig(fake_server: FakeServer, tasks: Tasks) -> Rig:
    made = Rig(fake_server, tasks)
    await made.nodes.ensure_stream(EVENT_STREAM)
    await made.feed.start()
    return made


async def test_the_holder_is_heard_at_once_and_its_event_once(rig: Rig) -> None:
    rig.known.nodes[container_id()] = "n1"
    await rig.tell("die", 3)
    await rig.nodes.flush()
    assert rig.seen == [("n1", "die")] and rig.heard[0].told
    await rig.store("die", 3)
    await rig.nodes.flush()
    assert len(rig.heard) == 1


async def test_what_was_told_is_heard_once_though_it_is_stored_much_later(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(order, "_REMEMBERED", 3)
    rig.known.nodes[container_id()] = "n1"
    for seq in range(1, 11):
        await rig.tell("status", seq)
    for seq in range(1, 11):
        await rig.store("status", seq)
    await rig.nodes.flush()
    assert [event.envelope.seq for event in rig.heard] == list(range(1, 11))


@pytest.mark.parametrize("action", ["status", "die", "destroy", "start"])
async def test_another_node_is_not_heard_and_takes_nothing_from_the_holder(rig: Rig, action: str) -> None:
    rig.known.nodes[container_id()] = "n1"
    before = FOREIGN.labels("n2", action)._value.get()
    await rig.tell(action, 3, "n2")
    await rig.nodes.flush()
    assert rig.seen == []
    assert FOREIGN.labels("n2", action)._value.get() == before + 1
    await rig.tell(action, 3)  # with the very id that the other one used
    await rig.nodes.flush()
    assert rig.seen == [("n1", action)]


async def test_what_is_unknown_waits_for_the_stream_and_keeps_its_order(rig: Rig) -> None:
    await rig.tell("create", 1)
    await rig.tell("start", 2)
    await rig.tell("start", 2, "n2", seed=1)
    await rig.nodes.flush()
    assert rig.seen == []
    await rig.store("create", 1)
    await rig.tell("die", 3)
    await rig.store("start", 2)
    await rig.nodes.flush()
    assert rig.seen == [("n1", "create"), ("n1", "start"), ("n1", "die")]


async def test_what_was_told_before_anybody_listened_comes_before_what_is_held_back(rig: Rig) -> None:
    await rig.tell("start", 2)
    await rig.nodes.flush()
    await rig.store("create", 1)
    await rig.store("start", 2)
    await rig.nodes.flush()
    assert rig.seen == [("n1", "create"), ("n1", "start")]
    assert [event.told for event in rig.heard] == [False, True]


async def test_what_was_told_while_the_past_was_read_is_known_to_be_stored(rig: Rig) -> None:
    """It is delivered as it was told, and no longer counts as missing in the stream."""
    rig.known.nodes[container_id()] = "n1"
    rig.own.cut()
    rig.own.mend()
    await rig.tell("start", 2)
    await rig.store("start", 2)
    await rig.nodes.flush()
    await until(lambda: rig.stored == ["start"])
    assert [event.told for event in rig.heard] == [True]


async def test_what_is_released_is_judged(rig: Rig) -> None:
    await rig.tell("start", 2)
    await rig.tell("start", 2, "n2")
    await rig.nodes.flush()
    rig.known.nodes[container_id()] = "n2"
    rig.feed.release(container_id())
    assert rig.seen == [("n2", "start")]


async def test_a_network_event_speaks_of_its_container(rig: Rig) -> None:
    rig.known.nodes[container_id()] = "n1"
    body = NetworkEvent(network_id="net", attributes={"container": container_id()})
    for node in ("n2", "n1"):
        envelope = Envelope(f"{int(node[1:]):024x}", node, "network", "connect", "net", 1)
        subject = NETWORK_CONNECT.told_subject(node, "net")
        await rig.nodes.publish(subject, NETWORK_CONNECT.encode(body), envelope.headers())
    await rig.nodes.flush()
    assert rig.seen == [("n1", "connect")]


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"attributes":[]}', b'{"attributes":{"container":5}}'])
def test_a_body_without_a_container(body: bytes) -> None:
    assert container_of(Envelope("i", "n", "network", "connect", "net", 1), body) == ""


def test_too_much_is_held_back_no_longer() -> None:
    held = HeldBack(most=3)
    for number in range(3):
        held.hold("first", Message(str(number), b""))
    held.hold("second", Message("3", b""))
    assert held.release("first") == []
    assert [message.subject for message in held.release("second")] == ["3"]
    assert held.release("second") == []
