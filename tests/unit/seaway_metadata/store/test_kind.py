"""Another kind of record, in two copies of a store that knows nothing of it."""

import json
from collections.abc import AsyncIterator

import pytest
from tests.unit.seaway_metadata.store.widgets import (
    CHANNELS,
    MADE,
    SLOTS,
    WIDGETS,
    Widget,
    WidgetEvent,
    WidgetInventories,
    WidgetNode,
)

from seaway_bus.bus import Bus
from seaway_contracts.catalogue import EVENTS
from seaway_contracts.errors import Code, SeawayError
from seaway_contracts.lifecycle import Envelope
from seaway_contracts.records import GONE
from seaway_contracts.stored_forms import Form, Json
from seaway_kit.tasks import Tasks
from seaway_metadata.store import stored
from seaway_metadata.store.kind import Claim
from seaway_metadata.store.registering import Registering
from seaway_metadata.store.store import Store
from seaway_metadata.store.tables import ReportedTable
from seaway_testing.builders import beat
from seaway_testing.fake_transport import FakeServer, FakeTransport
from seaway_testing.waiting import until

ROOM = 1 << 20


class Copy:
    """A copy of metadata that keeps widgets alone."""

    def __init__(self, server: FakeServer) -> None:
        self.bus = Bus(FakeTransport(server))
        self.tasks = Tasks("widgets")
        self.store = Store(self.bus, self.tasks)
        self.nodes_up: set[str] = set()
        self.table: ReportedTable[Widget, WidgetEvent, Widget]

    async def start(self) -> "Copy":
        await self.bus.prepare()
        self.table = await self.store.add_reported(WIDGETS, WidgetInventories(self.bus), lambda: self.nodes_up)
        await self.store.start(self.table.holders)
        return self

    def beat(self, node: str) -> None:
        self.nodes_up.add(node)
        self.store.beat(beat(node))

    async def stop(self) -> None:
        await self.store.stop()
        await self.tasks.close()
        await self.bus.close()

    async def make(self, number: int, name: str = "", node: str = "n1", slots: tuple[str, ...] = ()) -> Widget:
        """As a user's command: it is stored, with its name, before it is answered; then all are told."""
        widget = Widget(id=f"w-{number:03}", name=name or f"name{number}", node=node, size=number, slots=slots)
        await self.table.freshness.caught_up()
        for claim in WIDGETS.claims(widget):
            await self.table.kept.keep(claim, widget.id)
        revision = await Registering(self.table.records).register(widget)
        self.table.view.load(widget)
        self.table.behind.known(widget.id, revision)
        envelope = Envelope(f"made-{widget.id}", node, "widget", "create", widget.id, 1)
        await self.bus.transport.store(MADE.subject(node, widget.id), MADE.encode(WidgetEvent()), envelope.headers())
        return widget

    async def listed(self, room: int = ROOM, **basis: int) -> list[Widget]:
        """All pages."""
        await self.table.freshness.current({key.replace("_", "-"): seq for key, seq in basis.items()})
        found: list[Widget] = []
        after = ""
        while True:
            page = json.loads(self.table.index.page(after, room))
            found += map(Widget.model_validate, page["records"])
            if not (after := page["next"]):
                return found


@pytest.fixture(autouse=True)
def channels(monkeypatch: pytest.MonkeyPatch) -> None:
    for words, channel in CHANNELS.items():
        monkeypatch.setitem(EVENTS, words, channel)


@pytest.fixture
async def one(fake_server: FakeServer) -> AsyncIterator[Copy]:
    made = await Copy(fake_server).start()
    yield made
    await made.stop()


@pytest.fixture
async def other(fake_server: FakeServer) -> AsyncIterator[Copy]:
    made = await Copy(fake_server).start()
    yield made
    await made.stop()


@pytest.fixture
async def node(fake_bus: Bus) -> WidgetNode:
    made = WidgetNode(fake_bus)
    await made.serve()
    return made


def in_bucket(server: FakeServer) -> dict[str, Json]:
    return {key: json.loads(entry.value) for key, entry in server.buckets["widgets"].entries.items() if key[0] == "w"}


def names(server: FakeServer) -> dict[str, str]:
    return holders(server, "widget_names")


def slots(server: FakeServer) -> dict[str, str]:
    return holders(server, "widget_slots")


