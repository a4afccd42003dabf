"""What this copy of metadata knows of a kind: the index, kept by events and inventories. No I/O, no clock."""

from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Generic

from seaway_bus.judging import drop_foreign
from seaway_contracts.catalogue import EVENTS
from seaway_contracts.lifecycle import Envelope
from seaway_contracts.records import GONE
from seaway_metadata.store.kind import Claim, E, I, R, ReportedKind
from seaway_metadata.store.source import LeftClaim, Source


class View(Source[R], Generic[R, E, I]):
    """The records. `changed` is called with the key of each one that was made, changed or removed."""

    def __init__(self, kind: ReportedKind[R, E, I], changed: Callable[[str], None]) -> None:
        super().__init__(kind)
        self.kind = kind
        self._changed = changed
        self._registered: dict[str, R] = {}
        self._held_by: dict[str, set[str]] = {}
        """The keys of the records in the index, by node: each node is compared by itself, and walks no other's."""
        self._lacking: dict[str, int] = {}

    def load(self, record: R) -> None:
        """Take a record from the bucket. `seq` 0: registered, not created yet."""
        key = self.kind.key(record)
        if self.destroyed(key):
            return
        known = self.index.get(key)
        if self.kind.seq(record) > 0:
            merged = record if known is None else self.kind.merged(record, known)
            if merged is not known:
                self._leave(known, merged)
                self.index.put(merged)
                self._hold(known, merged)
            self.unregister(key)
        elif known is None:
            self._registered[key] = record

    def unregister(self, key: str) -> None:
        """A registration was taken back."""
        self._registered.pop(key, None)

    def of_node(self, node: str) -> list[R]:
        """The records that a node holds, or is to make."""
        held = [self.index[key] for key in self._held_by.get(node, ())]
        return held + [record for record in self._registered.values() if self.kind.node(record) == node]

    def all(self) -> list[R]:
        """All records, registered ones too."""
        return [*self.index, *self._registered.values()]

    def keys_of_node(self, node: str) -> set[str]:
        """The keys of the records that a node holds."""
        return set(self._held_by.get(node, ()))

    def record(self, key: str) -> R | None:
        """The record of that key, registered ones too."""
        return self.index.get(key) or self._registered.get(key)

    def holder(self, key: str) -> str | None:
        """The node that holds a record, is to make it, or held it until its end; None where that isn't known."""
        record = self.record(key)
        if record is not None:
            return self.kind.node(record)
        ended = self._ended.get(key)
        return ended.node or None if ended is not None else None

    def new_claims(self, node: str, key: str, claims: Iterable[Claim]) -> tuple[Claim, ...]:
        """Those of the claims that a record is to get by its node's word, and does not have here."""
        if self.destroyed(key):
            return ()
        record = self.record(key)
        if record is None:
            return tuple(claims)
        if self.kind.node(record) != node:
            return ()
        has = self.kind.claims(record)
        return tuple(claim for claim in claims if claim not in has)

    def apply(self, envelope: Envelope, body: E, *, whole: bool = True, refused: Collection[Claim] = ()) -> bool:
        """Apply an event; False where it speaks of a record that is missing here, or of a claim that is another's.

        `whole`: the body is as its agent told it, and not its public part alone. `refused`: claims that are others'.
        """
        key = envelope.subject_id
        if key in self._ended:
            return True
        before = self.record(key)
        if before is not None and self.kind.node(before) != envelope.node:
            return True
        if EVENTS.get((envelope.noun, envelope.action)) is self.kind.end:
            self.remove(key, self.kind.last_claims(body), envelope.node)
            return True
        if before is None:
            return False
        new = self.new_claims(envelope.node, key, self.kind.event_claims(key, body))
        taken = (*refused, *self._borne_elsewhere(new, envelope.node))
        after, complete, lacks = self.kind.apply(before, envelope, body, whole=whole, taken=taken)
        if lacks:
            self._lacking[key] = lacks
        if after is not before:
            self._put(before, after)
        return complete

    def _borne_elsewhere(self, claims: Iterable[Claim], node: str) -> tuple[Claim, ...]:
        """Those of the claims by which another node's record is known."""
        return tuple(
            claim for claim in claims if any(self._is_elsewhere(key, node) for key in self.index.bearers(claim))
        )

    def _is_elsewhere(self, key: str, node: str) -> bool:
        record = self.index.get(key)
        return record is not None and self.kind.node(record) != node

    def _put(self, before: R | None, after: R) -> None:
        key = self.kind.key(after)
        registered = self._registered.pop(key, None) is not None
        self._leave(before, after)
        self.index.put(after, first=registered)
        self._hold(before, after)
        self._changed(key)

    def _hold(self, before: R | None, after: R) -> None:
        key, node = self.kind.key(after), self.kind.node(after)
        if before is not None and self.kind.node(before) != node:
            self._let_go(key, self.kind.node(before))
        self._held_by.setdefault(node, set()).add(key)

    def _let_go(self, key: str, node: str) -> None:
        held = self._held_by.get(node, set())
        held.discard(key)
        if not held:
            self._held_by.pop(node, None)

    def _leave(self, before: R | None, after: R) -> None:
        """Note the claims that a record has given up."""
        for claim in self.kind.claims(before) if before is not None else ():
            if claim not in self.kind.claims(after):
                self._left.setdefault(self.kind.key(after), set()).add(LeftClaim(claim, self.kind.seq(after)))

    def apply_inventory(self, node: str, items: Iterable[I], refused: Collection[Claim] = ()) -> bool:
        """A node has said what it holds: take what is new. Whether all of it may be the node's.

        `refused`: claims that are others'.
        """
        fair = True
        for item in items:
            key = self.kind.item_key(item)
            if key in self._ended:
                continue
            before = self.record(key)
            taken = (*refused, *self._borne_elsewhere(self.kind.item_claims(item), node))
            after = self.kind.from_inventory(before, node, item, taken)
            if after is None or self.kind.node(after) != node:
                drop_foreign(node, key, "inventory")
                fair = False
            elif after is not before:
                self._put(before, after)
        return fair

    def remove(self, key: str, claims: tuple[Claim, ...] = (), node: str = "") -> None:
        """The record is gone for good. `claims`, `node`: where it isn't here."""
        record = self.record(key)
        self.index.remove(key)
        self.unregister(key)
        if record is not None:
            claims, node = self.kind.claims(record), self.kind.node(record)
            self._let_go(key, node)
        self.ended(key, claims, node)
        self._changed(key)

    def lacking(self) -> list[str]:
        """Records of which a change has come only in its public part; each is given once."""
        lacking, self._lacking = self._lacking, {}
        return [key for key, seq in lacking.items() if self._lacks(key, seq)]

    def _lacks(self, key: str, seq: int) -> bool:
        record = self.index.get(key)
        return record is not None and self.kind.lacks(record, seq)

    def behind(self, basis: Mapping[str, int]) -> list[str]:
        """Of which records somebody knows more than is known here: a later number, or the end."""
        return [key for key, seq in basis.items() if self._behind(key, seq)]

    def _behind(self, key: str, seq: int) -> bool:
        held = self.index.get(key)
        if held is None:
            return seq != GONE and not self.destroyed(key)
        return self.kind.seq(held) < seq
