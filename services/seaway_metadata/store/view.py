"""What this copy of metadata knows: the index, kept by events and inventories. No I/O, no clock."""

from collections import OrderedDict
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Final, NamedTuple

from seaway_bus.judging import drop_foreign
from seaway_contracts.commands import GONE, InventoryItem
from seaway_contracts.containers import ContainerRecord, ContainerSpec
from seaway_contracts.lifecycle import ContainerEvent, Envelope
from seaway_metadata.kinds.projection import DESTROY, apply, apply_inventory
from seaway_metadata.store.index import Index

_REMEMBERED: Final = 1 << 13
_SPEC_CHANGES: Final = frozenset({"create", "rename", "update"})


class LeftName(NamedTuple):
    """A name that a container had until a rename, and when that was heard of (Unix ns)."""

    name: str
    left_ns: int


class _Destroyed(NamedTuple):
    """What a container was called, and which node held it; empty where that isn't known."""

    name: str
    node: str


class View:
    """The records. `changed` is called with the id of each one that was made, changed or removed."""

    def __init__(self, changed: Callable[[str], None], now_ns: Callable[[], int] = lambda: 0) -> None:
        self.index = Index()
        self._changed = changed
        self._now_ns = now_ns
        self._registered: dict[str, ContainerRecord] = {}
        self._destroyed: OrderedDict[str, _Destroyed] = OrderedDict()
        self._left: dict[str, set[LeftName]] = {}
        self._lacking: dict[str, int] = {}

    def load(self, record: ContainerRecord) -> None:
        """Take a record from the bucket. `seq` 0: registered, not created yet."""
        if self.destroyed(record.id):
            return
        known = self.index.get(record.id)
        if record.status.seq > 0:
            if known is None or known.status.seq < record.status.seq:
                self.index.put(record)
            self.unregister(record.id)
        elif known is None:
            self._registered[record.id] = record

    def unregister(self, identifier: str) -> None:
        """A registration was taken back."""
        self._registered.pop(identifier, None)

    def of_node(self, node: str) -> list[ContainerRecord]:
        """The containers that a node holds, or is to make."""
        registered = [record for record in self._registered.values() if record.node == node]
        return [record for record in self.index if record.node == node] + registered

    def record(self, identifier: str) -> ContainerRecord | None:
        """The record of a container, or of one that is registered."""
        return self.index.get(identifier) or self._registered.get(identifier)

    def holder(self, identifier: str) -> str | None:
        """The node that holds a container, is to make it, or held it until its end; None where that isn't known."""
        record = self.record(identifier)
        if record is not None:
            return record.node
        ended = self._destroyed.get(identifier)
        return ended.node or None if ended is not None else None

    def new_name(self, node: str, spec: ContainerSpec | None) -> str | None:
        """The name that a container is to get by its node's word, and does not have here; None for none."""
        if spec is None or self.destroyed(spec.id):
            return None
        record = self.record(spec.id)
        if record is not None and (record.node != node or record.spec.name == spec.name):
            return None
        return spec.name

    def apply(
        self, envelope: Envelope, body: ContainerEvent, *, whole: bool = True, refused: Collection[str] = ()
    ) -> bool:
        """Apply a container event; False where it speaks of a container that is missing here.

        `whole`: the body has the whole status, and not its public part alone. `refused`: names that are others'.
        """
        identifier = envelope.subject_id
        if identifier in self._destroyed:
            return True
        before = self.record(identifier)
        if before is not None and before.node != envelope.node:
            return True
        if envelope.action == DESTROY:
            self.remove(identifier, body.attributes.get("name", ""), envelope.node)
            return True
        if before is None:
            return False
        after = apply(before, body, whole=whole, taken=(*refused, *self._taken(before, body.spec)))
        if envelope.action in _SPEC_CHANGES and not whole and after.spec_seq < body.status.seq:
            self._lacking[identifier] = body.status.seq
        if after is not before:
            self._put(before, after)
        return body.spec is None or after.spec.name == body.spec.name or after.spec_seq > body.status.seq

    def _taken(self, record: ContainerRecord, spec: ContainerSpec | None) -> tuple[str, ...]:
        """The name that a container is to have now, where another one has it."""
        if spec is None or spec.name == record.spec.name:
            return ()
        return self._borne_elsewhere(spec.name, record.node)

    def _borne_elsewhere(self, name: str, node: str) -> tuple[str, ...]:
        """The name, where another node's container is known by it."""
        bearers = map(self.index.get, self.index.bearers(name))
        return (name,) if any(one is not None and one.node != node for one in bearers) else ()

    def _put(self, before: ContainerRecord | None, after: ContainerRecord) -> None:
        registered = self._registered.pop(after.id, None) is not None
        if before is not None and before.spec.name != after.spec.name:
            self._left.setdefault(after.id, set()).add(LeftName(before.spec.name, self._now_ns()))
        self.index.put(after, first=registered)
        self._changed(after.id)

    def apply_inventory(self, node: str, items: Iterable[InventoryItem], refused: Collection[str] = ()) -> bool:
        """A node has said what it holds: take what is new. Whether all of it may be the node's.

        `refused`: names that are others'.
        """
        fair = True
        for item in items:
            identifier = item.spec.id
            if identifier in self._destroyed:
                continue
            before = self.record(identifier)
            taken = (*refused, *self._borne_elsewhere(item.spec.name, node))
            after = apply_inventory(before, node, item, taken)
            if after is None or after.node != node:
                drop_foreign(node, identifier, "inventory")
                fair = False
            elif after is not before:
                self._put(before, after)
        return fair

    def remove(self, identifier: str, name: str = "", node: str = "") -> None:
        """The container is gone for good. `name`, `node`: where it isn't here."""
        record = self.record(identifier)
        self.index.remove(identifier)
        self.unregister(identifier)
        self.ended(identifier, record.spec.name if record else name, record.node if record else node)
        self._changed(identifier)

    def ended(self, identifier: str, name: str = "", node: str = "") -> None:
        """A container that isn't here was removed: whoever had heard of it before is answered so."""
        self._destroyed[identifier] = _Destroyed(name, node)
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

    def lacking(self) -> list[str]:
        """Containers whose spec has changed, of which only the public event has come; each is given once."""
        lacking, self._lacking = self._lacking, {}
        held = {identifier: self.index.get(identifier) for identifier in lacking}
        return [one for one, record in held.items() if record is not None and record.spec_seq < lacking[one]]

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
        ended = self._destroyed.get(identifier)
        return ended.name if ended is not None else ""