def holders(server: FakeServer, bucket: str) -> dict[str, str]:
    entries = server.buckets[bucket].entries.items()
    return {bytes.fromhex(key).decode(): json.loads(entry.value)["id"] for key, entry in entries}


async def test_what_one_copy_has_made_the_next_read_of_any_copy_shows(one: Copy, other: Copy) -> None:
    made = await one.make(1)
    assert await one.listed(w_001=1) == await other.listed(w_001=1) == [made]
    assert other.table.index.find("name1") == other.table.index.find("w-0") == made
    with pytest.raises(SeawayError, match="no such widget: name2") as caught:
        other.table.index.find("name2")
    assert caught.value.code is Code.NOT_FOUND


async def test_a_name_is_one_widgets_at_a_time(
    one: Copy, other: Copy, node: WidgetNode, fake_server: FakeServer
) -> None:
    first = await one.make(1, "axle")
    assert await one.make(1, "axle") == first, "the same again does nothing"
    with pytest.raises(SeawayError, match="widget w-001 is called axle"):
        await other.make(2, "axle")
    assert (set(in_bucket(fake_server)), names(fake_server)) == ({"w-001"}, {"axle": "w-001"})
    await node.destroy(first)
    assert await other.listed(w_001=GONE) == []
    second = await other.make(2, "axle")
    assert await one.listed(w_002=1) == [second]
    await until(lambda: in_bucket(fake_server).keys() == {"w-002"} and names(fake_server) == {"axle": "w-002"})


async def test_a_claim_of_each_space_is_one_widgets_at_a_time(
    one: Copy, other: Copy, node: WidgetNode, fake_server: FakeServer
) -> None:
    """One that is refused any of them gets none."""
    first = await one.make(1, "slot2", slots=("slot1", "slot9"))
    with pytest.raises(SeawayError, match="widget w-001 is in slot slot9"):
        await other.make(2, "free", slots=("slot2", "slot9"))
    assert (names(fake_server), slots(fake_server)) == ({"slot2": "w-001"}, {"slot1": "w-001", "slot9": "w-001"})
    with pytest.raises(SeawayError, match="no such widget: slot1"):
        one.table.index.find("slot1")
    second = await other.make(3, "slot1", slots=("slot2",))
    assert one.table.index.find("slot2") == first, "a name, though it is also another one's slot"
    await node.destroy(first)
    await until(lambda: (names(fake_server), slots(fake_server)) == ({"slot1": "w-003"}, {"slot2": "w-003"}))
    assert await other.listed(w_001=GONE) == [second]


async def test_a_node_says_nothing_of_what_is_anothers_in_any_space(
    one: Copy, node: WidgetNode, fake_bus: Bus, fake_server: FakeServer
) -> None:
    made = await one.make(1, "axle", slots=("slot1",))
    await node.turn(made, 1)
    await one.listed(w_001=2)
    liar = WidgetNode(fake_bus, "n2")
    liar.widgets = {
        widget.id: widget
        for widget in (
            Widget(id="w-007", name="own", node="n2", slots=("slot1",)),
            Widget(id="w-008", name="wrong", node="n2", slots=("board",)),
            Widget(id="w-009", name="fine", node="n2", slots=("slot2",)),
        )
    }
    await liar.serve()
    one.beat("n2")
    await until(lambda: "n2" in one.table.reconciler._epochs)
    assert [widget.id for widget in await one.listed()] == ["w-009", "w-001"]
    assert slots(fake_server) == {"slot1": "w-001", "slot2": "w-009"}


async def test_what_a_nodes_records_may_claim_is_asked_first(
    one: Copy, node: WidgetNode, fake_server: FakeServer
) -> None:
    async def may_claim(node: str, claim: Claim) -> bool:
        return (node, claim) != ("n1", SLOTS.claim("slot1"))

    one.table.may_claim = may_claim
    node.widgets = {
        f"w-{number}": Widget(id=f"w-{number}", name=f"name{number}", node="n1", slots=(f"slot{number}",))
        for number in (1, 2)
    }
    one.beat("n1")
    await until(lambda: "n1" in one.table.reconciler._epochs)
    assert ([widget.id for widget in await one.listed()], slots(fake_server)) == (["w-2"], {"slot2": "w-2"})


async def test_widgets_are_listed_by_page(one: Copy) -> None:
    made = [await one.make(number) for number in range(20)]
    assert await one.listed(room=500) == made[::-1]
    assert len(json.loads(one.table.index.page("", 500))["records"]) < 20


