"""A kind of record that is no part of Seaway: a command makes a widget, and its node says how it turns.

It has a name, and slots of a board: each is one widget's at a time.
"""

from collections.abc import Collection, Sequence
from typing import Any

from seaway_bus.bus import Bus, Command
from seaway_contracts.base import Payload
from seaway_contracts.channels import BucketConfig, CallChannel, EventChannel, Role
from seaway_contracts.errors import SeawayError, conflict
from seaway_contracts.lifecycle import Envelope
from seaway_metadata.store.inventories import Inventory
from seaway_metadata.store.kind import Applied, Claim, ClaimHolder, ClaimSpace, ReportedKind


class WidgetStatus(Payload):
    """A node's half."""

    turns: int = 0
    seq: int = 0


class Widget(Payload):
    """Both halves. `version` counts the changes of what was asked for."""

    id: str
    name: str
    node: str
    slots: tuple[str, ...] = ()
    size: int = 1
    version: int = 1
    status: WidgetStatus = WidgetStatus()


class WidgetEvent(Payload):
    """How it turns by now."""

    status: WidgetStatus = WidgetStatus()


class WidgetsHeld(Payload):
    """A node's inventory."""

    epoch: str = "e1"
    widgets: tuple[Widget, ...] = ()


class NameHolder(ClaimHolder):
    """The widget that has a name."""


class SlotHolder(ClaimHolder):
    """The widget that has a slot."""


def _event(action: str, owner: Role) -> EventChannel[WidgetEvent]:
    return EventChannel("widget", action, WidgetEvent, WidgetEvent, "A widget's.", owner)


MADE = _event("create", Role.METADATA)
TURNED = _event("turn", Role.AGENT)
DESTROYED = _event("destroy", Role.AGENT)
CHANNELS: dict[tuple[str, str], EventChannel[Any]] = {(one.noun, one.action): one for one in (MADE, TURNED, DESTROYED)}
HELD = CallChannel(
    Role.AGENT, "widget", "inventory", Payload, WidgetsHeld, frozenset({Role.METADATA}), 5.0, "What does a node hold?"
)


def _taken(name: str, holder: str) -> SeawayError:
    return conflict(f"widget {holder} is called {name}")


def _full(slot: str, holder: str) -> SeawayError:
    return conflict(f"widget {holder} is in slot {slot}")


NAMES = ClaimSpace(BucketConfig("widget_names", "Their names."), NameHolder, _taken, lambda name, key: True)
SLOTS = ClaimSpace(
    BucketConfig("widget_slots", "Their slots."), SlotHolder, _full, lambda slot, key: slot.startswith("slot")
)


class Widgets(ReportedKind[Widget, WidgetEvent, Widget]):
    """All that the store is told of widgets."""

    noun = "widget"
    bucket = BucketConfig("widgets", "Widgets.")
    model = Widget
    claim_spaces = (NAMES, SLOTS)
    event = WidgetEvent
    end = DESTROYED
    heard = (MADE,)

    def key(self, record: Widget) -> str:
        return record.id

    def is_key(self, ref: str) -> bool:
        return ref.startswith("w-")

    def claims(self, record: Widget) -> tuple[Claim, ...]:
        return (NAMES.claim(record.name), *map(SLOTS.claim, record.slots))

    def merged(self, ours: Widget, other: Widget) -> Widget:
        """Each half by its own number."""
        asked, said = max(ours, other, key=lambda one: one.version), max(ours, other, key=self.seq)
        return asked if asked.status == said.status else asked.model_copy(update={"status": said.status})

    def node(self, record: Widget) -> str:
        return record.node

    def seq(self, record: Widget) -> int:
        """It is there as soon as it was asked for."""
        return record.status.seq + 1

    def apply(
        self, record: Widget, envelope: Envelope, body: WidgetEvent, *, whole: bool, taken: Collection[Claim]
    ) -> Applied[Widget]:
        if body.status.seq <= record.status.seq:
            return Applied(record)
        return Applied(record.model_copy(update={"status": body.status}))

    def item_key(self, item: Widget) -> str:
        return item.id

    def item_claims(self, item: Widget) -> tuple[Claim, ...]:
        return self.claims(item)

    def from_inventory(self, record: Widget | None, node: str, item: Widget, taken: Collection[Claim]) -> Widget | None:
        if record is None:
            return None if any(claim in taken for claim in self.claims(item)) else item
        return record if record.node != node or item.status.seq <= record.status.seq else self.merged(record, item)


WIDGETS = Widgets()


class WidgetInventories:
    """Asks the widgets' nodes."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus

    async def page(self, node: str, after: str) -> Inventory[Widget]:
        held = await self._bus.call(HELD, Payload(), node=node)
        return Inventory(held.epoch, held.widgets)

    async def some(self, node: str, keys: Sequence[str]) -> Inventory[Widget]:
        held = await self.page(node, "")
        return Inventory(held.epoch, [one for one in held.items if one.id in keys])

    async def make_again(self, node: str, record: Widget) -> None:
        raise conflict("a widget is made once")


class WidgetNode:
    """The agent of a node with widgets."""

    def __init__(self, bus: Bus, name: str = "n1") -> None:
        self.bus = bus
        self.name = name
        self.widgets: dict[str, Widget] = {}
        self._told = 0

    async def serve(self) -> None:
        await self.bus.serve(HELD, self.inventory, node=self.name)

    async def inventory(self, request: Payload, command: Command) -> WidgetsHeld:
        return WidgetsHeld(widgets=tuple(self.widgets.values()))

    async def turn(self, widget: Widget, turns: int) -> None:
        seq = self.widgets.get(widget.id, widget).status.seq + 1
        self.widgets[widget.id] = widget.model_copy(update={"status": WidgetStatus(turns=turns, seq=seq)})
        await self.tell(TURNED, widget, WidgetEvent(status=self.widgets[widget.id].status))

    async def destroy(self, widget: Widget) -> None:
        self.widgets.pop(widget.id, None)
        await self.tell(DESTROYED, widget, WidgetEvent())

    async def tell(self, channel: EventChannel[WidgetEvent], widget: Widget, body: WidgetEvent) -> None:
        """As an agent does, and as metadata stores it."""
        self._told += 1
        event_id = f"{int(self.name[1:]):04x}{self._told:020x}"
        envelope = Envelope(event_id, self.name, "widget", channel.action, widget.id, 1, body.status.seq)
        data = channel.encode(body)
        self.bus.transport.send(channel.told_subject(self.name, widget.id), data, envelope.headers())
        await self.bus.transport.store(channel.subject(self.name, widget.id), data, envelope.headers())
