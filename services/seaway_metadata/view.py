"""What this copy of metadata knows: the index, kept by events and inventories. Pure."""

from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from typing import Final, NamedTuple

from seaway_contracts.commands import GONE, InventoryItem
from seaway_contracts.containers import ContainerRecord
from seaway_contracts.lifecycle import ContainerEvent, Envelope
from seaway_metadata.index import Index
from seaway_metadata.projection import DESTROY, apply, apply_inventory

_REMEMBERED: Final = 1 << 13


class LeftName(NamedTuple):
    """A name that a container had until a rename, and when that was heard of (Unix ns)."""

    name: str
    left_ns: int


class View:
    """The records. `changed` is called with the id of each one that was made, changed or removed."""

    def __init__(self, changed: Callable[[str], None], now_ns: Callable[[], int] = lambda: 0) -> None:
        self.index = Index()
        self._changed = changed
        self._now_ns = now_ns
        self._destroyed: OrderedDict[str, str] = OrderedDict()
        self._left: dict[str, set[LeftName]] = {}

    def load(self, record: ContainerRecord) -> None:
        """Take a record from the bucket. One that no event has told of is a registration, not a container."""
        if record.status.seq > 0:
            self.index.put(record)

    def apply(self, envelope: Envelope, body: ContainerEvent) -> bool:
        """Apply a container event; False where it tells of a container that is missing here."""
        identifier = envelope.subject_id
        if identifier in self._destroyed:
            return True
        before = self.index.get(identifier)
        after = apply(before, envelope, body)
        if after is None:
            if envelope.action == DESTROY:
                self.remove(identifier, body.attributes.get("name", ""))
            return envelope.action == DESTROY
        if after is not before:
            self._put(before, after)
        return True

    def _put(self, before: ContainerRecord | None, after: ContainerRecord) -> None:
        if before is not None and before.spec.name != after.spec.name:
            self._left.setdefault(after.id, set()).add(LeftName(before.spec.name, self._now_ns()))
        self.index.put(after)
        self._changed(after.id)

    def apply_inventory(self, node: str, items: Iterable[InventoryItem]) -> None:
        """A node has said what it holds: take what is new."""
        for item in items:
            identifier = item.spec.id
            before = self.index.get(identifier)
            after = apply_inventory(before, node, item)
            if after is not before and identifier not in self._destroyed:
                self._put(before, after)

    def remove(self, identifier: str, name: str = "") -> None:
        """The container is gone for good."""
        record = self.index.remove(identifier)
        self.ended(identifier, record.spec.name if record else name)
        self._changed(identifier)

    def ended(self, identifier: str, name: str = "") -> None:
        """A container that isn't here was removed: who had heard of it before is told so."""
        self._destroyed[identifier] = name
        if len(self._destroyed) > _REMEMBERED:
            self._destroyed.popitem(last=False)

    def left_names(self, identifier: str) -> tuple[LeftName, ...]:
        """The names that a container has given up, and that may still stand in the bucket."""
        return tuple(self._left.get(identifier, ()))

    def released(self, identifier: str, left: LeftName) -> None:
        """That name is free."""
        names = self._left.get(identifier, set())
        names.discard(left)
        if not names:
            self._left.pop(identifier, None)

    def behind(self, basis: Mapping[str, int]) -> list[str]:
        """Of which containers somebody knows more than is known here: a later status, by its number, or the end."""
        return [identifier for identifier, seq in basis.items() if self._behind(identifier, seq)]

    def _behind(self, identifier: str, seq: int) -> bool:
        held = self.index.get(identifier)
        if held is None:
            return seq != GONE and not self.destroyed(identifier)
        return held.status.seq < seq

    def destroyed(self, identifier: str) -> bool:
        """Whether that container is known to be gone."""
        return identifier in self._destroyed

    def name_of_destroyed(self, identifier: str) -> str:
        """The name that a destroyed container had; empty where it isn't known."""
        return self._destroyed.get(identifier, "")