async def test_a_node_says_its_half_and_no_others(one: Copy, other: Copy, node: WidgetNode, fake_bus: Bus) -> None:
    made = await one.make(1)
    await node.turn(made, 5)
    stranger = WidgetNode(fake_bus, "n2")
    await stranger.turn(made.model_copy(update={"status": made.status.model_copy(update={"seq": 7})}), 99)
    for copy in (one, other):
        (found,) = await copy.listed(w_001=2)
        assert (found.size, found.status.turns, found.status.seq) == (1, 5, 1)


async def test_both_halves_are_written(one: Copy, other: Copy, node: WidgetNode, fake_server: FakeServer) -> None:
    """One copy changes what was asked for while the other hears what the node says."""
    made = await one.make(1)
    await other.listed(w_001=1)
    bucket = one.table.records.bucket
    found = await bucket.get(made.id)
    assert found is not None
    wider = made.model_copy(update={"size": 70, "version": 2})
    await bucket.update(made.id, stored.encode(wider), found.revision)
    await node.turn(made, 3)
    await until(lambda: in_bucket(fake_server)["w-001"].get("status") == {"turns": 3, "seq": 1})
    assert in_bucket(fake_server)["w-001"]["size"] == 70
    for copy in (one, other):
        await until(lambda copy=copy: copy.table.index["w-001"].size == 70)  # type: ignore[misc]


async def test_wiped_buckets_are_written_again(one: Copy, node: WidgetNode, fake_server: FakeServer) -> None:
    made = [await one.make(number, slots=(f"slot{number}", f"slot{number}b")) for number in range(3)]
    await node.turn(made[0], 1)
    await one.listed(w_000=2)
    fake_server.stop()
    fake_server.wipe()
    fake_server.start()
    await until(lambda: in_bucket(fake_server).keys() == {"w-000", "w-001", "w-002"})
    await until(lambda: names(fake_server) == {f"name{number}": f"w-00{number}" for number in range(3)})
    await until(lambda: slots(fake_server) == {slot: widget.id for widget in made for slot in widget.slots})


async def test_where_all_is_lost_nodes_bring_it_back(fake_server: FakeServer, node: WidgetNode) -> None:
    first = await Copy(fake_server).start()
    made = await first.make(1, "axle")
    await node.turn(made, 4)
    await first.listed(w_001=2)
    await first.stop()
    fake_server.wipe()
    second = await Copy(fake_server).start()
    assert second.table.index.get("w-001") is None
    second.beat("n1")
    with pytest.raises(SeawayError, match="widget w-001 is called axle"):
        await second.make(2, "axle")
    assert [(one.name, one.size, one.status.turns) for one in await second.listed()] == [("axle", 1, 4)]
    await until(lambda: in_bucket(fake_server).keys() == {"w-001"} and names(fake_server) == {"axle": "w-001"})
    await second.stop()


async def test_a_copy_that_starts_takes_up_where_others_were(
    one: Copy, node: WidgetNode, fake_server: FakeServer
) -> None:
    made = await one.make(1)
    await node.turn(made, 4)
    gone = await one.make(2)
    await node.destroy(gone)
    late = await Copy(fake_server).start()
    assert [(widget.id, widget.status.turns) for widget in await late.listed(w_001=2, w_002=GONE)] == [("w-001", 4)]
    await late.stop()


async def test_an_upgrade(fake_server: FakeServer, node: WidgetNode, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the release before has written is read, and written in the present form when it changes."""
    before = await Copy(fake_server).start()
    made = [await before.make(number) for number in (1, 2)]
    await before.stop()
    monkeypatch.setattr(stored, "FORM", Form((_doubled,)))
    after = await Copy(fake_server).start()
    assert {widget.id: widget.size for widget in await after.listed()} == {"w-001": 2, "w-002": 4}
    await node.turn(made[0], 6)
    await until(lambda: in_bucket(fake_server)["w-001"]["v"] == 2)
    assert [in_bucket(fake_server)[key]["size"] for key in ("w-001", "w-002")] == [2, 2]
    await after.stop()
    monkeypatch.undo()
    older = Copy(fake_server)
    with pytest.raises(SeawayError, match="schema 2: this release knows 1; update it"):
        await older.start()
    await older.tasks.close()
    await older.bus.close()


def _doubled(kind: str, document: Json) -> Json:
    return document | {"size": document.get("size", 1) * 2} if kind == "Widget" else document
